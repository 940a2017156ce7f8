"""The page: its sections in one self-contained HTML file."""

import os
from importlib.resources import files
from pathlib import Path

from bitseek.atomic import atomic
from bitseek.report.bit_health import bit_health
from bitseek.report.class_table import class_table
from bitseek.report.code_map import SAMPLE, code_map
from bitseek.report.findings import Findings
from bitseek.report.html import Html, join, tag
from bitseek.report.layout import Kind
from bitseek.report.overview import head, ranking
from bitseek.report.provenance import provenance
from bitseek.report.query_rows import query_rows
from bitseek.report.training_curves import training_curves

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The page fetches nothing from anywhere, and the browser is told to see to it."""


def page(findings: Findings, *, map_kind: Kind = "tsne", sample: int = SAMPLE, threads: int | None = None) -> Html:
    """The whole page.

    Args:
        findings: of `look`.
        map_kind: of the map, `tsne` or `umap`.
        sample: at most so many items are on the map.
        threads: how many decode files.
    """
    sections = {
        "Ranking": ranking(findings),
        "Training": training_curves(findings),
        "Map": code_map(findings, map_kind, sample),
        "Classes": class_table(findings),
        "Bits": bit_health(findings),
        "Queries": query_rows(findings, threads),
        "Origin": provenance(findings),
    }
    config = findings.config
    title = f"{config['bits']}-bit codes by {config['method']} on {findings.protocol.name}"
    shown = {name: content for name, content in sections.items() if content is not None}
    links = [tag("a", name, href=f"#{name.lower()}") for name in shown]
    body = [tag("section", tag("h2", name), content, id=name.lower()) for name, content in shown.items()]
    return join(
        Html("<!doctype html>\n"),
        tag(
            "html",
            tag(
                "head",
                tag("meta", charset="utf-8"),
                tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
                tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
                tag("meta", name_="color-scheme", content="light dark"),
                tag("title", title),
                tag("style", _part("page.css")),
            ),
            tag("body", tag("nav", *links), tag("main", head(findings), *body), tag("script", _part("page.js"))),
            lang="en",
        ),
        "\n",
    )


def write_page(path: str | os.PathLike[str], findings: Findings, **options: object) -> Path:
    """Write the page, atomically; `options` are those of `page`.

    Raises:
        BitseekError: the file cannot be written.
    """
    target = Path(path)
    text = page(findings, **options)  # type: ignore[arg-type]
    with atomic(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


def _part(name: str) -> Html:
    return Html((files("bitseek.report") / name).read_text(encoding="utf-8"))
