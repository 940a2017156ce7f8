"""Codes to search, what must be found in them, and one maker for each engine."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
from tests.engines import postgres

from bitseek.codes import Codes
from bitseek.engines import Engine, Slice, connect
from bitseek.engines._shards import Origin, ShardFolder
from bitseek.index import HammingIndex

Make = Callable[[Codes, Path], Engine]


def codes(n, bits, seed=0):
    """Clustered codes, of which many are equal, so that there are ties of all kinds."""
    rng = np.random.default_rng([seed, n, bits])
    centres = rng.random((4, bits)) < 0.5
    return Codes.from_bits(centres[rng.integers(0, 4, n)] ^ (rng.random((n, bits)) < 0.08))


def brute_force(database, queries, alive):
    """The distances of what can be found, (q, alive), and the ids of the columns."""
    distances = (queries.to_bits()[:, None, :] ^ database.to_bits()[None, :, :]).sum(axis=2)
    ids = np.flatnonzero(alive)
    return distances[:, ids], ids


def check(engine, database, queries, alive, k, radius):
    """An engine finds exactly what brute force finds, in the same order."""
    distances, ids = brute_force(database, queries, alive)
    order = np.argsort(distances, axis=1, kind="stable")
    hits = engine.nearest(queries, k)
    np.testing.assert_array_equal(hits.ids, ids[order[:, :k]])
    np.testing.assert_array_equal(hits.distances, np.take_along_axis(distances, order, axis=1)[:, :k])
    assert hits.ids.dtype == np.int64 and hits.distances.dtype == np.int32
    found = engine.within(queries, radius)
    assert len(found) == len(queries)
    for row, near, (found_ids, found_distances) in zip(distances, order, found, strict=True):
        expected = near[row[near] <= radius]
        np.testing.assert_array_equal(found_ids, ids[expected])
        np.testing.assert_array_equal(found_distances, row[expected])


def check_growth(engine, first, more, grow):
    """An engine of some codes gets more while another thread searches it, which always sees all of them or none."""
    both, queries = Codes.concat([first, more]), codes(4, first.bits, seed=1)
    allowed = [HammingIndex(some).nearest(queries, 9).ids.tolist() for some in (first, both)]
    found, begun, stop = [], threading.Event(), threading.Event()

    def search():
        while not stop.is_set():
            found.append(engine.nearest(queries, 9).ids.tolist())
            begun.set()

    thread = threading.Thread(target=search)
    thread.start()
    try:
        assert begun.wait(120)
        ids = grow()
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(ids, np.arange(len(first), len(both)))
    assert found and all(each in allowed for each in found)
    check(engine, both, queries, np.ones(len(both), bool), 9, 12)


def write_shards(folder, database, sizes, fingerprint="0123456789abcdef"):
    """A folder of shards of these sizes."""
    names = [f"pictures/{i}.png" for i in range(len(database))]
    ends = np.cumsum([0, *sizes]).tolist()
    assert ends[-1] == len(database)
    shards = ShardFolder(folder)
    for slice, (start, stop) in zip(Slice.all(len(sizes)), pairwise(ends), strict=True):
        shards.write(
            slice,
            Origin(fingerprint, database.bits, "inputs", len(database)),
            database[start:stop],
            names[start:stop],
            {},
        )
    return folder


def _index(database, _):
    return HammingIndex(database)


def _device(database, _):
    return HammingIndex(database, device="cpu", memory=1 << 16)


def _sizes(n):
    """Of three shards, unequal, one of them empty."""
    return [n // 3, 0, n - n // 3]


def _shards(database, tmp_path):
    return connect(write_shards(tmp_path / "shards", database, _sizes(len(database))))


def _ray(database, tmp_path):
    folder = write_shards(tmp_path / "shards of ray", database, _sizes(len(database)))
    return connect(f"ray://{quote(str(folder))}?threads=1")


def _postgresql(database, _):
    from bitseek.engines._postgres import PostgresEngine

    engine = PostgresEngine.create(postgres.address(), bits=database.bits)
    engine.add(database)
    return engine


ENGINES: dict[str, Make] = {
    "HammingIndex": _index,
    "device": _device,
    "shards": _shards,
    "ray": _ray,
    "postgresql": _postgresql,
}
"""Engines by name; each is made of some codes, with a folder that it may use."""
