"""A finished run as a table for people and as JSON for machines."""

import math
import os
import platform
from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.table import Table

from bench.meter import BUSY, LOAD, Cores
from bench.stage import SERVER, Outcome, Row, Scenario

BARE, HUB = "bare", "hub"
FOREIGN = 0.08  # more than this taken from the server's core is worth a note


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """One scenario: what each target did, hub / bare for each figure, and which aims were missed."""

    title: str
    outcomes: dict[str, Outcome]
    ratios: dict[str, float]
    missed: list[str]
    warnings: list[str]


class Report(msgspec.Struct, frozen=True, rename="camel"):
    at: str
    seconds: float
    machine: dict[str, str]
    results: dict[str, Result]


def machine(cores: Cores) -> dict[str, str]:
    named = {role: ",".join(map(str, sorted(used))) for role, used in cores._asdict().items()}
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "busy": f"{os.getloadavg()[0]:.1f}",
        "serverCore": named["server"],
        "storageCores": named["storage"],
        "loadCore": named["load"],
    }


def judge(scenario: Scenario, outcomes: Mapping[str, Outcome]) -> Result:
    """Ratios, aims and doubts."""
    ratios = {}
    if HUB in outcomes and BARE in outcomes:
        hub, bare = outcomes[HUB].figures, outcomes[BARE].figures
        ratios = {row.key: hub[row.key] / bare[row.key] for row in scenario.rows if bare[row.key]}
    missed = [row.title for row in scenario.rows if HUB in outcomes and not met(row, outcomes[HUB], ratios)]
    warnings = [doubt for name, outcome in outcomes.items() for doubt in doubts(name, outcome)]
    return Result(scenario.title, dict(outcomes), ratios, missed, warnings)


def met(row: Row, outcome: Outcome, ratios: Mapping[str, float]) -> bool:
    """Whether the aim of a row is reached; without a bare figure there is no ratio to miss."""
    value = ratios.get(row.key) if row.ratio else outcome.figures[row.key]
    if value is None or (row.at_least is None and row.at_most is None):
        return True
    return (row.at_least is None or value >= row.at_least) and (row.at_most is None or value <= row.at_most)


def doubts(name: str, outcome: Outcome) -> list[str]:
    """Why a figure may not be the server's own limit."""
    found = []
    for phase, usage in outcome.usage.items():
        foreign = usage.foreign_s / usage.wall_s
        if usage.shares[LOAD] > BUSY:
            found.append(
                f"{name}, {phase}: the load generator used {usage.shares[LOAD]:.0%} of its core and may be the limit"
            )
        elif phase != "half" and usage.shares[SERVER] + foreign < BUSY:
            others = ", ".join(f"{role} {share:.0%}" for role, share in usage.shares.items())
            found.append(f"{name}, {phase}: the server's core was not full ({others}), so something else held it back")
        if foreign > FOREIGN:
            found.append(
                f"{name}, {phase}: others took {foreign:.0%} of the server's core; trust figures per CPU-second"
            )
    if outcome.failures:
        found.append(f"{name}: {outcome.failures} sends were refused")
    return found


def show(console: Console, name: str, scenario: Scenario, result: Result) -> None:
    targets = [target for target in (HUB, BARE) if target in result.outcomes]
    table = Table(title=f"{name}: {result.title}", title_justify="left", title_style="bold")
    table.add_column("")
    for column in (*targets, "hub / bare", "aim"):
        table.add_column(column, justify="right")
    for row in scenario.rows:
        values = [number(result.outcomes[target].figures[row.key]) for target in targets]
        ratio = f"{result.ratios[row.key]:.2f}" if row.key in result.ratios else ""
        table.add_row(row.title, *values, ratio, _aim(row, result))
    table.add_section()
    phases = list(dict.fromkeys(phase for outcome in result.outcomes.values() for phase in outcome.usage))
    for phase in phases:
        for role in dict.fromkeys(role for target in targets for role in result.outcomes[target].usage[phase].cpu_s):
            shares = [result.outcomes[target].usage[phase].shares.get(role) for target in targets]
            cells = ["" if share is None else f"{share:.0%}" for share in shares]
            table.add_row(f"CPU of the {'load generator' if role == LOAD else role}, {phase}", *cells, "", "")
    console.print(table)
    for warning in result.warnings:
        console.print(f"  [yellow]note[/] {warning}")
    console.print()


def _aim(row: Row, result: Result) -> str:
    if row.at_least is None and row.at_most is None:
        return ""
    text = f"≥ {row.at_least:g}" if row.at_least is not None else f"≤ {row.at_most:g}"
    text = f"{text} ×" if row.ratio else text
    return f"[red]{text}[/]" if row.title in result.missed else f"[green]{text}[/]"


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if math.isnan(value):
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2f}"
