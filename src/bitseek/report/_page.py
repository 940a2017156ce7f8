"""The page: its sections in one self-contained HTML file."""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bitseek._files import atomic, free_target
from bitseek.errors import BitseekError
from bitseek.evaluation import Report
from bitseek.report import _sections as sections
from bitseek.report._map import SAMPLE, MapKind, code_map


def render_page(
    report: Report,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    search: Mapping[str, Any] | None = None,
    map_kind: MapKind = "tsne",
    sample: int = SAMPLE,
    threads: int | None = None,
) -> str:
    """The whole page as HTML, which is valid UTF-8 whatever the names of files and classes are.

    Args:
        report: of `bitseek.evaluate`.
        history: what was logged after each epoch, the records of metrics.jsonl.
        search: what `auto` tried before, as `bitseek.training.read_search` gives it.
        map_kind: how the codes are placed on the map, `tsne` or `umap`.
        sample: at most so many items are on the map.
        threads: how many decode images.

    Raises:
        BitseekError: a sample of no items, or another kind of map.
        MissingExtra: what draws that kind of map is not installed.
    """
    if sample < 1:
        raise BitseekError(f"the map shows at least 1 item, got sample={sample}")
    shown = {
        "ranking": sections.ranking(report),
        "search": sections.search(search),
        "training": sections.training(history),
        "map": code_map(report, map_kind, sample, threads),
        "classes": sections.classes(report),
        "bits": sections.bits(report),
        "queries": sections.queries(report, threads),
        "origin": sections.origin(report),
    }
    script = _source("page.js")
    page = (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            config=report.config,
            head=sections.head(report),
            sections={name: found for name, found in shown.items() if found is not None},
            style=Markup(_source("page.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


MARK = b'<meta name="generator" content="bitseek report">'
"""By which a page is known to be ours, so that no other file is replaced."""


def free_page(path: str | os.PathLike[str]) -> Path:
    """Where a page may be written: where nothing is, or an earlier page.

    Raises:
        BitseekError: something else is there, or no folder for it.
    """
    return free_target(path, "a page that bitseek wrote", lambda file: MARK in file.read_bytes()[:400])


def write_page(path: str | os.PathLike[str], report: Report, **options: Any) -> Path:
    """Write the page, atomically, and return its path; `options` are those of `render_page`.

    Raises:
        BitseekError: the file cannot be written or is no page of ours, or an option cannot be used.
    """
    target = free_page(path)
    page = render_page(report, **options)
    with atomic(target) as part:
        part.write_text(page, encoding="utf-8", newline="\n")
    return target


@cache
def _environment() -> Environment:
    """Templates that escape every value that is not markup, and refuse a name that does not exist."""
    environment = Environment(
        loader=PackageLoader("bitseek.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    environment.filters |= {"number": sections.number, "count": "{:,}".format}
    return environment


def _source(name: str) -> str:
    """A file beside the templates, as it is."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]
