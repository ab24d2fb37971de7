"""Sockets that only stand: memory of the server per socket, and how fast they are let in."""

import time

from bench.layout import lay_out
from bench.stage import SERVER, Outcome, Row, Scenario, Stage
from bench.swarm import Client

WARM = 100  # sockets that come and go first, so that what is loaded or pooled once is not counted
STILL_S = 1.0  # memory counts as settled when it has not changed by 0.2 % for this long
PATIENCE_S = 6.0


def _ignore(client: Client, data: bytes, frames: int, end: int) -> None:
    """What arrives is of no interest."""


def _settled_bytes(stage: Stage) -> int:
    held, since = stage.meter.rss_bytes(SERVER), time.monotonic()
    deadline = since + PATIENCE_S
    while time.monotonic() < min(deadline, since + STILL_S):
        stage.swarm.run(lambda: False, 0.2)
        now = stage.meter.rss_bytes(SERVER)
        if abs(now - held) > held * 0.002:
            held, since = now, time.monotonic()
    return held


def measure(stage: Stage) -> Outcome:
    stage.swarm.cut(stage.swarm.dial(stage.seats[:WARM], _ignore))
    before = _settled_bytes(stage)
    stage.meter.start()
    stage.swarm.dial(stage.seats, _ignore)
    usage = stage.meter.stop()
    after = _settled_bytes(stage)
    stage.swarm.check()

    sockets = len(stage.seats)
    figures = {
        "kib": (after - before) / 1024 / sockets,
        "handshakes_per_s": sockets / usage.wall_s,
        "mib": after / 2**20,
    }
    outcome = Outcome(figures, {"opening": usage})
    figures["per_cpu_s"] = outcome.per_server_s("opening", sockets)
    return outcome


def scenario(sockets: int) -> Scenario:
    return Scenario(
        name="idle",
        title=f"{sockets:,} sockets, welcomed and silent, two people per conversation",
        lay_out=lambda: lay_out(sockets, [(i, i + 1) for i in range(0, sockets - 1, 2)]),
        measure=measure,
        rows=(
            Row("kib", "server memory per socket, KiB", at_most=16.0),
            Row("mib", "server memory in all, MiB"),
            Row("handshakes_per_s", "handshakes/s, connect to welcome"),
            Row("per_cpu_s", "handshakes per server CPU-second"),
        ),
    )
