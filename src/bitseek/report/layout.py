"""A map of codes: a place in the plane for each, so that codes at a small Hamming distance are neighbours."""

import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float64

from bitseek.codes import Codes
from bitseek.errors import BitseekError, MissingExtra

Kind = Literal["tsne", "umap"]

APART = 0.006
"""Distance of the first two items that share a code, in sides of the square."""


def layout(codes: Codes, kind: str = "tsne", seed: int = 0) -> Float64[np.ndarray, "n 2"]:
    """Places in the unit square.

    t-SNE (van der Maaten and Hinton, 2008) or UMAP (McInnes et al., 2018) on Hamming distances, from the first two
    principal components of the signs. Both draw near codes together; how far apart groups lie, and how large they
    are, means little. A code has one place, and items that share it lie around that. Fewer than 5 different codes are
    shown by their principal components.

    Args:
        codes: n codes; some thousands at most.
        kind: `tsne` or `umap`.
        seed: the same seed gives the same map on the same machine.

    Raises:
        MissingExtra: UMAP is not installed.
        BitseekError: another kind.
    """
    if kind not in ("tsne", "umap"):
        raise BitseekError(f"a map is made by tsne or umap, got {kind!r}")
    words, code_of = np.unique(codes.words, axis=0, return_inverse=True)
    code_of, different = code_of.reshape(-1), Codes(words, codes.bits)
    places = _principal(different, np.random.default_rng(seed))
    if len(different) >= 5:
        places = (_tsne if kind == "tsne" else _umap)(different, places, seed)
    return _unit(_unit(places.astype(np.float64))[code_of] + _around(code_of))


def _tsne(codes: Codes, start: np.ndarray, seed: int) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train") from error
    model = TSNE(
        perplexity=min(30.0, (len(codes) - 1) / 3),
        metric="hamming",
        init=(1e-4 * start).astype(np.float32),
        random_state=seed,
    )
    places: np.ndarray = model.fit_transform(codes.to_bits())
    return places


def _umap(codes: Codes, start: np.ndarray, seed: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtra("umap-learn", "plots") from error
    neighbours = min(15, len(codes) - 1)
    model = UMAP(n_neighbors=neighbours, metric="hamming", init=start, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():  # it cannot map places back to codes, and says so
        warnings.filterwarnings("ignore", "gradient function is not yet implemented", UserWarning)
        places: np.ndarray = model.fit_transform(codes.to_bits().astype(np.float32))
    return places


def _principal(codes: Codes, generator: np.random.Generator) -> np.ndarray:
    """The first two principal components of the signs, each of standard deviation 1, and a grain of noise.

    The noise stands in for a component that does not exist.
    """
    signs = codes.to_signs().astype(np.float64)
    signs -= signs.mean(axis=0, keepdims=True)
    _, vectors = np.linalg.eigh(signs.T @ signs)
    places = signs @ vectors[:, ::-1][:, :2]
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    deviation = places.std(axis=0)
    places /= np.where(deviation > 1e-9, deviation, 1.0)
    return np.asarray(places + 0.01 * generator.standard_normal(places.shape))


def _around(code_of: np.ndarray) -> np.ndarray:
    """A disc for the items of each code, filled evenly from its middle, as the seeds of a sunflower lie."""
    order = np.argsort(code_of, kind="stable")
    counts = np.bincount(code_of)
    rank = np.empty(len(code_of))
    rank[order] = np.arange(len(code_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    radius, angle = APART * np.sqrt(rank), rank * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _unit(places: np.ndarray) -> np.ndarray:
    """Shifted and scaled by one factor so that they fill the unit square and lie in its middle."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip(0.5 + (places - (low + high) / 2) / span, 0.0, 1.0))
