"""Queries with their nearest items, right and wrong ones marked by colour and by sign."""

import numpy as np

from bitseek.report.examples import Example, any_of, best, worst
from bitseek.report.findings import Findings
from bitseek.report.html import Html, count, join, number, tag
from bitseek.report.thumbnails import TILE, data_uri, thumbnails

QUERIES, HITS = 6, 10
MOST_NAMES = 3


def query_rows(findings: Findings, threads: int | None = None) -> Html:
    """The best and the worst queries; or some, where nothing is known to be relevant."""
    if findings.retrieval is None:
        groups = {"Some queries": any_of(findings, QUERIES, HITS)}
    else:
        groups = {
            "Best queries": best(findings, QUERIES, HITS),
            "Worst queries": worst(findings, QUERIES, HITS),
        }
    examples = [example for group in groups.values() for example in group]
    wanted = np.unique(np.concatenate([[e.query for e in examples], *(e.ids for e in examples)]).astype(np.int64))
    pictures = {i: data_uri(p) for i, p in thumbnails(findings.protocol.pool.images, wanted, TILE, threads).items()}
    parts = [
        join(tag("h3", title), *(_row(findings, example, pictures) for example in group))
        for title, group in groups.items()
    ]
    told = "Nearest first; items at equal distance in the order of the database. d is the distance in bits."
    signs = "✓ and a green frame: relevant; ✗ and a red, dashed frame: not relevant. AP is the average precision. "
    return join(tag("p", None if findings.retrieval is None else signs, told, class_="note"), *parts)


def _row(findings: Findings, example: Example, pictures: dict[int, str]) -> Html:
    ap = None
    if example.ap is not None and example.right is not None:
        ap = f"AP {number(example.ap, 3)}, {int(example.right.sum())} of {len(example.ids)} right"
    query = _tile(findings, example.query, pictures, tag("span", "query"), "query")
    hits = [_tile(findings, int(i), pictures, _mark(example, k), _kind(example, k)) for k, i in enumerate(example.ids)]
    relevant = "" if example.relevant is None else f"{count(example.relevant)} relevant in the database"
    return tag(
        "div", tag("p", tag("b", ap) if ap else None, tag("span", relevant) if relevant else None, class_="score"),
        tag("div", query, tag("div", *hits, class_="hits"), class_="row"), class_="example",
    )  # fmt: skip


def _kind(example: Example, k: int) -> str:
    return "plain" if example.right is None else "right" if example.right[k] else "wrong"


def _mark(example: Example, k: int) -> Html:
    sign = {"right": "✓ ", "wrong": "✗ ", "plain": ""}[_kind(example, k)]
    return tag("span", f"{sign}d = {example.distances[k]}")


def _tile(findings: Findings, index: int, pictures: dict[int, str], caption: Html, kind: str) -> Html:
    name = findings.protocol.pool.key(index)
    classes = _classes(findings, index)
    label = f"{', '.join(classes[:MOST_NAMES])}{' …' if len(classes) > MOST_NAMES else ''}" if classes else ""
    said = {"right": "relevant", "wrong": "not relevant", "query": "query", "plain": "found"}[kind]
    shown = (
        tag("img", src=pictures[index], alt=f"{said}: {label or name}", loading="lazy")
        if index in pictures
        else tag("div", name, class_="blank")
    )
    more = f"{name}: {', '.join(classes)}" if classes else name
    return tag("figure", shown, tag("figcaption", caption, tag("span", label)), class_=f"tile {kind}", data_tip=more)


def _classes(findings: Findings, index: int) -> list[str]:
    if not findings.classes:
        return []
    row = findings.protocol.pool.multi_hot([index])[0]
    return [findings.classes[label] for label in np.flatnonzero(row)]
