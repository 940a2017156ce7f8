"""The map of a collection: a place in the plane for each item, so that near codes are neighbours.

A fit places at most FIT different codes; all other items stand where the nearest codes of the fit stand. So a fit takes
minutes at most, however many items there are, and what an update adds is placed without another one.
"""

import logging
import warnings
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from jaxtyping import Float32, Float64, Int64

from bitseek._files import read_npz, write_npz
from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.index import HammingIndex
from bitseek.kernels.umap import load_umap

MapKind = Literal["umap", "pca"]

FIT = 50_000
"""Different codes that a fit places at most; a seeded sample of them."""

MOST = 250_000
"""Items on a map at most: of a larger collection an even sample, which stays nearly the same from update to update."""

NEIGHBOURS = 15
NEAREST = 3
"""Known codes whose places are averaged for a code that is not known."""

FILLED = 0.2
"""Share of the unit square that the items cover, if those of one code lie side by side; see `spread`."""


class Map(NamedTuple):
    """Places of items in the unit square."""

    ids: Int64[np.ndarray, " n"]
    xy: Float32[np.ndarray, "n 2"]
    kind: MapKind
    generation: int
    """The update of the collection for which it was made."""


def make(
    file: Path,
    codes: Codes,
    alive: Int64[np.ndarray, " alive"],
    generation: int,
    *,
    afresh: bool = False,
    seed: int = 0,
    threads: int | None = None,
) -> Map:
    """Make the map of a collection, or bring it up to date, and write it.

    Items that are on the map already keep their places, unless there are more than twice as many as at the last fit.

    Args:
        file: map.npz of the collection.
        codes: of all ids that were ever given.
        alive: ids of the items, ascending.
        generation: of the collection.
        afresh: whether to fit again, whatever is there.
        seed: the same seed gives the same map on the same machine.
        threads: for the search of neighbours.

    Raises:
        BitseekError: the file cannot be written.
    """
    ids = sampled(alive, MOST)
    old = None if afresh else _stored(file, len(codes))
    old = None if old is None else old.of(ids)
    if old is None or not len(old.ids) or len(ids) > 2 * old.fitted:
        kind, xy = places(codes[ids], seed=seed, threads=threads)
        new = _Stored(ids, xy, kind, generation, len(ids))
    else:
        added = np.setdiff1d(ids, old.ids, assume_unique=True)
        joined = np.concatenate([old.ids, added])
        xy = np.concatenate([old.xy, placed(codes[added], codes[old.ids], old.xy, threads=threads)])
        order = np.argsort(joined)
        new = _Stored(joined[order], xy[order], old.kind, generation, old.fitted)
    write_npz(file, **new._asdict())
    return new.shown(codes)


def read(file: Path, codes: Codes, alive: Int64[np.ndarray, " alive"]) -> Map | None:
    """The map that `make` wrote, without items that are gone since; None if there is none, or a damaged one."""
    stored = _stored(file, len(codes))
    return None if stored is None else stored.of(alive).shown(codes)


def places(codes: Codes, *, seed: int = 0, threads: int | None = None) -> tuple[MapKind, Float32[np.ndarray, "n 2"]]:
    """Places of codes in the unit square, equal codes at one place, and how they were found.

    `umap`: UMAP (McInnes et al., 2018) on the exact nearest neighbours by Hamming distance, from the principal
    components. `pca`: the first two principal components of the signs alone, which is classical scaling of the roots
    of the Hamming distances; where umap-learn is not installed, and for fewer than 5 different codes.
    """
    words = np.unique(codes.words, axis=0)
    different = Codes(words, codes.bits)
    if len(different) > FIT:
        different = different[np.sort(np.random.default_rng(seed).permutation(len(different))[:FIT])]
    kind: MapKind = "pca"
    found = _principal(different)
    if len(different) >= 5:
        try:
            found, kind = _umap(different, found, seed, threads), "umap"
        except ImportError:
            logging.getLogger(__name__).info("umap-learn is not installed, so the map shows principal components")
    return kind, placed(codes, different, _unit(found), threads=threads)


