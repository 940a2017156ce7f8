"""Charts as inline SVG: lines and bars, coloured by the style sheet of the page so that they fit light and dark."""

import math
from collections.abc import Mapping, Sequence

from bitseek.report.html import Html, join, tag

WIDTH, HEIGHT = 340.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 30.0
MOST_POINTS = 240


def line_chart(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    x_name: str,
    label: str,
    unit: bool = False,
    square: bool = False,
    marks: Sequence[str] | None = None,
) -> Html:
    """Lines over a common x, with the values told on hover.

    Args:
        x: ascending or not; a line joins its points in their order.
        lines: values of each line by its name; None where there is none. At most 8 lines are told apart by colour.
        x_name: of the axis.
        label: of the whole, for those who cannot see it.
        unit: whether both y limits are those of a share, 0 and 1; else they fit the values, and are logarithmic where
            positive values spread over more than a factor of 100.
        square: also take 0 … 1 as the limits of x.
        marks: what to tell at each x instead of its value.
    """
    kept = _thinned(len(x))
    values = [v for line in lines.values() for v in line if v is not None and math.isfinite(v)]
    across = Scale.of([0.0, 1.0] if square else x, LEFT, WIDTH - RIGHT, nice=square)
    up = Scale.of([0.0, 1.0] if unit else values, HEIGHT - BOTTOM, TOP, log=not unit and _wide(values))
    parts: list[Html] = [_grid(across, up, x_name)]
    for i, line in enumerate(lines.values()):
        here = [(across(x[k]), up(v)) for k in kept if (v := line[k]) is not None and math.isfinite(v)]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in here)
        parts.append(tag("polyline", points=points, class_=f"line s{i % 8}"))
        if len(here) == 1 or square:
            parts += [tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=2, class_=f"dot s{i % 8}") for a, b in here]
    half = (WIDTH - LEFT - RIGHT) / max(len(kept), 1) / 2
    for k in kept:
        told = [f"{name} {_short(v)}" for name, line in lines.items() if (v := line[k]) is not None]
        where = marks[k] if marks else f"{x_name} {_short(x[k])}"
        tip = f"{where}: {', '.join(told)}"
        if square:
            a, b = across(x[k]), up(next(iter(lines.values()))[k] or 0.0)
            parts.append(tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=8, class_="feel", data_tip=tip))
        else:
            parts.append(
                tag("rect", x=f"{across(x[k]) - half:.1f}", y=TOP, width=f"{2 * half:.1f}",
                    height=HEIGHT - TOP - BOTTOM, class_="feel", data_tip=tip)
            )  # fmt: skip
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")


def bar_chart(values: Sequence[float], *, x_name: str, label: str, middle: float, tips: Sequence[str]) -> Html:
    """Bars between 0 and 1, each from a middle value: the further from it, the longer."""
    across = Scale.of([0.0, float(len(values))], LEFT, WIDTH - RIGHT, nice=False)
    up = Scale.of([0.0, 1.0], HEIGHT - BOTTOM, TOP)
    parts = [_grid(across, up, x_name, whole=True)]
    for i, value in enumerate(values):
        top, bottom = up(max(value, middle)), up(min(value, middle))
        left, width = across(float(i)), across(1.0) - across(0.0)
        gap = min(1.0, width / 5)
        parts.append(
            tag("rect", x=f"{left + gap / 2:.2f}", y=f"{top:.2f}", width=f"{width - gap:.2f}",
                height=f"{max(bottom - top, 0.5):.2f}", class_="bar")
        )  # fmt: skip
        parts.append(
            tag("rect", x=f"{left:.2f}", y=TOP, width=f"{width:.2f}", height=HEIGHT - TOP - BOTTOM, class_="feel",
                data_tip=tips[i])
        )  # fmt: skip
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(middle), y2=up(middle), class_="axis"))
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")


def key(names: Sequence[str]) -> Html:
    """What the colours of a chart's lines mean."""
    items = [tag("li", tag("i", class_=f"s{i % 8}"), name) for i, name in enumerate(names)]
    return tag("ul", *items, class_="key")


class Scale:
    """Values to places on an axis.

    Args:
        low: value at `start`.
        high: value at `end`.
        start: place in the picture.
        end: place in the picture.
        log: whether equal factors, not differences, are equally far apart.
    """

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, *, log: bool = False, nice: bool = True) -> "Scale":
        """A scale that holds all values; with `nice`, its ends are round numbers."""
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if log:
            return cls(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)), start, end, True)
        if high == low:
            margin = abs(low) / 2 or 0.5
            low, high = low - margin, high + margin
        if nice:
            step = _step(high - low)
            low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        """The place of a value."""
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, whole: bool = False) -> list[float]:
        """Round values from end to end, about five; with `whole`, no fractions."""
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**e for e in range(first, last + 1, max(1, (last - first) // 4))]
        step = max(_step(self.high - self.low), 1.0 if whole else 0.0)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, of which four to eight fit into the span."""
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.8)


def _wide(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100


def _grid(across: Scale, up: Scale, x_name: str, whole: bool = False) -> Html:
    parts = []
    for value in up.ticks():
        y = up(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        parts.append(tag("text", _short(value), x=LEFT - 6, y=f"{y + 3.5:.1f}", class_="tick", text_anchor="end"))
    for value in across.ticks(whole=whole or across.high - across.low > 2):
        x = across(value)
        parts.append(tag("text", _short(value), x=f"{x:.1f}", y=HEIGHT - BOTTOM + 14, class_="tick",
                         text_anchor="middle"))  # fmt: skip
    parts.append(tag("text", x_name, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 3, class_="tick", text_anchor="middle"))
    parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"))
    return join(*parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _thinned(n: int) -> list[int]:
    """At most `MOST_POINTS` of n points, first and last among them."""
    if n <= MOST_POINTS:
        return list(range(n))
    return sorted({round(i * (n - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
