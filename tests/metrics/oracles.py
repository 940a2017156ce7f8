"""Rankings and metrics by their definitions, item by item; none of it uses bitseek.metrics."""

from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

DENOMINATORS = ("retrieved", "relevant", "min")


def ap_of_order(ranked, k=None, denominator="retrieved"):
    """Average precision of one ranking of 0 and 1, cut at k."""
    cut = ranked if k is None else ranked[:k]
    found, total = 0, 0.0
    for rank, relevant in enumerate(cut, start=1):
        if relevant:
            found += 1
            total += found / rank
    everything = sum(ranked)
    by = {"retrieved": found, "relevant": everything, "min": everything if k is None else min(everything, k)}
    return total / by[denominator] if by[denominator] else 0.0


def trapezoid_of_order(ranked):
    """Area under precision and recall as the revisited benchmarks define it, with relevant items at ranks from 0."""
    ranks = [rank for rank, relevant in enumerate(ranked) if relevant]
    area = 0.0
    for j, rank in enumerate(ranks):
        before = 1.0 if rank == 0 else j / rank
        area += (before + (j + 1) / (rank + 1)) / 2
    return area / len(ranks) if ranks else 0.0


def precision_to_last_of_order(ranked, k):
    """Precision at k, or at the last relevant item if that is earlier."""
    ranks = [rank for rank, relevant in enumerate(ranked, start=1) if relevant]
    if not ranks:
        return 0.0
    cut = min(ranks[-1], k)
    return sum(rank <= cut for rank in ranks) / cut


def orders(groups):
    """Every way in which the relevant ones of each (items, relevant) group can lie; all are equally likely."""
    placings = [
        [[int(i in places) for i in range(items)] for places in combinations(range(items), relevant)]
        for items, relevant in groups
    ]
    return [[relevant for part in choice for relevant in part] for choice in product(*placings)]


def counts(groups):
    """The arrays `total` and `relevant` of one query's (items, relevant) groups."""
    total, relevant = np.array(groups, np.int64).T
    return total[None], relevant[None]


def small_groups():
    """Some rankings of few items, with empty groups, and groups of relevant or of other items only."""
    rng = np.random.default_rng(3)
    cases = [[(1, 1)], [(1, 0)], [(3, 0), (2, 2)], [(4, 4)], [(0, 0), (5, 2), (0, 0)], [(2, 0), (6, 3), (1, 1)]]
    for _ in range(25):
        sizes = rng.integers(0, 5, rng.integers(1, 5))
        cases.append([(int(n), int(rng.integers(0, n + 1))) for n in sizes])
    return [case for case in cases if sum(n for n, _ in case)]


def ranked_by_sort(query, database, relevant, kept, order=None):
    """Relevance of the kept items in the order that a stable sort by distance gives, from bits."""
    places = np.flatnonzero(kept) if order is None else np.array([i for i in order if kept[i]], int)
    distances = (database[places] != query).sum(axis=1)
    return relevant[places][np.argsort(distances, kind="stable")].astype(int).tolist()


def classes_of(label):
    """The classes of one item, as a set: from a class number or from a multi-hot row."""
    return {c for c, has in enumerate(label) if has} if np.ndim(label) else {int(label)} - {-1}


def share_a_class(query_labels, database_labels):
    """(q, n) bool by intersections of sets."""
    theirs = [classes_of(label) for label in database_labels]
    mine = [classes_of(label) for label in query_labels]
    return np.array([[bool(a & b) for b in theirs] for a in mine], bool).reshape(len(mine), len(theirs))


@st.composite
def labels(draw, items):
    """Labels of that many items in one of their forms."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        dtype = draw(st.sampled_from([np.int64, np.int16, np.int8]))
        return rng.integers(-1, draw(st.sampled_from([1, 3, 10, 100])), items).astype(dtype)
    hot = rng.random((items, draw(st.integers(1, 200)))) < draw(st.sampled_from([0.01, 0.1, 0.5]))
    return hot.astype(draw(st.sampled_from([np.bool_, np.uint8, np.int64, np.float32])))


@st.composite
def searches(draw, most_bits=300, fewest=0):
    """Bits of queries and of a database, their labels, and ids or None."""
    bits, q, n = draw(st.integers(1, most_bits)), draw(st.integers(1, 5)), draw(st.integers(fewest, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes, own = rng.random((q + n, bits)) < rng.random(), draw(labels(q + n))
    ids = rng.integers(0, 12, q + n) if draw(st.booleans()) else None
    return codes[:q], codes[q:], own[:q], own[q:], None if ids is None else (ids[:q], ids[q:])


def kept_by_ids(queries, items, ids):
    """(q, n) bool: which items are not the query itself."""
    if ids is None:
        return np.ones((queries, items), bool)
    return np.array([[a != b for b in ids[1]] for a in ids[0]], bool).reshape(queries, items)


def named(ids):
    """Keyword arguments of `Relevance.from_labels`."""
    return {} if ids is None else {"query_ids": ids[0], "database_ids": ids[1]}