def placed(
    codes: Codes, known: Codes, xy: Float32[np.ndarray, "known 2"], *, threads: int | None = None
) -> Float32[np.ndarray, "n 2"]:
    """Where codes stand among others whose places are known.

    A known code stands where it stands (the first, if several are equal); another one at the mean of the NEAREST known
    ones, weighted by the inverse square of their distances.
    """
    found = np.empty((len(codes), 2), np.float32)
    index = HammingIndex(known, threads=threads)
    for start in range(0, len(codes), _AT_ONCE):
        hits = index.nearest(codes[start : start + _AT_ONCE], k=min(NEAREST, len(known)))
        distances = hits.distances.astype(np.float64)
        weights = np.where(distances[:, :1] == 0, np.arange(distances.shape[1]) == 0, 1 / np.maximum(distances, 1) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        found[start : start + _AT_ONCE] = (xy[hits.ids] * weights[:, :, None]).sum(axis=1)
    return found


def spread(codes: Codes, xy: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 2"]:
    """Places at which items of one code do not hide each other, but fill a disc (see `discs`).

    The area of a disc grows with the number of its items.
    """
    if not len(codes):
        return xy
    _, code_of = np.unique(codes.words, axis=0, return_inverse=True)
    offsets = discs(code_of.reshape(-1), float(np.sqrt(FILLED / np.pi / len(codes))))
    return np.asarray(np.clip(xy + offsets, 0, 1), np.float32)


def discs(code_of: Int64[np.ndarray, " n"], first: float) -> Float64[np.ndarray, "n 2"]:
    """Offsets that spread the items of each code evenly over a disc, by the golden angle (Vogel, 1979).

    Args:
        code_of: number of the code of each item.
        first: how far from the middle the second item lies; item i lies √i times as far.
    """
    order, counts = np.argsort(code_of, kind="stable"), np.bincount(code_of)
    rank = np.empty(len(code_of))
    rank[order] = np.arange(len(code_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    radius, angle = first * np.sqrt(rank), rank * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def sampled(ids: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """At most so many of the ids, ascending: those with the least hash, so that few change when ids come and go."""
    if len(ids) <= most:
        return ids
    scattered = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash
    return np.sort(ids[np.argpartition(scattered, most)[:most]])


def _umap(codes: Codes, start: np.ndarray, seed: int, threads: int | None) -> Float64[np.ndarray, "n 2"]:
    near = min(NEIGHBOURS, len(codes) - 1)
    hits = HammingIndex(codes, threads=threads).nearest(codes, k=near)
    neighbours = hits.ids.astype(np.int64), (hits.distances / codes.bits).astype(np.float32)
    with warnings.catch_warnings():  # that there is no TensorFlow, and neither the transform nor its inverse
        warnings.simplefilter("ignore", ImportWarning)
        warnings.simplefilter("ignore", UserWarning)
        model = load_umap()(
            n_neighbors=near,
            metric="hamming",
            init=start,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=neighbours,
            force_approximation_algorithm=True,  # or neighbours of fewer than 4,096 codes would not be taken
        )
        return np.asarray(model.fit_transform(codes.to_bits().astype(np.float32)), np.float64)


def _principal(codes: Codes) -> Float64[np.ndarray, "n 2"]:
    """The first two principal components of the signs, block by block."""
    blocks = [codes[start : start + _AT_ONCE] for start in range(0, len(codes), _AT_ONCE)]
    total, products = np.zeros(codes.bits), np.zeros((codes.bits, codes.bits))
    for block in blocks:
        signs = block.to_signs().astype(np.float32)
        total += signs.sum(axis=0)
        products += signs.T @ signs  # sums of ±1, whole numbers that float32 holds for a block
    mean = total / max(len(codes), 1)
    _, vectors = np.linalg.eigh(products / max(len(codes), 1) - np.outer(mean, mean))
    axes = np.zeros((codes.bits, 2))
    axes[:, : min(2, codes.bits)] = vectors[:, ::-1][:, :2]
    axes *= np.where(axes.sum(axis=0) < 0, -1.0, 1.0)  # an eigenvector's sign is no property of the codes
    return np.concatenate([np.zeros((0, 2)), *((block.to_signs() - mean) @ axes for block in blocks)])


def _unit(places: Float64[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 2"]:
    """Shifted and scaled by one factor, so that they fill the unit square but for a margin, centred."""
    if not len(places):
        return places.astype(np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), 1e-12) / 0.94
    return np.asarray(0.5 + (places - (low + high) / 2) / span, np.float32)


class _Stored(NamedTuple):
    """What map.npz holds; items of one code are at one place."""

    ids: Int64[np.ndarray, " n"]
    xy: Float32[np.ndarray, "n 2"]
    kind: MapKind
    generation: int
    fitted: int
    """Items at the last fit."""

    def of(self, ids: Int64[np.ndarray, " some"]) -> "_Stored":
        """What is stored of these ids."""
        here = np.isin(self.ids, ids, assume_unique=True)
        return self._replace(ids=self.ids[here], xy=self.xy[here])

    def shown(self, codes: Codes) -> Map:
        return Map(self.ids, spread(codes[self.ids], self.xy), self.kind, self.generation)


def _stored(file: Path, codes: int) -> _Stored | None:
    """What a file holds; None, and a line in the log, if that is no map of so many codes."""
    if not file.exists():
        return None
    try:
        arrays = read_npz(file)
        ids, xy, kind = arrays["ids"], arrays["xy"], str(arrays["kind"])
        ascending = ids.dtype == np.int64 and ids.ndim == 1 and bool((np.diff(ids, prepend=-1, append=codes) > 0).all())
        placed = xy.dtype == np.float32 and xy.shape == (len(ids), 2) and bool(np.isfinite(xy).all())
        if not (ascending and placed and kind in get_args(MapKind)):
            raise BitseekError(f"{file} is not a map of this collection")
        return _Stored(ids, xy, cast(MapKind, kind), int(arrays["generation"]), int(arrays["fitted"]))
    except (BitseekError, KeyError, ValueError, TypeError) as error:
        logging.getLogger(__name__).warning("the map is made again: %s", error)
        return None


_AT_ONCE = 1 << 16
"""Codes handled at once, which bounds the memory."""
