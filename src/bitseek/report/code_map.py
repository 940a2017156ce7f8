"""The map of the codes: a point for each item of a sample, coloured by class, with its image when it is touched."""

import colorsys
from typing import Any

import numpy as np

from bitseek.report.findings import Findings
from bitseek.report.html import Html, count, data, figure, join, tag
from bitseek.report.layout import Kind, layout
from bitseek.report.thumbnails import CELL, sheet, thumbnails

SAMPLE = 1500
SIDE = 640
NAMED = 20
"""Up to so many classes are named on the map itself."""

COLOURS = (
    "#4878cf", "#e58b2a", "#3f9e4d", "#d1495b", "#8d6cc4", "#8c613c", "#d16ba5", "#7a8794", "#b3a125", "#2ba6b5"
)  # fmt: skip


def code_map(findings: Findings, kind: Kind = "tsne", sample: int = SAMPLE, seed: int = 0) -> Html:
    """The map with its legend and the data that the script of the page needs."""
    ids = findings.database.ids
    chosen = np.sort(np.random.default_rng(seed).permutation(len(ids))[:sample])
    codes = findings.codes[chosen]
    places = layout(codes, kind, seed)
    pool = findings.protocol.pool
    hot = _labels_of(findings, ids[chosen])
    pictures = sheet(thumbnails(pool.images, ids[chosen], CELL))
    sizes = np.bincount([label for labels in hot for label in labels], minlength=len(pool.classes))
    main = [min(labels, key=lambda label: (sizes[label], label), default=-1) for labels in hot]
    shown = np.flatnonzero(sizes)
    colours = {int(label): colour(rank) for rank, label in enumerate(shown)}
    points = [
        tag("circle", cx=f"{10 + x * (SIDE - 20):.1f}", cy=f"{10 + y * (SIDE - 20):.1f}", r=4.5,
            fill=colours.get(main[i], "#888888"))
        for i, (x, y) in enumerate(places.tolist())
    ]  # fmt: skip
    names = _names(places, main, pool.classes) if 0 < len(shown) <= NAMED else []
    picture = tag(
        "svg", tag("g", *points), tag("g", *names, class_="names"), viewBox=f"0 0 {SIDE} {SIDE}", role="img",
        aria_label=f"Map of {len(chosen)} codes, near codes near each other", id="plane",
    )  # fmt: skip
    details: dict[str, Any] = {
        "classes": list(pool.classes) if len(shown) else [],
        "labels": hot,
        "codes": codes.hex(),
        "names": pool.keys_of(ids[chosen]),
        "places": [pictures.place.get(int(i), -1) if pictures else -1 for i in ids[chosen]],
        "sheet": pictures.to_json() if pictures else None,
    }
    style = tag("style", Html(f".shot{{background-image:url({pictures.uri})}}")) if pictures else None
    method = "t-SNE" if kind == "tsne" else "UMAP"
    caption = (
        f"{count(len(chosen))} of {count(len(ids))} items of the database by {method} on Hamming distances, seed "
        f"{seed}. Near points are near codes, and items with one code lie around one place; the space between groups "
        "means little."
    )
    if findings.protocol.multi_label and len(shown):
        caption += " An item with several labels has the colour of the rarest of them."
    legend = [
        tag("button", tag("i", style=f"background:{colours[c]}"), pool.classes[c], tag("small", count(int(sizes[c]))),
            type="button", data_class=c, aria_pressed="false")
        for c in colours
    ]  # fmt: skip
    return join(
        style,
        tag("div", figure(picture, caption), tag("div", *legend, class_="legend") if legend else None, class_="map"),
        data("points", details),
    )


def colour(rank: int) -> str:
    """A colour for a class: the first ten are chosen, further ones go around the wheel by the golden angle.

    >>> colour(0), colour(10) != colour(11)
    ('#4878cf', True)
    """
    if rank < len(COLOURS):
        return COLOURS[rank]
    red, green, blue = colorsys.hls_to_rgb(rank * 0.381966 % 1, (0.42, 0.55, 0.66)[rank % 3], 0.55)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _labels_of(findings: Findings, ids: np.ndarray) -> list[list[int]]:
    labels = findings.labels(ids)
    if labels.ndim == 2:
        return [np.flatnonzero(row).tolist() for row in labels]
    return [[int(label)] if label >= 0 else [] for label in labels]


def _names(places: np.ndarray, main: list[int], classes: tuple[str, ...]) -> list[Html]:
    """The name of each class at that of its items which is nearest to the median of them."""
    owner = np.array(main)
    names = []
    for label in np.unique(owner[owner >= 0]):
        own = places[owner == label]
        x, y = own[np.abs(own - np.median(own, axis=0)).sum(axis=1).argmin()]
        names.append(tag("text", classes[label], x=f"{10 + x * (SIDE - 20):.1f}", y=f"{14 + y * (SIDE - 20):.1f}",
                         text_anchor="middle", data_class=int(label)))  # fmt: skip
    return names
