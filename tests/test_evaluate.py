"""Evaluation agrees with scikit-learn and with slow loops, and says what it did."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

import bitseek
from bitseek.data import Features, Pool, Protocol, protocol
from bitseek.errors import BitseekError
from bitseek.models import Hasher, build_backbone


def identity_hasher(bits):
    """The features are the logits."""
    head = torch.nn.Linear(bits, bits, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(bits))
    return Hasher(build_backbone("features", dim=bits), head, bits)


def toy(n=60, bits=24, classes=3, queries=10, multi=False, overlap=False, seed=0):
    rng = np.random.default_rng(seed)
    hot = rng.random((n, classes)) < 0.4
    labels = hot if multi else rng.integers(0, classes, n)
    features = rng.normal(size=(n, bits)).astype(np.float32)
    ids = np.arange(n)
    database = ids if overlap else ids[queries:]
    pool = Pool(Features((features,)), labels, tuple("abcdefg"[:classes]))
    return Protocol("toy", pool, ids[queries:30], ids[:queries], database)


def slow_map(data, score, ties_break=None):
    values = []
    labels, x = data.pool.labels, data.pool.images.array
    for q in data.query:
        items = [d for d in data.database if d != q]
        scores = np.array([score(x[q], x[d]) for d in items])
        relevant = [bool((labels[q] & labels[d]).any()) if labels.ndim == 2 else labels[q] == labels[d] for d in items]
        values.append((scores, np.array(relevant)))
    return values


def signs(v):
    return np.where(v >= 0, 1, -1)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("overlap", [False, True])
def test_asymmetric_map_is_scikit_learns(multi, overlap):
    data = toy(multi=multi, overlap=overlap)
    report = bitseek.evaluate(identity_hasher(24), data, ranking="asymmetric")
    rows = slow_map(data, lambda q, d: float(q.astype(np.float64) @ signs(d)))
    expected = np.mean([average_precision_score(rel, s) if rel.any() else 0.0 for s, rel in rows])
    assert report.mAP == pytest.approx(expected, abs=1e-6)
    assert report.retrieval.excluded == (10 if overlap else 0)


def test_expected_map_is_the_mean_over_random_orders():
    data = toy()
    report = bitseek.evaluate(identity_hasher(24), data)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(400):
        values = []
        for s, rel in slow_map(data, lambda q, d: int(signs(q) @ signs(d))):
            order = np.lexsort((rng.random(len(s)), -s))
            hits = rel[order]
            values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
        means.append(np.mean(values))
    assert report.mAP == pytest.approx(np.mean(means), abs=4 * np.std(means) / 20)
    assert report.mAP_worst <= min(means) and max(means) <= report.mAP_best


def test_reranking_orders_the_nearest_by_logits_and_leaves_the_others():
    data = toy()
    report = bitseek.evaluate(identity_hasher(24), data, ranking="reranked", candidates=8)
    expected = []
    for q in data.query:
        x, items = data.pool.images.array, data.database
        distances = np.array([(signs(x[q]) != signs(x[d])).sum() for d in items])
        kth = np.sort(distances)[7]
        scores = np.array(
            [
                (1, float(x[q] @ signs(x[d]))) if dist <= kth else (0, -dist)
                for d, dist in zip(items, distances, strict=True)
            ]
        )
        relevant = data.pool.labels[items] == data.pool.labels[q]
        values = []
        for sign in (-1, 1):  # best and worst order of what is tied
            hits = relevant[np.lexsort((sign * relevant, -scores[:, 1], -scores[:, 0]))]
            values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
        expected.append(values)
    best, worst = np.mean(expected, axis=0)
    assert report.mAP_best == pytest.approx(best) and report.mAP_worst == pytest.approx(worst)
    everything = bitseek.evaluate(identity_hasher(24), data, ranking="reranked", candidates=10**6)
    assert everything.mAP == pytest.approx(bitseek.evaluate(identity_hasher(24), data, ranking="asymmetric").mAP)


def test_ternary_bits_abstain():
    data, t = toy(), 0.5
    ternary = lambda v: np.where(np.abs(v) < t, 0, signs(v))  # noqa: E731
    report = bitseek.evaluate(identity_hasher(24), data, ternary=t)
    rows = slow_map(data, lambda q, d: int(ternary(q) @ ternary(d)))
    worst, best = [], []
    for s, rel in rows:
        for values, sign in ((best, -1), (worst, 1)):
            hits = rel[np.lexsort((sign * rel, -s))]
            values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    assert report.ranking == "ternary"
    assert report.mAP_best == pytest.approx(np.mean(best)) and report.mAP_worst == pytest.approx(np.mean(worst))
    zero = bitseek.evaluate(identity_hasher(24), data, ranking="ternary", ternary=0.0)
    assert zero.mAP == pytest.approx(bitseek.evaluate(identity_hasher(24), data).mAP)


def test_the_order_of_the_database_does_not_matter():
    data = toy()
    shuffled = Protocol("toy", data.pool, data.train, data.query, np.random.default_rng(3).permutation(data.database))
    a, b = (bitseek.evaluate(identity_hasher(24), d) for d in (data, shuffled))
    assert a.mAP == pytest.approx(b.mAP, abs=1e-12) and a.to_json()["protocol"]["checksum"] == shuffled.checksum


def test_the_report_is_plain_json_and_repeats_what_was_asked(tmp_path):
    data = toy()
    value = bitseek.evaluate(identity_hasher(24), data, at=7, denominator="min", ties="stable", no_hit="skip").to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert (value["at"], value["denominator"], value["ties"], value["no_hit"]) == (7, "min", "stable", "skip")
    assert value["queries"] == 10 and value["database"] == 50 and value["bits"] == 24
    assert len(value["precision_recall"]["precision"]) == 25


def test_stable_is_for_hamming_only():
    with pytest.raises(BitseekError, match="for Hamming rankings"):
        bitseek.evaluate(identity_hasher(24), toy(), ranking="asymmetric", ties="stable")


def test_queries_are_not_in_the_database_of_digits():
    data = protocol("digits")
    assert not set(data.query) & set(data.database) and set(data.train) <= set(data.database)
