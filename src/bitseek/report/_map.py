"""The map of the codes: a point for each item of a sample, so that codes at a small Hamming distance are neighbours."""

import colorsys
import warnings
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64

from bitseek.codes import Codes
from bitseek.collection import discs
from bitseek.errors import BitseekError, MissingExtra
from bitseek.evaluation import Report
from bitseek.images import printable
from bitseek.kernels.umap import load_umap
from bitseek.report._pictures import CELL, sheet, thumbnails

MapKind = Literal["tsne", "umap"]

DISC = 0.006
"""Radius of the disc of two items that share a code, in sides of the square; it grows with the root of their number."""

SAMPLE = 1500
SIDE, MARGIN = 640, 10
NAMED = 20
"""Up to so many classes are named on the map itself."""

COLOURS = (
    "#4878cf", "#e58b2a", "#3f9e4d", "#d1495b", "#8d6cc4", "#8c613c", "#d16ba5", "#7a8794", "#b3a125", "#2ba6b5"
)  # fmt: skip
UNLABELLED = "#888888"


def code_map(
    report: Report, kind: MapKind = "tsne", sample: int = SAMPLE, threads: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """What `templates/map.html` draws: points, names and legend, and the data for page.js."""
    chosen = sampled(len(report.database.ids), sample, seed)
    ids, codes, pool = report.database.ids[chosen], report.database.codes[chosen], report.protocol.pool
    places = layout(codes, kind, seed)
    hot = pool.labels[ids].multi_hot()
    sizes = hot.sum(axis=0)
    labels = [np.flatnonzero(row).tolist() for row in hot]
    rarest = np.array([min(own, key=lambda label: (sizes[label], label), default=-1) for own in labels])
    colours = {number: colour(rank) for rank, number in enumerate(np.flatnonzero(sizes).tolist())}
    pictures = thumbnails(pool.images, ids, CELL, threads)
    place_of = {index: place for place, index in enumerate(pictures)}
    uri, grid = sheet(list(pictures.values())) or (None, None)
    drawn = np.round(MARGIN + places * (SIDE - 2 * MARGIN), 1)
    return {
        "kind": "t-SNE" if kind == "tsne" else "UMAP",
        "side": SIDE,
        "seed": seed,
        "points": [(x, y, colours.get(own, UNLABELLED)) for (x, y), own in zip(drawn.tolist(), rarest, strict=True)],
        "names": _names(drawn, rarest, pool.classes) if 0 < len(colours) <= NAMED else [],
        "legend": [(number, pool.classes[number], shown, int(sizes[number])) for number, shown in colours.items()],
        "several": any(len(own) > 1 for own in labels),
        "sheet": uri,
        "data": {
            "classes": list(pool.classes) if colours else [],
            "labels": labels,
            "codes": codes.hex(),
            "names": [printable(key) for key in pool.keys_of(ids)],
            "places": [place_of.get(index, -1) for index in ids.tolist()],
            "sheet": grid,
        },
    }


def sampled(n: int, most: int, seed: int = 0) -> np.ndarray:
    """At most so many of n places, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def colour(rank: int) -> str:
    """A colour for a class: the first ten are chosen by hand, further hues are a golden angle apart.

    >>> colour(0), colour(10) != colour(11)
    ('#4878cf', True)
    """
    if rank < len(COLOURS):
        return COLOURS[rank]
    channels = colorsys.hls_to_rgb(rank * 0.381966 % 1, (0.42, 0.55, 0.66)[rank % 3], 0.55)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _names(places: np.ndarray, main: np.ndarray, classes: tuple[str, ...]) -> list[tuple[float, float, int, str]]:
    """The name of each class at that of its items which is nearest to their median."""
    names = []
    for number in np.unique(main[main >= 0]).tolist():
        own = places[main == number]
        x, y = own[np.abs(own - np.median(own, axis=0)).sum(axis=1).argmin()].tolist()
        names.append((x, round(y + 4, 1), number, classes[number]))
    return names


def layout(codes: Codes, kind: str = "tsne", seed: int = 0) -> Float64[np.ndarray, "n 2"]:
    """Places in the unit square.

    t-SNE (van der Maaten and Hinton, 2008) or UMAP (McInnes et al., 2018) on Hamming distances, from the first two
    principal components of the signs. Both place near codes near each other; the distance between groups and their
    size mean little. A code has one place, and items that share it fill a disc around it. Fewer than 5 different codes
    are placed by their principal components.

    Args:
        codes: n codes; some thousands at most.
        kind: `tsne` or `umap`.
        seed: the same seed gives the same map on the same machine.

    Raises:
        MissingExtra: scikit-learn (tsne) or umap-learn (umap) is not installed.
        BitseekError: another kind.
    """
    if kind not in get_args(MapKind):
        raise BitseekError(f"a map is made by tsne or umap, got {kind!r}")
    words, code_of = np.unique(codes.words, axis=0, return_inverse=True)
    code_of, different = code_of.reshape(-1), Codes(words, codes.bits)
    places = _principal(different, np.random.default_rng(seed))
    if len(different) >= 5:
        places = (_tsne if kind == "tsne" else _umap)(different, places, seed)
    return _unit(_unit(places.astype(np.float64))[code_of] + discs(code_of, DISC))


def _tsne(codes: Codes, start: np.ndarray, seed: int) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train") from error
    perplexity = min(30.0, (len(codes) - 1) / 3)
    start = (1e-4 * start).astype(np.float32)
    places = TSNE(perplexity=perplexity, metric="hamming", init=start, random_state=seed).fit_transform(codes.to_bits())
    return np.asarray(places)


def _umap(codes: Codes, start: np.ndarray, seed: int) -> np.ndarray:
    try:
        umap = load_umap()
    except ImportError as error:
        raise MissingExtra("umap-learn", "plots") from error
    model = umap(n_neighbors=min(15, len(codes) - 1), metric="hamming", init=start, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():  # that the inverse transform is not available
        warnings.filterwarnings("ignore", "gradient function is not yet implemented", UserWarning)
        return np.asarray(model.fit_transform(codes.to_bits().astype(np.float32)))


def _principal(codes: Codes, generator: np.random.Generator) -> np.ndarray:
    """(n, 2): the first two principal components of the signs, of standard deviation 1, plus noise of 0.01.

    The noise separates codes when there is only one component.
    """
    signs = codes.to_signs().astype(np.float64)
    signs -= signs.mean(axis=0, keepdims=True)
    _, vectors = np.linalg.eigh(signs.T @ signs)
    places = signs @ vectors[:, ::-1][:, :2]
    places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    deviation = places.std(axis=0)
    places /= np.where(deviation > 1e-9, deviation, 1.0)
    return np.asarray(places + 0.01 * generator.standard_normal(places.shape))


def _unit(places: np.ndarray) -> np.ndarray:
    """Shifted and scaled by one factor so that they fill the unit square, centred."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip(0.5 + (places - (low + high) / 2) / span, 0.0, 1.0))
