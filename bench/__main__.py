"""`python -m bench <name>`: scenarios against the bare server and the hub, compared; kept in bench/results."""

import gc
import os
import signal
import sys
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from bench import api, due, echo, fanout, idle, notices, pairs, resume
from bench.layout import seats
from bench.meter import Cores, Meter, share_cores
from bench.report import BARE, HUB, Report, Result, judge, machine, show
from bench.stage import SERVER, Outcome, Scenario, Stage
from bench.swarm import Broken, Swarm, raise_file_limit
from bench.target import Storage, Target, bare_target, hub_target

RESULTS = Path(__file__).parent / "results"
SOCKETS = 10_000
SPARE_FILES = 400  # everything but sockets, in either process
NAMES = ("fanout", "echo", "pairs", "idle", "resume", "all", "api", "notices", "due")


def scenarios(name: str, sockets: int) -> list[Scenario]:
    """Those asked for; `sockets` is what the limit of open files allows at most."""
    every = {
        "fanout": [fanout.scenario(1000), fanout.scenario(sockets)],
        "echo": [echo.scenario(200)],
        "pairs": [pairs.scenario(1000)],
        "idle": [idle.scenario(sockets)],
        "resume": [resume.scenario(min(5000, sockets // 2))],
    }
    return [scenario for group in every.values() for scenario in group] if name == "all" else every[name]


@click.command()
@click.argument("name", type=click.Choice(NAMES), default="all")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of tables.")
@click.option("--seconds", default=6.0, show_default=True, type=click.FloatRange(1, 60), help="Length of one phase.")
@click.option("--bare-only", is_flag=True, help="Measure the bare server alone.")
def main(name: str, as_json: bool, seconds: float, bare_only: bool) -> None:
    """Measure the hub beside a bare `websockets` server in one run; `api`, `notices`, `due`: the hub alone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped then, too
    console = Console(stderr=as_json)
    sockets = min(SOCKETS, raise_file_limit(SOCKETS + SPARE_FILES) - SPARE_FILES)
    cores = share_cores(os.sched_getaffinity(0))
    if name == "api":
        _keep(console, msgspec.json.encode(api.run(console, cores, seconds)), as_json=as_json)
        return
    if name == "notices":
        _keep(console, msgspec.json.encode(notices.run(console, cores)), as_json=as_json)
        return
    if name == "due":
        _keep(console, msgspec.json.encode(due.run(console, cores)), as_json=as_json)
        return
    try:
        results = _run(console, scenarios(name, sockets), cores, seconds, bare_only)
    except Broken as error:
        raise click.ClickException(str(error)) from error
    report = Report(datetime.now(UTC).isoformat(timespec="seconds"), seconds, machine(cores), results)
    _keep(console, msgspec.json.encode(report), as_json=as_json)


def _keep(console: Console, result: bytes, *, as_json: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    content = msgspec.json.format(result)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(content + b"\n")
    console.print(f"kept in {path.relative_to(RESULTS.parent.parent)}")
    if as_json:
        print(content.decode())


def _run(console: Console, wanted: list[Scenario], cores: Cores, seconds: float, bare_only: bool) -> dict[str, Result]:
    os.sched_setaffinity(0, cores.load)
    if cores.server == cores.load:
        console.print("[yellow]one core only: server and load share it, the figures say little[/]")
    results = {}
    with ExitStack() as stack:
        storage = None if bare_only else stack.enter_context(Storage(cores))
        for scenario in wanted:
            outcomes = {BARE: _measure(scenario, bare_target(cores, scenario.history), cores, seconds)}
            if storage is not None:
                outcomes[HUB] = _measure(scenario, hub_target(storage, cores), cores, seconds)
            results[scenario.name] = judge(scenario, outcomes)
            show(console, scenario.name, scenario, results[scenario.name])
    return results


def _measure(scenario: Scenario, opening: AbstractContextManager[Target], cores: Cores, seconds: float) -> Outcome:
    with opening as target, Swarm(target.host, target.port) as swarm:
        layout = scenario.lay_out()
        meter = Meter(target.processes, SERVER, cores.server - cores.load)
        stage = Stage(swarm, layout, seats(layout, target.admit(layout)), meter, seconds)
        # Garbage collection here would be measured as the server's latency.
        gc.collect()
        gc.disable()
        try:
            return scenario.measure(stage)
        finally:
            gc.enable()


if __name__ == "__main__":
    main()
