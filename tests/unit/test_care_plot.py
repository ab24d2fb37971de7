"""Charts as SVG: well formed whatever is plotted, within their frame, with axes, units and reference ranges."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.plot import BOTTOM, HEIGHT, LEFT, MOST_MARKS, RIGHT, TOP, WIDTH, Line, Plot, Shade, nice_ticks, svg

SVG = "{http://www.w3.org/2000/svg}"
FIRST = date(2026, 1, 5)
MIDNIGHT = datetime.fromisoformat("2026-01-05T00:00")

values = st.floats(-1000, 200_000).map(lambda value: round(value, 2))
moments = st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda later: MIDNIGHT + later)
lines = st.builds(Line, st.text(max_size=20), st.lists(st.tuples(moments, values), max_size=90).map(sorted))
limits = st.one_of(st.none(), st.floats(0, 200).map(lambda value: round(value, 1)))


def drawn(plot: Plot) -> ElementTree.Element:
    return parsed(svg(plot))


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - our own


def plot(*points: tuple[str, float], shade: Shade | None = None, name: str = "收缩压") -> Plot:
    line = Line(name, [(datetime.fromisoformat(at), value) for at, value in points])
    return Plot("血压", "mmHg", FIRST, date(2026, 1, 11), [line], [shade] if shade else [])


def texts(found: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in found.iter(f"{SVG}text")]


def xml_text(text: str) -> bool:
    return all(each in "\t\n\r" or 0x20 <= ord(each) < 0xD800 or 0xE000 <= ord(each) < 0xFFFE for each in text)


@given(st.lists(lines, max_size=2), limits, limits)
def test_whatever_is_plotted_stays_within_the_frame(found: list[Line], low: float | None, high: float | None) -> None:
    """Nothing is drawn outside of the axes, and it is XML."""
    named = [Line("".join(filter(xml_text, line.name)), line.points) for line in found]
    shade = Shade("参考", *sorted([low, high], key=lambda limit: (limit is None, limit or 0)))
    picture = drawn(Plot("图", "mmHg", FIRST, FIRST + timedelta(days=30), named, [shade]))

    for line in picture.iter(f"{SVG}polyline"):
        for spot in line.attrib["points"].split():
            x, y = map(float, spot.split(","))
            assert LEFT <= x <= WIDTH - RIGHT
            assert TOP <= y <= HEIGHT - BOTTOM
    area = next(picture.iter(f"{SVG}rect"))
    assert float(area.attrib["y"]) >= TOP
    assert float(area.attrib["y"]) + float(area.attrib["height"]) <= HEIGHT - BOTTOM + 0.1


@given(values, values)
def test_ticks_are_few_and_enclose_what_is_shown(one: float, other: float) -> None:
    """Evenly apart, from below to above."""
    low, high = sorted([one, other])
    ticks = nice_ticks(low, high)

    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 8
    steps = [after - before for before, after in pairwise(ticks)]
    assert all(step == pytest.approx(steps[0], rel=1e-6) for step in steps)


def test_places_follow_from_values_and_times() -> None:
    """The start of the first day is at the left, higher values are higher up."""
    line = next(drawn(plot(("2026-01-05T00:00", 120), ("2026-01-08T12:00", 140))).iter(f"{SVG}polyline"))
    (x1, y1), (x2, y2) = (map(float, spot.split(",")) for spot in line.attrib["points"].split())

    assert x1 == LEFT
    assert x2 == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    assert y1 > y2


def test_axes_have_their_unit_days_and_ranges() -> None:
    """What a reader needs to read it without the page around it."""
    found = texts(drawn(plot(("2026-01-06T08:00", 128), shade=Shade("参考 90–119", 90, 120))))

    assert {"mmHg", "2026-01-05", "01-07", "收缩压　参考 90–119", "90", "130"} <= set(found)


def test_names_are_escaped() -> None:
    """What is written into a chart stays text."""
    picture = svg(plot(("2026-01-06T08:00", 128), name="<script>alert(1)</script>&\"'"))

    assert "<script" not in picture
    assert "<script>alert(1)</script>&\"'" in texts(parsed(picture))


def test_many_points_have_a_line_without_marks() -> None:
    """Marks would hide it."""
    few = plot(*((f"2026-01-06T08:{n:02}", 120.0) for n in range(60)))
    many = few._replace(lines=[Line("收缩压", few.lines[0].points[:1] * (MOST_MARKS + 1))])

    assert len(list(drawn(few).iter(f"{SVG}circle"))) == 60 + 1  # one in the legend
    assert len(list(drawn(many).iter(f"{SVG}circle"))) == 1
