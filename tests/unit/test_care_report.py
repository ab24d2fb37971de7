"""Reports: the figures of a stretch beside those of the one before, the risks in it, and a page that is complete in itself."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import get_args
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.care.indicator import assess
from hub.care.model import Circumstances, Measurement, Reading, RecordType
from hub.care.report import POINTS, Report, Stretch, build
from hub.care.report_page import HEADERS, page
from hub.care.report_reference import Reference, references, sources
from hub.care.report_view import report_view
from hub.care.trend import span_of
from hub.care.unit import QUANTITIES
from hub.platform.text import TEXTS

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SPAN = span_of("30d", None, None, NOW)
TALL = Circumstances(height_cm=170)
TYPES: tuple[RecordType, ...] = get_args(RecordType)


def reading(type: RecordType, days_ago: float, value: float, lower: float | None = None) -> Reading:
    measured, at = Measurement(type, value, lower), NOW - timedelta(days=days_ago)
    return Reading(
        id="r",
        user="u",
        actor="u",
        measurement=measured,
        assessment=assess(measured, TALL),
        source="manual",
        recorded_at=at,
        created_at=at,
    )


def made(**stretches: tuple[Sequence[Reading], Sequence[Reading]]) -> Report:
    given: Mapping[RecordType, Stretch] = {type: Stretch(*each) for type, each in stretches.items()}  # type: ignore[misc]
    return build("30d", SPAN, given, TALL)


PRESSURES = [reading("blood_pressure", 9 - n, 150 + n, 84 + n) for n in range(9)]
BEFORE = [reading("blood_pressure", 40 - n, 140, 80) for n in range(3)]


def test_figures_stand_beside_those_of_the_stretch_before() -> None:
    """The change is that of the average; a type that was not measured then has none."""
    weights = [reading("weight", 3, 70.5)]
    pressure, weight = made(blood_pressure=(PRESSURES, BEFORE), weight=(weights, [])).metrics

    assert (pressure.count, pressure.previous_count, pressure.direction) == (9, 3, "up")
    assert msgspec.structs.astuple(pressure.figures) == (158, 154, 158, 150, 140, 14)
    assert pressure.diastolic is not None
    assert msgspec.structs.astuple(pressure.diastolic) == (92, 88, 92, 84, 80, 8)
    assert (pressure.assessment.level, pressure.assessment.risk) == ("high", "medium")
    assert msgspec.structs.astuple(weight.figures) == (70.5, 70.5, 70.5, 70.5, None, None)
    assert weight.latest_at == weights[-1].recorded_at


def test_what_was_not_measured_is_left_out() -> None:
    """Also what was measured only before."""
    report = made(blood_pressure=([], BEFORE), weight=([reading("weight", 3, 70)], []))

    assert [metric.type for metric in report.metrics] == ["weight"]
    assert [chart.type for chart in report.charts] == ["weight"]


def test_the_gravest_risks_come_first_with_their_reasons() -> None:
    """Of each type the worst, the newest of equals, and how many there were."""
    pulses = [reading("heart_rate", 5, 120), reading("heart_rate", 4, 165), reading("heart_rate", 3, 170)]
    report = made(blood_pressure=(PRESSURES, []), heart_rate=(pulses, []), steps=([reading("steps", 1, 100)], []))

    assert [(risk.type, risk.level, risk.count, risk.of) for risk in report.risks] == [
        ("heart_rate", "critical", 3, 3),
        ("blood_pressure", "medium", 9, 9),
    ]
    assert report.risks[0].recorded_at == pulses[-1].recorded_at
    assert report.risks[0].worst.reasons
    levels = [said.advice.level for said in report.recommendations]
    assert levels == sorted(levels, key=["urgent", "warning", "attention", "info"].index)
    assert report.recommendations[0].type == "heart_rate"


def test_nothing_measured_is_a_report_too() -> None:
    """It says so."""
    report = made()

    assert (report.metrics, report.risks, report.charts, report.sources) == ([], [], [], [])
    assert [(said.type, said.advice.level) for said in report.recommendations] == [(None, "info")]
    assert "这段时间没有记录" in page(report, "张三", NOW)


def test_charts_are_ready_to_plot() -> None:
    """Both lines of a blood pressure with their ranges, and no more points than a chart can show."""
    many = [reading("blood_pressure", 29 - n / 20, 120 + n % 40, 80) for n in range(500)]
    (chart,) = made(blood_pressure=(many, [])).charts

    assert [series.quantity for series in chart.series] == ["systolic", "diastolic"]
    assert {len(series.points) for series in chart.series} <= set(range(50, POINTS + 1))
    assert max(value for _, value in chart.series[0].points) == 159
    assert chart.references == [Reference("systolic", 90, 120), Reference("diastolic", 60, 80)]


@pytest.mark.parametrize(
    ("type", "person", "low", "high"),
    [
        ("spo2", TALL, 95, None),
        ("steps", TALL, 6000, None),
        ("temperature", TALL, 36, 37.3),
        ("blood_glucose", TALL, 3.9, 7.8),
        ("blood_glucose", Circumstances(diabetic=True), 3.9, 10),
        ("weight", TALL, 53.5, 69.4),
    ],
)
def test_reference_ranges_are_the_guidelines(
    type: RecordType, person: Circumstances, low: float | None, high: float | None
) -> None:
    """Taken from the same tables that judge a reading, for this person."""
    assert references(type, person) == [Reference(type, low, high)]


@pytest.mark.parametrize("type", TYPES)
def test_every_type_names_its_sources_in_words(type: RecordType) -> None:
    """In both languages; and a weight without a height has no range."""
    assert sources(type, TALL)
    assert set(sources(type, TALL)) <= set(TEXTS)
    assert f"type_{type}" in TEXTS
    assert references("weight", Circumstances()) == []


@st.composite
def stretches(draw: st.DrawFn) -> Mapping[RecordType, Stretch]:
    found = {}
    for type in draw(st.lists(st.sampled_from(TYPES), unique=True, max_size=4)):
        quantity = QUANTITIES[type]
        values = draw(st.lists(st.floats(quantity.least, quantity.most), max_size=9))
        lower = draw(st.floats(20, 200)) if type == "blood_pressure" else None
        readings = [reading(type, 28 - n, quantity.rounded(value), lower) for n, value in enumerate(values)]
        found[type] = Stretch(readings, readings[: draw(st.integers(0, 3))])
    return found


@given(stretches(), st.text(max_size=50))
def test_any_report_is_a_well_formed_page_and_comes_back_from_storage(
    given: Mapping[RecordType, Stretch], name: str
) -> None:
    """Whatever was measured, and whatever somebody calls themselves."""
    report = build("30d", SPAN, given, TALL)
    name = "".join(each for each in name if each.isprintable())
    found = page(report, name, NOW)

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=Report) == msgspec.convert(
        msgspec.to_builtins(report), Report
    )
    title = parsed(found).find("head/title")
    assert title is not None
    assert title.text == f"健康报告　{name or '未填写姓名'}"
    assert report_view("i", "u", "t", report, "en").visualizations is not None


def test_the_page_is_complete_and_strict() -> None:
    """No scripts, nothing from elsewhere; the policy allows this one style sheet and nothing else."""
    found = page(made(blood_pressure=(PRESSURES, BEFORE)), "<script>alert('张三')</script>", NOW)
    collected = Collector()
    collected.feed(found)
    style = re.search("<style>(.*?)</style>", found, re.DOTALL)

    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert not {"script", "img", "link", "iframe", "object", "form", "a", "base"} & collected.tags
    assert not {"src", "href", "style", "onload", "onclick"} & collected.attributes
    assert "url(" not in found
    assert "&lt;script&gt;" in found
    assert "@page { size: A4;" in found


def test_the_page_says_what_a_reader_needs() -> None:
    """Whose, when in Beijing, the figures with their units, the reasons, the sources, and that it is no diagnosis."""
    found = page(made(blood_pressure=(PRESSURES, BEFORE)), "张*丰", NOW)

    for words in (
        '<html lang="zh-CN">',
        "张*丰",
        "2026年11月24日 10:00（北京时间）",
        "2026年10月26日 至 2026年11月24日",
        "血压（mmHg）",
        "158/92",
        "+14/+8",
        "上升",
        "中风险",
        "收缩压(mmHg) ≥ 140",
        "参考 90 至 120",
        "中国高血压防治指南2024年修订版",
        "不构成诊断",
        "120",
    ):
        assert words in found


class Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def parsed(found: str) -> ElementTree.Element:
    return ElementTree.fromstring(found.replace("<!DOCTYPE html>", ""))  # noqa: S314 - our own
