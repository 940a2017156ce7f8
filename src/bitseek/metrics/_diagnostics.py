"""What codes look like from inside: balance and correlation of bits, quantisation error, distances, codeword accuracy.

None of it needs a ranking. All of it is exact: nothing is sampled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bitseek._checks import as_array, whole_number
from bitseek.codes import Codes, hamming_distances
from bitseek.errors import BitseekError, ShapeError
from bitseek.labels import Labels
from bitseek.metrics._histograms import Histograms

_ITEMS_AT_ONCE = 1 << 14


def bit_balance(codes: Codes) -> Float[np.ndarray, " bits"]:
    """Share of ones of each bit; ½ carries most information, 0 and 1 carry none.

    >>> bit_balance(Codes.from_bits([[1, 0], [1, 1]]))
    array([1. , 0.5])
    """
    if not len(codes):
        raise ShapeError("there are no codes, so there is no share of ones")
    ones = np.zeros(codes.bits, np.int64)
    for start in range(0, len(codes), _ITEMS_AT_ONCE):
        ones += codes[start : start + _ITEMS_AT_ONCE].to_bits().sum(axis=0)
    return ones / len(codes)


def bit_correlation(codes: Codes) -> Float[np.ndarray, "bits bits"]:
    """Pearson correlation of each pair of bits; 0 with a bit that is the same in all codes, and 1 on the diagonal.

    Bits that always agree or always differ (±1) store the same thing twice.

    >>> bit_correlation(Codes.from_bits([[1, 0], [0, 1], [1, 0]]))
    array([[ 1., -1.], [-1.,  1.]])
    """
    share = bit_balance(codes)
    together = np.zeros((codes.bits, codes.bits))
    for start in range(0, len(codes), _ITEMS_AT_ONCE):
        bits = codes[start : start + _ITEMS_AT_ONCE].to_bits().astype(np.float32)
        together += bits.T @ bits  # whole numbers up to 2¹⁴: exact in float32
    covariance = together / len(codes) - np.outer(share, share)
    spread = np.sqrt(np.outer(share * (1 - share), share * (1 - share)))
    correlation = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def quantisation_error(logits: Float[np.ndarray, "n bits"]) -> Float[np.ndarray, " n"]:
    """1 − cos(v, sign v) of each item: how far its logits are from the code they become (OrthoHash).

    As cos(v, sign v) = Σ|v_k| / (√K·‖v‖), it is 0 where all |v_k| are equal, and less than 1; it is 1 for v = 0, which
    has no direction.

    Args:
        logits: real outputs of a hash head.

    Raises:
        ShapeError: not (n, bits) finite numbers.

    >>> quantisation_error(np.array([[2.0, -2.0], [1.0, 0.0]])).round(4)
    array([0.    , 0.2929])
    """
    real = as_array(logits, "logits").astype(np.float64, copy=False)
    if real.ndim != 2 or not np.isfinite(real).all():
        raise ShapeError(f"logits are (n, bits) finite numbers, got shape {real.shape}, or NaN or infinite ones")
    length = np.linalg.norm(real, axis=1) * np.sqrt(real.shape[1])
    error: np.ndarray = 1 - np.divide(np.abs(real).sum(axis=1), length, out=np.zeros(len(real)), where=length > 0)
    return error


@dataclass(frozen=True)
class ClassDistances:
    """Mean Hamming distance of pairs of items, in bits.

    Attributes:
        intra: over pairs that share a label; NaN if there is no such pair.
        inter: over pairs that share none; NaN if there is no such pair.
    """

    intra: float
    inter: float

    @property
    def separability(self) -> float:
        """Inter less intra: how far apart the classes lie compared with their size (OrthoHash, supplement)."""
        return self.inter - self.intra


def class_distances(codes: Codes, labels: Any) -> ClassDistances:
    """Mean distance within and between classes over all pairs of different items, for single labels.

    A pair differs in bit k when one has a 1 and the other a 0. With s of n items having it, s·(n − s) pairs differ; so
    ones counted by class and in total give both means exactly, in O(n·bits), without looking at a pair.

    Args:
        codes: n codes.
        labels: n single labels, in any form that `Labels.of` takes; items without a label are left out.

    Raises:
        ShapeError: not n labels, or multi-hot ones; `pair_distances` takes labels of any kind.

    >>> distances = class_distances(Codes.from_bits([[0, 0], [0, 1], [1, 1]]), np.array([4, 4, 9]))
    >>> distances.intra, distances.inter
    (1.0, 1.5)
    """
    numbers = _labels_of(codes, labels).numbers
    labelled = np.flatnonzero(numbers >= 0)
    classes, of_item = np.unique(numbers[labelled], return_inverse=True)
    sizes = np.bincount(of_item, minlength=len(classes))
    n = len(labelled)
    within, everywhere = 0, 0  # differing (pair, bit)s
    for word, left in zip(codes.words.T, range(codes.bits, 0, -64), strict=True):
        column = word[labelled]
        for bit in range(min(64, left)):
            ones = np.bincount(of_item[(column >> np.uint64(bit)) & np.uint64(1) == 1], minlength=len(classes))
            within += int((ones * (sizes - ones)).sum())
            everywhere += int(ones.sum()) * (n - int(ones.sum()))
    same = int((sizes * (sizes - 1) // 2).sum())
    other = n * (n - 1) // 2 - same
    return ClassDistances(
        intra=within / same if same else float("nan"),
        inter=(everywhere - within) / other if other else float("nan"),
    )


def pair_distances(counts: Histograms) -> ClassDistances:
    """Mean distance of relevant and of other pairs of queries and items; for labels of any kind.

    >>> pair_distances(Histograms(np.array([[1, 2, 1]]), np.array([[1, 1, 0]]), database=4))
    ClassDistances(intra=0.5, inter=1.5)
    """
    distance = np.arange(counts.bits + 1)
    relevant = counts.relevant.sum(axis=0)
    others = counts.total.sum(axis=0) - relevant
    means = [
        float((distance * pairs).sum() / pairs.sum()) if pairs.any() else float("nan") for pairs in (relevant, others)
    ]
    return ClassDistances(*means)


def codeword_accuracy(codes: Codes, codebook: Codes, labels: Any, top: int = 1) -> float:
    """Share of the labels whose codeword is among the `top` nearest of their item's code, by Hamming distance.

    For single labels and `top=1` this is the accuracy of the nearest codeword. Codewords at equal distance share the
    places that are left for them, so that the number of a class does not matter. For multi-hot labels every label
    counts once, so it is a recall.

    Args:
        codes: n codes.
        codebook: C codewords, one a class.
        labels: n labels of C classes, in any form that `Labels.of` takes; items without a label are left out.
        top: number of nearest codewords, 1 … C.

    >>> codebook = Codes.from_bits([[0, 0, 0], [1, 1, 1]])
    >>> codeword_accuracy(Codes.from_bits([[0, 1, 0], [0, 1, 0]]), codebook, np.array([0, 1]))
    0.5
    """
    classes = len(codebook)
    if whole_number(top, "top") > classes:
        raise BitseekError(f"top lies between 1 and the {classes} codewords, got {top}")
    items, wanted = _labels_of(codes, labels, classes).pairs()
    if not len(items):
        raise ShapeError("no item has a label, so there is no accuracy")
    reached = 0.0
    step = max(1, (1 << 22) // classes)
    for start in range(0, len(items), step):
        item, label = items[start : start + step], wanted[start : start + step]
        distances = hamming_distances(codes[item], codebook)
        mine = distances[np.arange(len(item)), label][:, None]
        nearer, tied = (distances < mine).sum(axis=1), (distances == mine).sum(axis=1)
        reached += float(np.clip((top - nearer) / tied, 0, 1).sum())
    return reached / len(items)


def _labels_of(codes: Codes, labels: Any, classes: int | None = None) -> Labels:
    packed = Labels.of(labels, classes)
    if len(packed) != len(codes):
        raise ShapeError(f"there are {len(codes)} codes and labels of {len(packed)} items; they belong in pairs")
    return packed
