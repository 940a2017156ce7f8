"""What codes keep of the neighbours of an item, against slow loops and random orders."""

import numpy as np
import pytest

from bitseek.codes import Codes, hamming_distances
from bitseek.training._neighbours import neighbours, neighbours_kept


def test_what_is_kept_is_the_mean_over_random_orders_of_what_is_as_far():
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(7, 4)), rng.normal(size=(40, 4))
    codes = [Codes.from_logits(part @ rng.normal(size=(4, 5))) for part in (queries, database)]
    near, distances, drawn = neighbours(queries, database, 6), hamming_distances(*codes), []
    for _ in range(400):
        orders = np.lexsort((rng.random((7, 40)), distances), axis=1)[:, :6]
        drawn.append(np.mean([len(set(own) & set(first)) / 6 for own, first in zip(near, orders, strict=True)]))
    found = neighbours_kept(*codes, queries, database, 6)
    assert found == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(len(drawn)))


def test_the_neighbours_of_a_query_are_those_of_largest_cosine():
    rng = np.random.default_rng(1)
    queries, database = rng.normal(size=(5, 4)), rng.normal(size=(30, 4))
    for row, own in zip(queries, neighbours(queries, database, 3), strict=True):
        cosines = [row @ other / np.linalg.norm(row) / np.linalg.norm(other) for other in database]
        assert own.tolist() == sorted(range(30), key=lambda i: -cosines[i])[:3]
