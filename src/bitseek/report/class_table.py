"""The classes: the code that stands for each, how far its items spread, and how far apart the classes lie."""

import numpy as np
from PIL import Image

from bitseek.report.class_codes import ClassCodes, class_codes
from bitseek.report.findings import Findings
from bitseek.report.heatmap import heatmap
from bitseek.report.html import Content, Html, count, figure, join, number, table, tag
from bitseek.report.thumbnails import data_uri

MOST_CLASSES, MOST_WRITTEN, MOST_DRAWN_BITS = 200, 24, 128


def class_table(findings: Findings) -> Html | None:
    """A row for each class, and the matrix of distances; None where there are no classes."""
    if not findings.classes:
        return None
    bits = findings.config["bits"]
    found = class_codes(findings.codes, findings.labels(), max(1, min(2, bits // 8)), MOST_CLASSES)
    left_out = int(findings.protocol.pool.unlabelled[findings.database.ids].sum())
    note = f"Of the database; {count(left_out)} items without a label are left out." if left_out else None
    if len(findings.classes) > len(found):
        note = f"{note or ''} The {len(found)} largest of {count(len(findings.classes))} classes are shown."
    return join(
        tag("p", "The most frequent code of each class, in hexadecimal digits and as bits, and how its items spread "
                 "around it.", class_="note"),
        tag("div", _rows(findings, found), class_="scroll"),
        tag("p", note, class_="note") if note else None,
        _matrix(findings, found) if len(found) > 1 else None,
    )  # fmt: skip


def _rows(findings: Findings, found: ClassCodes) -> Html:
    precision = _by_class(findings, found.classes)
    near = f"within {found.radius} bit{'' if found.radius == 1 else 's'}#"
    columns = ["class", "code", "bits", "items#", "with this code#", near, "different codes#", "mean distance#",
               "nearest class", "mAP#"]  # fmt: skip
    rows: list[list[Content]] = []
    for i, number_ in enumerate(found.classes):
        others = np.where(np.arange(len(found)) == i, np.iinfo(np.int64).max, found.distances[i])
        nearest = int(others.argmin())
        apart = int(found.distances[i, nearest])
        name = findings.classes[found.classes[nearest]]
        other = f"{name}, {apart} bit{'' if apart == 1 else 's'}"
        rows.append([
            findings.classes[number_],
            tag("code", found.codes[i].hex()[0]),
            bit_strip(found.codes[i].to_bits()[0]) if found.codes.bits <= MOST_DRAWN_BITS else None,
            count(int(found.items[i])),
            f"{100 * found.same[i] / found.items[i]:.1f} %",
            f"{100 * found.near[i] / found.items[i]:.1f} %",
            count(int(found.distinct[i])),
            number(float(found.spread[i]), 2),
            None if len(found) == 1 else other if apart else tag("b", f"{name}, the same code", class_="wrong"),
            number(precision[i], 3),
        ])  # fmt: skip
    return table(columns, rows)


def bit_strip(bits: np.ndarray) -> Html:
    """The bits of a code as a row of squares, dark for 1."""
    pixels = np.zeros((1, len(bits), 4), np.uint8)
    pixels[0, bits] = (72, 120, 207, 255)
    text = "".join("1" if bit else "0" for bit in bits)
    return tag("img", src=data_uri(Image.fromarray(pixels, "RGBA")), alt=text, class_="bits",
               style=f"width:{min(6 * len(bits), 192)}px")  # fmt: skip


def _by_class(findings: Findings, classes: np.ndarray) -> list[float | None]:
    """Mean of the average precision over the queries of each class."""
    if findings.retrieval is None:
        return [None] * len(classes)
    labels, values = findings.labels(findings.queries.ids), findings.retrieval.per_query
    means: list[float | None] = []
    for label in classes:
        own = values[labels == label if labels.ndim == 1 else labels[:, label] > 0]
        means.append(float(own.mean()) if len(own) else None)
    return means


def _matrix(findings: Findings, found: ClassCodes) -> Html:
    names = [findings.classes[c] for c in found.classes]
    half = found.codes.bits / 2
    distances = found.distances
    apart = distances[~np.eye(len(found), dtype=bool)]
    caption = (
        f"Distances between the codes of the classes, in bits: {apart.min()} at least, {apart.mean():.2f} on average "
        f"({number(half, 1)} for random codes). The bluer, the nearer."
    )
    if len(found) > MOST_WRITTEN:
        closeness = 1 - distances / half
        caption += " In the order of the table; orange is further than random."
        return figure(heatmap(closeness, "Distances between the codes of the classes"), caption)
    head = tag("tr", tag("td"), *(tag("th", name, scope="col") for name in names))
    body = []
    for i, name in enumerate(names):
        cells = []
        for j, other in enumerate(names):
            mean = f"between their items {number(float(found.mean_distances[i, j]), 2)} on average"
            strength = max(0.0, 1 - distances[i, j] / half)
            cells.append(
                tag("td", "·" if i == j else str(distances[i, j]), data_tip=f"{name} and {other}: {mean}",
                    style=f"background:rgba(72,120,207,{0.75 * strength if i != j else 0:.2f})",
                    class_="same" if i != j and distances[i, j] == 0 else None)
            )  # fmt: skip
        body.append(tag("tr", tag("th", name, scope="row"), *cells))
    return figure(tag("div", tag("table", head, *body, class_="matrix"), class_="scroll"), caption)
