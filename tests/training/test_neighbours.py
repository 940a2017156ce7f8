"""What codes keep of the neighbours of an item, against slow loops and random orders."""

from functools import cache

import numpy as np
import pytest

from bitseek.codes import Codes, hamming_distances
from bitseek.training._neighbours import JOINED, STEPS, Walks, neighbours, neighbours_kept


def test_what_is_kept_is_the_mean_over_random_orders_of_what_is_as_far():
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(7, 4)), rng.normal(size=(40, 4))
    codes = [Codes.from_logits(part @ rng.normal(size=(4, 5))) for part in (queries, database)]
    near, distances, drawn = neighbours(queries, database, 6), hamming_distances(*codes), []
    for _ in range(400):
        orders = np.lexsort((rng.random((7, 40)), distances), axis=1)[:, :6]
        drawn.append(np.mean([len(set(own) & set(first)) / 6 for own, first in zip(near, orders, strict=True)]))
    found = neighbours_kept(*codes, near)
    assert found == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(len(drawn)))


def test_the_neighbours_of_a_query_are_those_of_largest_cosine():
    rng = np.random.default_rng(1)
    queries, database = rng.normal(size=(5, 4)), rng.normal(size=(30, 4))
    for row, own in zip(queries, neighbours(queries, database, 3), strict=True):
        cosines = [row @ other / np.linalg.norm(row) / np.linalg.norm(other) for other in database]
        assert own.tolist() == sorted(range(30), key=lambda i: -cosines[i])[:3]


def test_walks_end_where_all_paths_of_so_many_steps_say():
    rng = np.random.default_rng(2)
    items = rng.normal(size=(26, 3)) + 2
    about = items - items.mean(axis=0)
    cosines = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in about] for a in about])
    nearest = [sorted((j for j in range(26) if j != i), key=lambda j: -cosines[i, j])[:JOINED] for i in range(26)]
    joined = [[j for j in range(26) if j in nearest[i] or i in nearest[j]] for i in range(26)]

    @cache
    def share(start, end, steps):
        if steps == 0:
            return float(start == end)
        return sum(share(each, end, steps - 1) for each in joined[start]) / len(joined[start])

    for i, own in enumerate(Walks(items).neighbours(np.arange(2), np.arange(2, 26), 5)):
        ends = [share(i, j, STEPS) for j in range(2, 26)]
        assert sorted(ends, reverse=True)[:5] == pytest.approx([ends[j] for j in own])


def test_walks_stay_in_a_chain_where_cosines_leave_it():
    """Two arcs of a circle side by side: the far end of one's own is nearer by walks than the other arc."""
    angles = np.linspace(0, 3, 200)
    arcs = np.concatenate([np.stack([np.cos(angles), np.sin(angles), np.full(200, height)], 1) for height in (-1, 1)])
    near = Walks(arcs).neighbours(np.arange(1), np.arange(1, 400), 12) + 1
    assert (near < 200).all()


def test_walks_among_few_items_that_are_all_the_same():
    walks = Walks(np.ones((4, 2)))
    assert walks.neighbours(np.arange(1), np.arange(1, 4), 2).shape == (1, 2)
    assert (walks.step.diagonal() == 0).all() and (walks.step.sum(axis=1) == 1).all()
