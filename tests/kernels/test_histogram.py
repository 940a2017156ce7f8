"""Histograms of distance and relevance, and stable sums, against loops over all pairs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes, hamming_distances
from bitseek.kernels.histogram import _BLOCK, _PAIR_BITS, _PAIR_BLOCK, Task, distance_histograms, stable_sums


def draw(seed, q, n, bits, classes, left_out):
    """A task with labels (a single one a class number; else sets of classes), and what is left out for each query."""
    rng = np.random.default_rng(seed)
    queries, database = (Codes.from_bits(rng.random((size, bits)) < 0.5) for size in (q, n))
    if classes == 0:
        labels = [rng.integers(0, 4, (size, 1)).astype(np.uint64) for size in (q, n)]
    else:
        labels = [Codes.from_bits(rng.random((size, classes)) < 2 / classes).words for size in (q, n)]
    out = [np.sort(rng.choice(n, rng.integers(0, left_out + 1), replace=False)) if n else [] for _ in range(q)]
    offsets = np.cumsum([0, *map(len, out)]).astype(np.int64)
    excluded = np.concatenate([np.zeros(0, np.int64), *out]).astype(np.int64)
    task = Task(queries.words, database.words, bits, *labels, classes == 0, offsets, excluded)
    return task, hamming_distances(queries, database), out


def relevant_pairs(task):
    if task.single:
        return task.query_labels == task.database_labels.T
    return (task.query_labels[:, None] & task.database_labels[None]).any(axis=2)


def check(task, distances, out):
    total, relevant = distance_histograms(task)
    wanted = relevant_pairs(task)
    for query in range(len(distances)):
        inside = np.ones(distances.shape[1], bool)
        inside[out[query]] = False
        for found, counted in ((total, inside), (relevant, inside & wanted[query])):
            expected = np.bincount(distances[query][counted], minlength=task.bits + 1)
            np.testing.assert_array_equal(found[query], expected)
    return total, relevant


tasks = {
    "seed": st.integers(0, 2**32),
    "q": st.integers(1, 12),
    "n": st.integers(0, 300),
    "bits": st.integers(1, 200) | st.sampled_from([_PAIR_BITS, _PAIR_BITS + 1]),
    "classes": st.sampled_from([0, 1, 20, 64, 65, 80, 128, 129, 300]),
    "left_out": st.integers(0, 5),
}


@settings(max_examples=80, deadline=None)
@given(**tasks)
def test_histograms(seed, q, n, bits, classes, left_out):
    check(*draw(seed, q, n, bits, classes, min(left_out, n)))


@pytest.mark.parametrize("bits", [16, 100])
@pytest.mark.parametrize("classes", [0, 80])
def test_more_items_than_a_block_and_an_odd_number_of_queries(bits, classes):
    n = max(_BLOCK, _PAIR_BLOCK) + 1000
    check(*draw(0, 5, n, bits, classes, 3))


def sums_by_sorting(task, distances, out, ranks):
    """Σ P(i)·rel(i) and Σ rel(i) over the first ranks of a stable sort."""
    wanted = relevant_pairs(task)
    for query, row in enumerate(distances):
        inside = np.setdiff1d(np.arange(len(row)), out[query])
        hits = wanted[query][inside][np.argsort(row[inside], kind="stable")][:ranks]
        precisions = [hits[: i + 1].mean() for i in range(len(hits)) if hits[i]]
        yield sum(precisions), int(hits.sum())


@settings(max_examples=60, deadline=None)
@given(**tasks, ranks=st.integers(1, 320))
def test_stable_sums(seed, q, n, bits, classes, left_out, ranks):
    task, distances, out = draw(seed, q, n, bits, classes, min(left_out, n))
    sums, hits = stable_sums(task, *distance_histograms(task), ranks)
    for query, (expected, count) in enumerate(sums_by_sorting(task, distances, out, ranks)):
        assert sums[query] == pytest.approx(expected) and hits[query] == count


def test_stable_sums_over_several_blocks():
    task, distances, out = draw(1, 3, 2 * _BLOCK + 77, 20, 0, 4)
    sums, hits = stable_sums(task, *distance_histograms(task), 10_000)
    for query, (expected, count) in enumerate(sums_by_sorting(task, distances, out, 10_000)):
        assert sums[query] == pytest.approx(expected) and hits[query] == count


def test_the_given_arrays_may_be_of_any_layout():
    task, distances, out = draw(2, 6, 100, 130, 80, 2)
    odd = task._replace(
        query_words=np.asfortranarray(task.query_words),
        database_words=np.repeat(task.database_words, 2, axis=0)[::2],
        database_labels=np.asfortranarray(task.database_labels),
    )
    for one, other in zip(check(task, distances, out), distance_histograms(odd), strict=True):
        np.testing.assert_array_equal(one, other)
    assert task.query_words.flags.writeable is draw(2, 6, 100, 130, 80, 2)[0].query_words.flags.writeable


def test_the_same_without_a_compiler(tmp_path):
    program = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import test_histogram as tests
from bitseek.kernels import jit
answers = {}
for i, (bits, classes) in enumerate([(16, 0), (16, 80), (100, 0), (100, 300), (64, 1)]):
    task, _, _ = tests.draw(i, 9, 500, bits, classes, 4)
    total, relevant = tests.distance_histograms(task)
    sums, hits = tests.stable_sums(task, total, relevant, 100)
    answers |= {f"total {i}": total, f"relevant {i}": relevant, f"sums {i}": sums, f"hits {i}": hits}
np.savez(sys.argv[2], compiled=jit.COMPILED, **answers)
"""
    found = []
    for disabled in ("0", "1"):
        path = tmp_path / f"{disabled}.npz"
        command = [sys.executable, "-c", program, str(Path(__file__).parent), str(path)]
        subprocess.run(command, check=True, env=os.environ | {"NUMBA_DISABLE_JIT": disabled})
        with np.load(path) as answers:
            found.append(dict(answers))
    compiled, plain = found
    assert not plain.pop("compiled")
    compiled.pop("compiled")
    assert compiled.keys() == plain.keys() and len(plain) == 20
    for name, answer in plain.items():
        np.testing.assert_allclose(compiled[name], answer, rtol=1e-12, atol=0, err_msg=name)
