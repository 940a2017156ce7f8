"""Diagnostics against what their names say, computed by loops."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from tests.support.unchecked import unchecked

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.labels import Labels
from bitseek.metrics import (
    Relevance,
    bit_balance,
    bit_correlation,
    class_distances,
    codeword_accuracy,
    histograms,
    pair_distances,
    quantisation_error,
)


@pytest.fixture(params=[3, 64, 130])
def bits(request):
    rng = np.random.default_rng(request.param)
    return rng.random((60, request.param)) < rng.random(request.param)


def test_balance_and_correlation(bits, monkeypatch):
    codes = Codes.from_bits(bits)
    monkeypatch.setattr("bitseek.metrics._diagnostics._ITEMS_AT_ONCE", 7)
    assert bit_balance(codes) == pytest.approx(bits.mean(axis=0))
    varied = bits.std(axis=0) > 0
    expected = np.corrcoef(bits[:, varied].T)
    assert bit_correlation(codes)[np.ix_(varied, varied)] == pytest.approx(np.atleast_2d(expected), abs=1e-9)


def test_a_constant_bit_is_correlated_with_nothing():
    correlation = bit_correlation(Codes.from_bits([[1, 0], [1, 1]]))
    assert correlation.tolist() == [[1, 0], [0, 1]]


def test_quantisation_error_is_one_minus_the_cosine_with_the_code():
    logits = np.random.default_rng(0).normal(size=(20, 12))
    signs = np.where(logits >= 0, 1.0, -1.0)
    expected = 1 - np.diag(cosine_similarity(logits, signs))
    assert quantisation_error(logits) == pytest.approx(expected)
    assert quantisation_error(logits.astype(np.float32)) == pytest.approx(expected, abs=1e-6)
    assert quantisation_error(np.zeros((1, 4))).tolist() == [1.0]


@pytest.mark.parametrize("logits", [[[np.nan]], [[np.inf, 1.0]], [1.0, 2.0], [["a"]], [[1.0], [1.0, 2.0]]], ids=repr)
def test_logits_without_a_direction_are_refused(logits):
    with pytest.raises(ShapeError, match="logits are"):
        unchecked(quantisation_error)(logits)


def test_class_distances_are_means_over_all_pairs(bits):
    labels = np.random.default_rng(1).integers(-1, 4, len(bits))
    same, other = [], []
    for a, b in combinations(np.flatnonzero(labels >= 0), 2):
        (same if labels[a] == labels[b] else other).append((bits[a] != bits[b]).sum())
    codes = Codes.from_bits(bits)
    distances = class_distances(codes, labels)
    assert distances.intra == pytest.approx(np.mean(same))
    assert distances.inter == pytest.approx(np.mean(other))
    assert distances.separability == pytest.approx(np.mean(other) - np.mean(same))
    known = labels >= 0
    ids = np.arange(known.sum())
    relevance = Relevance.from_labels(labels[known], labels[known], query_ids=ids, database_ids=ids)
    pairs = pair_distances(histograms(codes[known], codes[known], relevance))
    assert (pairs.intra, pairs.inter) == pytest.approx((distances.intra, distances.inter))


def test_distances_of_no_pair_are_no_number():
    codes = Codes.from_bits([[0, 1], [1, 1]])
    assert np.isnan(class_distances(codes, np.array([3, 5])).intra)
    assert np.isnan(class_distances(codes, np.array([3, 3])).inter)
    with pytest.raises(ShapeError, match="2 codes and labels of 3 items"):
        class_distances(codes, np.array([1, 2, 3]))
    with pytest.raises(ShapeError, match="an item may have several classes"):
        class_distances(codes, np.eye(2))


def test_labels_may_be_of_any_form():
    codes, codebook = Codes.from_bits(np.eye(4, 8) > 0), Codes.from_bits(np.eye(3, 8) > 0)
    for labels in ([0, 1, 2, -1], np.array([0, 1, 2, -1], np.int8), Labels.of([0, 1, 2, -1], classes=3)):
        assert codeword_accuracy(codes, codebook, labels) == 1.0
        assert class_distances(codes, labels).inter == 2.0


def test_distances_of_pairs_that_share_a_label_for_several_labels():
    rng = np.random.default_rng(5)
    bits, hot = rng.random((30, 40)) < 0.5, rng.random((30, 6)) < 0.3
    ids = np.arange(30)
    codes, relevance = Codes.from_bits(bits), Relevance.from_labels(hot, hot, query_ids=ids, database_ids=ids)
    distances = pair_distances(histograms(codes, codes, relevance))
    same, other = [], []
    for a, b in combinations(range(30), 2):
        (same if (hot[a] & hot[b]).any() else other).append((bits[a] != bits[b]).sum())
    assert (distances.intra, distances.inter) == pytest.approx((np.mean(same), np.mean(other)))


@pytest.mark.parametrize("top", [1, 3, 8])
@pytest.mark.parametrize("multi", [False, True])
def test_codeword_accuracy_is_the_mean_over_all_orders_of_the_classes(top, multi):
    rng = np.random.default_rng(3)
    codes, codebook = rng.random((30, 5)) < 0.5, rng.random((8, 5)) < 0.5
    hot = rng.random((30, 8)) < 0.3 if multi else np.eye(8, dtype=bool)[rng.integers(0, 8, 30)]
    labels = hot if multi else hot.argmax(axis=1)
    distances = (codes[:, None] != codebook[None]).sum(axis=2)
    values = []
    for _ in range(2000):
        order = rng.permutation(8)
        nearest = order[np.argsort(distances[:, order], axis=1, kind="stable")[:, :top]]
        values.append(np.take_along_axis(hot, nearest, axis=1).sum() / hot.sum())
    actual = codeword_accuracy(Codes.from_bits(codes), Codes.from_bits(codebook), labels, top)
    assert actual == pytest.approx(np.mean(values), abs=5 * np.std(values) / np.sqrt(2000) + 1e-9)


def test_codeword_accuracy_without_ties_is_accuracy():
    codebook = Codes.from_bits(np.eye(6, 40) > 0)
    labels = np.array([0, 5, 2, -1])
    codes = codebook[[0, 5, 3, 1]]
    assert codeword_accuracy(codes, codebook, labels) == pytest.approx(2 / 3)


def test_codeword_sentences():
    codes, codebook = Codes.from_bits(np.ones((2, 4))), Codes.from_bits(np.eye(3, 4) > 0)
    with pytest.raises(CodeWidthError, match="4 and of 5 bits"):
        codeword_accuracy(codes, Codes.from_bits(np.ones((3, 5))), np.array([0, 1]))
    with pytest.raises(ShapeError, match="labels of 3 classes are 0 to 2, or 3 columns; got class number 3"):
        codeword_accuracy(codes, codebook, np.array([0, 3]))
    with pytest.raises(BitseekError, match="between 1 and the 3"):
        codeword_accuracy(codes, codebook, np.array([0, 1]), top=4)
    for top in ("3", 1.0, True, 0, None):
        with pytest.raises(BitseekError, match="top is a whole number of 1 or more"):
            unchecked(codeword_accuracy)(codes, codebook, np.array([0, 1]), top=top)
    with pytest.raises(ShapeError, match="no item has a label"):
        codeword_accuracy(codes, codebook, np.array([-1, -1]))
    with pytest.raises(ShapeError, match="got 2 columns"):
        codeword_accuracy(codes, codebook, np.ones((2, 2), bool))
