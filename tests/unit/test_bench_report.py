"""A run is judged by its aims, and doubts about it are said."""

import io

from rich.console import Console

from bench.meter import LOAD, Usage
from bench.report import BARE, HUB, judge, number, show
from bench.stage import SERVER, Outcome, Row, Scenario

ROWS = (
    Row("rate", "rate", at_least=4.0, ratio=True),
    Row("ms", "latency", at_most=25.0),
    Row("wrong", "wrong", at_most=0),
)
SCENARIO = Scenario("s", "a scenario", lay_out=lambda: None, measure=lambda stage: None, rows=ROWS)  # type: ignore[arg-type,return-value]  # never called


def outcome(
    rate: float, ms: float, *, wrong: int = 0, server: float = 1.0, load: float = 0.5, failures: int = 0
) -> Outcome:
    usage = {"saturated": Usage(1.0, {SERVER: server, LOAD: load})}
    return Outcome({"rate": rate, "ms": ms, "wrong": wrong}, usage, failures)


def test_nothing_is_missed_when_aims_are_reached() -> None:
    """Ratios are hub / bare; none is made of a bare zero."""
    result = judge(SCENARIO, {BARE: outcome(100, 10), HUB: outcome(400, 25)})

    assert result.ratios == {"rate": 4.0, "ms": 2.5}
    assert result.missed == []
    assert result.warnings == []


def test_aims_are_named_when_missed() -> None:
    """A ratio below, a latency above, one wrong delivery."""
    result = judge(SCENARIO, {BARE: outcome(100, 10), HUB: outcome(399, 25.1, wrong=1)})

    assert result.missed == ["rate", "latency", "wrong"]


def test_a_figure_is_missed_when_it_is_not_a_number() -> None:
    """What was not measured has not reached its aim."""
    assert judge(SCENARIO, {BARE: outcome(1, 1), HUB: outcome(9, float("nan"))}).missed == ["latency"]


def test_only_the_bare_server_is_shown_when_the_hub_was_not_measured() -> None:
    """No ratio, nothing missed, and the table still prints."""
    result = judge(SCENARIO, {BARE: outcome(100, 10)})
    text = io.StringIO()
    show(Console(file=text, width=120), "s", SCENARIO, result)

    assert (result.ratios, result.missed) == ({}, [])
    assert "CPU of the load generator" in text.getvalue()


def test_doubts_are_said_when_the_load_generator_or_the_storage_is_the_limit() -> None:
    """A saturated phase whose server was not busy, or whose load generator was, proves no limit of the server."""
    busy = judge(SCENARIO, {BARE: outcome(1, 1, load=0.95)}).warnings
    idle = judge(SCENARIO, {BARE: outcome(1, 1, server=0.5)}).warnings
    shared = Outcome(outcome(1, 1).figures, {"saturated": Usage(1.0, {SERVER: 0.5, LOAD: 0.5}, foreign_s=0.45)})
    refused = judge(SCENARIO, {BARE: outcome(1, 1, failures=3)}).warnings

    assert len(busy) == len(idle) == len(refused) == 1
    assert "load generator used 95%" in busy[0]
    assert "not full" in idle[0]
    assert [doubt.partition(": ")[2] for doubt in judge(SCENARIO, {HUB: shared}).warnings] == [
        "others took 45% of the server's core; trust figures per CPU-second"
    ]
    assert "3 sends were refused" in refused[0]


def test_numbers_are_short_when_shown() -> None:
    """Three digits, thousands separated, no value as a dash."""
    assert [number(value) for value in (1234567.8, 0, 12.345, 0.1234, float("nan"))] == [
        "1,234,568",
        "0",
        "12.3",
        "0.12",
        "-",
    ]
