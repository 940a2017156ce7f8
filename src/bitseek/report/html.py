"""HTML from Python, in which whatever a user's data say is text and never markup."""

import json
from html import escape
from typing import Any


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Content = str | Html | None


def tag(name: str, /, *content: Content, **attributes: Any) -> Html:
    """An element; what it contains is escaped unless it is `Html`, and None is nothing.

    Args:
        name: of the element.
        content: texts and elements.
        attributes: `class_` is class, `aria_label` is aria-label, and so on; None and False are left out, True is an
            attribute without a value.

    >>> tag("p", "1 < 2", tag("b", "!"), class_="note", hidden=True)
    '<p class="note" hidden>1 &lt; 2<b>!</b></p>'
    """
    given = [
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    start = f"<{name}{''.join(given)}"
    return Html(f"{start}/>" if name in EMPTY else f"{start}>{join(*content)}</{name}>")


EMPTY = ("img", "meta", "line", "rect", "circle", "polyline")
"""Elements that contain nothing."""


def join(*content: Content) -> Html:
    """Texts and elements one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content if part is not None))


def table(columns: list[str], rows: list[list[Content]], **attributes: Any) -> Html:
    """A table; the first cell of each row is its heading, and the column after a name that ends in # is of numbers."""
    numeric = [name.endswith("#") for name in columns]
    head = [
        tag("th", name.rstrip("#"), scope="col", class_="n" if n else None)
        for name, n in zip(columns, numeric, strict=True)
    ]
    body = [
        tag("tr", *(
            tag("td" if i else "th", cell, class_="n" if numeric[i] else None, scope=None if i else "row")
            for i, cell in enumerate(row)
        ))
        for row in rows
    ]  # fmt: skip
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), **attributes)


def figure(picture: Content, caption: Content, **attributes: Any) -> Html:
    """Something to look at, with its caption."""
    return tag("figure", picture, tag("figcaption", caption), **attributes)


def data(name: str, value: Any) -> Html:
    """Data for the script of the page, which cannot end the element that they are in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def number(value: float | None, digits: int = 4) -> str:
    """A measured value; `none` if it does not exist.

    >>> number(0.12345), number(float("nan")), number(None)
    ('0.1235', 'none', 'none')
    """
    return "none" if value is None or value != value else f"{value:.{digits}f}"


def count(value: int) -> str:
    """A number of things.

    >>> count(59000)
    '59,000'
    """
    return f"{value:,}"
