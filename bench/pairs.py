"""Many small conversations, all online: messages/s at saturation, then latency to the others at half."""

import random
import time

from bench import message
from bench.layout import lay_out
from bench.pace import Pace, percentile
from bench.stage import DRAIN_S, Outcome, Row, Scenario, Stage
from bench.swarm import Client

SIZE = 3  # people per conversation
WINDOW = 1  # sends in flight per conversation


class _Pairs:
    """Socket `i` sits in conversation `i // SIZE`; the first of each conversation sends."""

    def __init__(self, stage: Stage) -> None:
        self._swarm = stage.swarm
        self._rooms = [room.id.encode() for room in stage.layout.rooms]
        self._random = random.Random(11)
        self.sent = self.acked = self.failed = self.received = 0
        self.saturating = False
        self.ages_ms: list[float] = []
        self._clients = self._swarm.dial(stage.seats, self._on_frames)
        self._swarm.run(lambda: False, 0.3)

    def _on_frames(self, client: Client, data: bytes, frames: int, end: int) -> None:
        if client.index % SIZE:
            self.received += data.count(message.ENTRY, 0, end)
            self.ages_ms += message.latencies_ms(data, end, time.monotonic())
            return
        acked, failed = data.count(message.ACK, 0, end), data.count(message.FAILED, 0, end)
        self.acked += acked
        self.failed += failed
        if self.saturating:
            for _ in range(acked + failed):
                self._send(client.index // SIZE, time.monotonic())

    def _send(self, room: int, due_s: float) -> None:
        self.sent += 1
        self._swarm.write(self._clients[room * SIZE], message.send(self._rooms[room], due_s))

    def send_somewhere(self, due_s: float) -> None:
        self._send(self._random.randrange(len(self._rooms)), due_s)

    def saturate(self) -> None:
        self.saturating = True
        for room in range(len(self._rooms)):
            for _ in range(WINDOW):
                self._send(room, time.monotonic())

    def drain(self) -> int:
        """Stop sending and wait; answers how many frames are missing or too many."""
        self.saturating = False
        self._swarm.run(lambda: self._owed() <= 0, DRAIN_S)
        self._swarm.run(lambda: False, 0.2)
        return abs(self._owed())

    def _owed(self) -> int:
        unanswered = self.sent - self.acked - self.failed
        return unanswered + (self.sent - self.failed) * (SIZE - 1) - self.received


def measure(stage: Stage) -> Outcome:
    pairs = _Pairs(stage)
    pairs.saturate()
    stage.swarm.run(lambda: False, 1.5)
    before = pairs.acked
    stage.meter.start()
    stage.swarm.run(lambda: False, stage.seconds)
    saturated, messages = stage.meter.stop(), pairs.acked - before
    wrong = pairs.drain()

    pace = Pace(messages / saturated.wall_s / 2, time.monotonic(), pairs.send_somewhere)
    stage.swarm.run(lambda: False, 1.0, pace)
    pairs.ages_ms.clear()
    stage.meter.start()
    stage.swarm.run(lambda: False, stage.seconds, pace)
    half, ages_ms = stage.meter.stop(), list(pairs.ages_ms)
    wrong += pairs.drain()
    stage.swarm.check()

    figures = {
        "per_s": messages / saturated.wall_s,
        "p50_ms": percentile(ages_ms, 0.5),
        "p99_ms": percentile(ages_ms, 0.99),
        "p999_ms": percentile(ages_ms, 0.999),
        "wrong": wrong,
    }
    outcome = Outcome(figures, {"saturated": saturated, "half": half}, pairs.failed)
    figures["per_cpu_s"] = outcome.per_server_s("saturated", messages)
    return outcome


def scenario(conversations: int) -> Scenario:
    return Scenario(
        name="pairs",
        title=f"{conversations:,} conversations of {SIZE}, all online; latency from send to the others' entry frames",
        lay_out=lambda: lay_out(conversations * SIZE, [range(i * SIZE, (i + 1) * SIZE) for i in range(conversations)]),
        measure=measure,
        rows=(
            Row("per_s", "messages/s at saturation"),
            Row("per_cpu_s", "messages per server CPU-second"),
            Row("p50_ms", "latency p50 at half, ms"),
            Row("p99_ms", "latency p99 at half, ms", at_most=25.0),
            Row("p999_ms", "latency p99.9 at half, ms"),
            Row("wrong", "frames missing or doubled", at_most=0),
        ),
    )
