"""The geometry of charts; `templates/figures.html` draws them as SVG in the colours of the page, light and dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 328, 12, 170
"""The view box, and the plot in it: y grows downwards."""

MOST_POINTS = 240


class Tip(NamedTuple):
    """A text that is shown where the pointer is near x, or, if y is given, near (x, y)."""

    x: float
    y: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines, or bars, over a common x; all places are in units of the view box.

    Attributes:
        label: what it shows, for those who cannot see it.
        x_name: of the x axis.
        x_ticks, y_ticks: place and text of each tick.
        tips: values by place.
        reach: half the width of the strip in which a tip without y is shown.
        names: of the lines.
        lines: places (x, y) of the points of each line; at most 8 lines have different colours.
        dots: whether each point is marked.
        bars: (x, y, width, height) of each bar.
        base: y from which the bars rise or hang.
    """

    label: str
    x_name: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    tips: list[Tip]
    reach: float = 0.0
    names: Sequence[str] = ()
    lines: Sequence[list[tuple[float, float]]] = ()
    dots: bool = False
    bars: Sequence[tuple[float, float, float, float]] = ()
    base: float | None = None


def line_chart(
    x: Sequence[float], lines: Mapping[str, Sequence[float | None]], *, x_name: str, label: str, share: bool = False
) -> Chart:
    """Lines over one x.

    Args:
        x: ascending; at most 240 points of it are shown.
        lines: values of each line by its name; None or NaN where there is none.
        x_name: of the x axis.
        label: of the chart.
        share: whether the y axis goes from 0 to 1; else it fits the values, and is logarithmic where positive values
            spread over more than a factor of 100.
    """
    values = [value for line in lines.values() for value in line if _exists(value)]
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 100
    across = Scale.of(x, LEFT, RIGHT, nice=False)
    up = Scale(0, 1, BOTTOM, TOP) if share else Scale.of(values, BOTTOM, TOP, log=wide)
    kept = _thinned(len(x))
    told = [", ".join(f"{name} {short(line[i])}" for name, line in lines.items() if _exists(line[i])) for i in kept]
    return Chart(
        label=label,
        x_name=x_name,
        x_ticks=across.ticks(whole=across.high - across.low >= 2),
        y_ticks=up.ticks(),
        tips=[Tip(across(x[i]), None, f"{x_name} {short(x[i])}: {text}") for i, text in zip(kept, told, strict=True)],
        reach=round((RIGHT - LEFT) / max(len(kept), 1) / 2, 2),
        names=list(lines),
        lines=[[(across(x[i]), up(y)) for i in kept if _exists(y := line[i])] for line in lines.values()],
        dots=len(kept) == 1,
    )


def path_chart(points: Mapping[str, tuple[float, float]], *, x_name: str, label: str) -> Chart:
    """A line through points of the unit square in their order, each marked, with its name as its tip."""
    across, up = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    places = {name: (across(x), up(y)) for name, (x, y) in points.items() if _exists(x) and _exists(y)}
    return Chart(
        label=label,
        x_name=x_name,
        x_ticks=across.ticks(),
        y_ticks=up.ticks(),
        tips=[Tip(x, y, name) for name, (x, y) in places.items()],
        lines=[list(places.values())],
        dots=True,
    )


def bar_chart(values: Sequence[float], *, x_name: str, label: str, middle: float, tips: Sequence[str]) -> Chart:
    """Bars of values from 0 to 1, each drawn from a middle value, with a tip each."""
    across, up = Scale(0, len(values), LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    step = (RIGHT - LEFT) / len(values)
    width = round(step - min(1.0, step / 5), 2)
    tops = [(up(max(value, middle)), up(min(value, middle))) for value in values]
    return Chart(
        label=label,
        x_name=x_name,
        x_ticks=across.ticks(whole=True),
        y_ticks=up.ticks(),
        tips=[Tip(across(i + 0.5), None, text) for i, text in enumerate(tips)],
        reach=round(step / 2, 2),
        bars=[
            (round(across(i + 0.5) - width / 2, 2), top, width, round(max(bottom - top, 0.5), 2))
            for i, (top, bottom) in enumerate(tops)
        ],
        base=up(middle),
    )


class Scale:
    """Values to places on an axis.

    Args:
        low: value at `start`.
        high: value at `end`.
        start, end: places.
        log: whether equal factors, not differences, are equally far apart.
    """

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, *, log: bool = False, nice: bool = True) -> "Scale":
        """A scale that holds all values; with `nice` or `log`, its ends are round numbers."""
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
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, whole: bool = False) -> list[tuple[float, str]]:
        """Place and text of about five round values; with `whole`, of integers."""
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            values = [10.0**e for e in range(first, last + 1, max(1, (last - first) // 4))]
        else:
            step = max(_step(self.high - self.low), 1.0 if whole else 0.0)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [i * step for i in range(first, last + 1)]
        return [(self(value), short(value)) for value in values]


def short(value: float | None) -> str:
    """Four significant digits; whole numbers from 1,000.

    >>> short(0.12345), short(12345.6), short(2.0)
    ('0.1235', '12,346', '2')
    """
    return "none" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, of which four to eight fit into the span."""
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.8)


def _exists(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _thinned(n: int) -> list[int]:
    """At most `MOST_POINTS` of n places, first and last among them."""
    if n <= MOST_POINTS:
        return list(range(n))
    return sorted({round(i * (n - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
