"""Send → ack with a window per socket, a conversation each. The hub's ack is a commit, the bare one is not."""

import time

from bench import message
from bench.layout import lay_out
from bench.pace import percentile
from bench.stage import DRAIN_S, Outcome, Row, Scenario, Stage
from bench.swarm import Client

WINDOW = 8  # sends in flight per socket
SAMPLED_EVERY = 8  # each of so many sockets has its acks read for latency


class _Echo:
    def __init__(self, stage: Stage) -> None:
        self._swarm = stage.swarm
        self._rooms = [room.id.encode() for room in stage.layout.rooms]
        self.acked = self.failed = self.flying = 0
        self.sending = True
        self.ages_ms: list[float] = []
        sockets = len(self._rooms)
        # The second member of each conversation is away: seats are given to the first ones only.
        for client in self._swarm.dial(stage.seats[:sockets], self._on_frames):
            self._send(client, WINDOW)

    def _on_frames(self, client: Client, data: bytes, frames: int, end: int) -> None:
        acked, failed = data.count(message.ACK, 0, end), data.count(message.FAILED, 0, end)
        self.acked += acked
        self.failed += failed
        self.flying -= acked + failed
        if client.index % SAMPLED_EVERY == 0:
            self.ages_ms += message.latencies_ms(data, end, time.monotonic())
        if self.sending and acked + failed:
            self._send(client, acked + failed)

    def _send(self, client: Client, count: int) -> None:
        now_s, room = time.monotonic(), self._rooms[client.index]
        self.flying += count
        self._swarm.write(client, b"".join([message.send(room, now_s) for _ in range(count)]))

    def drain(self) -> int:
        """Stop sending and wait; answers how many were not answered."""
        self.sending = False
        self._swarm.run(lambda: self.flying <= 0, DRAIN_S)
        return abs(self.flying)


def measure(stage: Stage) -> Outcome:
    echo = _Echo(stage)
    stage.swarm.run(lambda: False, 1.5)
    before = echo.acked
    echo.ages_ms.clear()
    stage.meter.start()
    stage.swarm.run(lambda: False, stage.seconds)
    usage, acks = stage.meter.stop(), echo.acked - before
    ages_ms = list(echo.ages_ms)
    wrong = echo.drain()
    stage.swarm.check()

    figures = {
        "per_s": acks / usage.wall_s,
        "p50_ms": percentile(ages_ms, 0.5),
        "p99_ms": percentile(ages_ms, 0.99),
        "wrong": wrong,
    }
    outcome = Outcome(figures, {"saturated": usage}, echo.failed)
    figures["per_cpu_s"] = outcome.per_server_s("saturated", acks)
    return outcome


def scenario(sockets: int) -> Scenario:
    return Scenario(
        name="echo",
        title=f"{sockets:,} sockets, {WINDOW} sends in flight each; the hub's acks are commits",
        lay_out=lambda: lay_out(2 * sockets, [(i, sockets + i) for i in range(sockets)]),
        measure=measure,
        rows=(
            Row("per_s", "acks/s at saturation", at_least=0.2, ratio=True),
            Row("per_cpu_s", "acks per server CPU-second"),
            Row("p50_ms", "send → ack p50 at saturation, ms"),
            Row("p99_ms", "send → ack p99 at saturation, ms"),
            Row("wrong", "sends never answered", at_most=0),
        ),
    )
