"""Line charts as SVG, for a page without scripts: axes with units, reference ranges, and lines that differ in print. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from html import escape
from math import ceil, floor, isclose, log10
from typing import NamedTuple

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 34
MOST_MARKS = 62  # beyond, marks hide the line
Y_STEPS, X_STEPS = 5, 6

# Colour for the screen; dashes and the shape of the marks for a printer without.
_COLOURS = ("#1f5fa8", "#b0452f")
_DASHES = ("", "6 3")


class Line(NamedTuple):
    name: str
    points: Sequence[tuple[datetime, float]]


class Shade(NamedTuple):
    """A reference range; None: it has no limit on this side."""

    name: str
    low: float | None
    high: float | None


class Plot(NamedTuple):
    """Each line has its shade, if any, at the same place of `shades`. Times are in the zone that they are shown in."""

    title: str
    unit: str
    first: date
    last: date
    lines: Sequence[Line]
    shades: Sequence[Shade]


class _Scale(NamedTuple):
    """From values to places."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)

    def held(self, value: float) -> float:
        """The place, or the nearest edge."""
        return self(min(max(value, self.low), self.high))


def svg(plot: Plot) -> str:
    """The chart as one element, whose text is escaped."""
    ticks = nice_ticks(*_extent(plot))
    across = _Scale(0, ((plot.last - plot.first).days + 1) * 86400, LEFT, WIDTH - RIGHT)
    up = _Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="11" '
        f'font-family="sans-serif" fill="#333"><title>{escape(plot.title)}</title>',
        *(_shade(shade, up, _COLOURS[place % 2]) for place, shade in enumerate(plot.shades)),
        *(_horizontal(tick, up) for tick in ticks),
        _text(LEFT, TOP - 16, plot.unit, "start"),
        *_dates(plot, across),
        *(_line(line, plot.first, across, up, place) for place, line in enumerate(plot.lines)),
        *_legend(plot),
        "</svg>",
    ]
    return "".join(parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly apart, from below the lowest to above the highest."""
    if isclose(low, high, rel_tol=1e-9, abs_tol=1e-9):
        low, high = low - 1, high + 1
    rough = (high - low) / Y_STEPS
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    begin, end = floor(low / step), ceil(high / step)
    return [round(n * step, 10) for n in range(begin, end + 1)]


def _extent(plot: Plot) -> tuple[float, float]:
    values = [value for line in plot.lines for _, value in line.points]
    limits = [limit for shade in plot.shades for limit in (shade.low, shade.high) if limit is not None]
    return min(values + limits, default=0), max(values + limits, default=1)


def _shade(shade: Shade, up: _Scale, colour: str) -> str:
    top = up.held(up.high if shade.high is None else shade.high)
    bottom = up.held(up.low if shade.low is None else shade.low)
    return (
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{round(bottom - top, 1)}" '
        f'fill="{colour}" fill-opacity="0.1"/>'
    )


def _horizontal(tick: float, up: _Scale) -> str:
    y = up(tick)
    rule = f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>'
    return rule + _text(LEFT - 6, y + 4, f"{tick:.10g}", "end")


def _dates(plot: Plot, across: _Scale) -> list[str]:
    """Days at the bottom, each where it begins, as many as fit."""
    days = (plot.last - plot.first).days + 1
    every = max(1, -(-days // X_STEPS))
    base = HEIGHT - BOTTOM
    parts = [f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="#666"/>']
    for day in range(0, days, every):
        x = across(day * 86400)
        shown = plot.first + timedelta(days=day)
        written = f"{shown:%Y-%m-%d}" if days > 366 or day == 0 else f"{shown:%m-%d}"
        parts.append(f'<line x1="{x}" y1="{base}" x2="{x}" y2="{base + 4}" stroke="#666"/>')
        parts.append(_text(x, base + 16, written, "start" if day == 0 else "middle"))
    return parts


def _line(line: Line, first: date, across: _Scale, up: _Scale, place: int) -> str:
    colour, dash = _COLOURS[place % 2], _DASHES[place % 2]
    midnight = datetime.combine(first, datetime.min.time())
    spots = [
        (across.held((at.replace(tzinfo=None) - midnight).total_seconds()), up(value)) for at, value in line.points
    ]
    path = " ".join(f"{x},{y}" for x, y in spots)
    drawn = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>'
    if len(spots) > MOST_MARKS:
        return drawn
    return drawn + "".join(_mark(x, y, place, colour) for x, y in spots)


def _mark(x: float, y: float, place: int, colour: str) -> str:
    if place % 2:
        return f'<rect x="{round(x - 2.5, 1)}" y="{round(y - 2.5, 1)}" width="5" height="5" fill="{colour}"/>'
    return f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'


def _legend(plot: Plot) -> list[str]:
    """From the right: what each line is, and its range."""
    parts, x = [], LEFT + 90.0
    for place, line in enumerate(plot.lines):
        colour, dash = _COLOURS[place % 2], _DASHES[place % 2]
        shade = plot.shades[place].name if place < len(plot.shades) else ""
        name = f"{line.name}　{shade}" if shade else line.name
        parts.append(
            f'<line x1="{x}" y1="{TOP - 20}" x2="{x + 26}" y2="{TOP - 20}" stroke="{colour}" stroke-width="1.5" '
            f'stroke-dasharray="{dash}"/>{_mark(x + 13, TOP - 20, place, colour)}'
        )
        parts.append(_text(x + 32, TOP - 16, name, "start"))
        x += 300
    return parts


def _text(x: float, y: float, written: str, anchor: str) -> str:
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}">{escape(written)}</text>'
