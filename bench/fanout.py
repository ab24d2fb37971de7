"""One conversation with thousands of sockets: deliveries per second at saturation, and latency at half of that."""

import time

from bench import message
from bench.layout import lay_out
from bench.pace import Pace, percentile
from bench.stage import DRAIN_S, Outcome, Row, Scenario, Stage
from bench.swarm import Broken, Client

SENDERS = 4
WINDOW = 32  # sends without an ack, over all senders: the backlog that joining needs, and what a commit collects
AHEAD = 256  # messages the average receiver may be behind; 64 KiB per socket, far from being closed as slow
REST_S = 0.01  # frames gather, so one read takes several; the server is busy with the last window meanwhile
SAMPLED = 64  # receivers whose frames are read for latency; spread evenly, since a room is served in some order


class _Room:
    def __init__(self, stage: Stage, receivers: int) -> None:
        self._swarm = stage.swarm
        self._conversation = stage.layout.rooms[0].id.encode()
        self._receivers = receivers
        self.sent = self.received = self.acked = self.failed = 0
        self.ages_ms: list[float] = []
        self._senders = self._swarm.dial(stage.seats[receivers:], self._on_sender)
        every = max(1, receivers // SAMPLED)
        for client in self._swarm.dial(stage.seats[:receivers], self._on_receiver):
            if client.index % every == 0:
                client.handler = self._on_sampled
        self._swarm.run(lambda: False, 0.5)  # what belongs to joining has arrived
        self.received = 0

    def _on_receiver(self, client: Client, data: bytes, frames: int, end: int) -> None:
        self.received += frames

    def _on_sampled(self, client: Client, data: bytes, frames: int, end: int) -> None:
        if data.count(message.ENTRY, 0, end) != frames:
            raise Broken("a receiver got frames that are no entries: the count would be wrong")
        self.received += frames
        self.ages_ms += message.latencies_ms(data, end, time.monotonic())

    def _on_sender(self, client: Client, data: bytes, frames: int, end: int) -> None:
        self.acked += data.count(message.ACK, 0, end)
        self.failed += data.count(message.FAILED, 0, end)

    def send(self, due_s: float) -> None:
        self._swarm.write(self._senders[self.sent % SENDERS], message.send(self._conversation, due_s))
        self.sent += 1

    def keep_ahead(self, now_s: float) -> float:
        """Closed loop on acks, so that messages wait at the server while it delivers; bounded by what has arrived."""
        unanswered = self.sent - self.acked - self.failed
        behind = self.sent - self.failed - self.received // self._receivers
        for _ in range(min(WINDOW - unanswered, AHEAD - behind)):
            self.send(now_s)
        return now_s + 1

    def drain(self) -> int:
        """Wait for what is on its way; answers how many deliveries are missing or too many."""
        aim = (self.sent - self.failed) * self._receivers
        self._swarm.run(lambda: self.received >= aim and self.acked + self.failed >= self.sent, DRAIN_S)
        self._swarm.run(lambda: False, 0.2)
        return abs(aim - self.received)


def measure(stage: Stage) -> Outcome:
    room = _Room(stage, len(stage.seats) - SENDERS)
    stage.swarm.run(lambda: False, 1.0, room.keep_ahead, REST_S)
    before = room.received
    stage.meter.start()
    stage.swarm.run(lambda: False, stage.seconds, room.keep_ahead, REST_S)
    saturated, deliveries = stage.meter.stop(), room.received - before
    wrong = room.drain()

    rate = deliveries / saturated.wall_s / (len(stage.seats) - SENDERS)
    pace = Pace(rate / 2, time.monotonic(), room.send)
    stage.swarm.run(lambda: False, 0.5, pace)
    room.ages_ms.clear()
    stage.meter.start()
    stage.swarm.run(lambda: False, stage.seconds, pace)
    half, ages_ms = stage.meter.stop(), list(room.ages_ms)
    wrong += room.drain()
    stage.swarm.check()

    figures = {
        "per_s": deliveries / saturated.wall_s,
        "p50_ms": percentile(ages_ms, 0.5),
        "p99_ms": percentile(ages_ms, 0.99),
        "wrong": wrong,
    }
    outcome = Outcome(figures, {"saturated": saturated, "half": half}, room.failed)
    figures["per_cpu_s"] = outcome.per_server_s("saturated", deliveries)
    return outcome


def scenario(receivers: int) -> Scenario:
    people = receivers + SENDERS
    aim = 4.0 if receivers <= 1000 else None
    return Scenario(
        name=f"fanout {receivers:,}",
        title=f"one room, {receivers:,} sockets, {SENDERS} senders, {WINDOW} sends in flight",
        lay_out=lambda: lay_out(people, [range(people)]),
        measure=measure,
        rows=(
            Row("per_s", "deliveries/s at saturation", at_least=aim, ratio=True),
            Row("per_cpu_s", "deliveries per server CPU-second"),
            Row("p50_ms", "latency p50 at half, ms"),
            Row("p99_ms", "latency p99 at half, ms"),
            Row("wrong", "deliveries missing or doubled", at_most=0),
        ),
    )
