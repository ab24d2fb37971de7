"""Thousands of sockets cut, missing a few messages each, and returning at once: when has everybody everything?"""

import time
from collections import deque

import msgspec

from bench import frame, message
from bench.layout import lay_out
from bench.pace import percentile
from bench.stage import Outcome, Row, Scenario, Stage
from bench.swarm import Broken, Client

DESKS = 50  # senders that stay connected; each shares a conversation with every 50th of those who leave
WINDOW = 16  # sends in flight per desk
AT_ONCE = 2000  # connections under way together; more would overflow the kernel's queue of new ones, not the server
TIMEOUT_S = 60.0


class _Entry(msgspec.Struct):
    seq: int


class _Frame(msgspec.Struct, tag_field="op", tag="entry"):
    seq: int


class _Page(msgspec.Struct, tag_field="op", tag="page"):
    entries: list[_Entry]


_decode = msgspec.json.Decoder(_Frame | _Page).decode


def owed(person: int) -> int:
    """How many messages somebody misses: one, two or three."""
    return person % 3 + 1


class _Storm:
    def __init__(self, stage: Stage, people: int) -> None:
        self._swarm = stage.swarm
        self._seats = stage.seats
        self._rooms = [room.id.encode() for room in stage.layout.rooms]
        self.people = people
        self.failed = 0
        self._unsent: list[deque[int]] = [deque() for _ in range(DESKS)]
        self._unanswered = 0
        self.dialled_s = [0.0] * people
        self.took_s: list[float] = []
        self._seen: list[set[int]] = [set() for _ in range(people)]
        self.refused = 0
        self._desks = self._swarm.dial(stage.seats[people:], self._on_desk)

    def come_and_go(self) -> None:
        """Everybody connects once, as before any cut, and is cut."""
        self._swarm.cut(self._swarm.dial(self._seats[: self.people], lambda *_: None))

    def send_missed(self) -> None:
        for person in range(self.people):
            self._unsent[person % DESKS].extend([person] * owed(person))
        self._unanswered = sum(map(len, self._unsent))
        for desk in self._desks:
            self._send(desk, WINDOW)
        if not self._swarm.run(lambda: self._unanswered <= 0, TIMEOUT_S) or self.failed:
            raise Broken(f"{self._unanswered} messages were not acked, {self.failed} refused")

    def _on_desk(self, client: Client, data: bytes, frames: int, end: int) -> None:
        acked, failed = data.count(message.ACK, 0, end), data.count(message.FAILED, 0, end)
        self._unanswered -= acked + failed
        self.failed += failed
        self._send(client, acked + failed)

    def _send(self, desk: Client, count: int) -> None:
        queue = self._unsent[desk.index]
        rooms = [self._rooms[queue.popleft()] for _ in range(min(count, len(queue)))]
        if rooms:
            now_s = time.monotonic()
            self._swarm.write(desk, b"".join([message.send(room, now_s) for room in rooms]))

    def return_at_once(self) -> bool:
        """All dial again, those refused once more; answers whether all became whole in time."""
        waiting = deque(range(self.people))
        under_way = 0
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.took_s) < self.people and time.monotonic() < deadline:
            while waiting and under_way - len(self.took_s) < AT_ONCE:
                person = waiting.popleft()
                self.dialled_s[person] = self.dialled_s[person] or time.monotonic()
                self._swarm.open(person, self._seats[person], self._on_return)
                under_way += 1
            self._swarm.turn(0.1)
            for client, _ in self._swarm.lost:
                waiting.append(client.index)
                under_way -= 1
                self.refused += 1
            self._swarm.lost.clear()
        return len(self.took_s) == self.people

    def _on_return(self, client: Client, data: bytes, frames: int, end: int) -> None:
        seen, aim = self._seen[client.index], owed(client.index)
        if len(seen) == aim:
            return
        for payload in frame.payloads(data, end):
            if payload.startswith((message.ENTRY, message.PAGE)):
                got = _decode(payload)
                seen.update([got.seq] if isinstance(got, _Frame) else [entry.seq for entry in got.entries])
        if len(seen) == aim:
            if seen != set(range(1, aim + 1)):
                raise Broken(f"a resume brought entries {sorted(seen)} instead of 1 to {aim}")
            self.took_s.append(time.monotonic() - self.dialled_s[client.index])


def measure(stage: Stage) -> Outcome:
    storm = _Storm(stage, len(stage.seats) - DESKS)
    storm.come_and_go()
    storm.send_missed()
    stage.swarm.run(lambda: False, 0.5)
    stage.meter.start()
    whole = storm.return_at_once()
    usage = stage.meter.stop()

    figures = {
        "all_s": usage.wall_s if whole else float("nan"),
        "per_s": len(storm.took_s) / usage.wall_s,
        "p50_ms": percentile(storm.took_s, 0.5) * 1e3,
        "p99_ms": percentile(storm.took_s, 0.99) * 1e3,
        "refused": storm.refused,
        "wrong": storm.people - len(storm.took_s),
    }
    outcome = Outcome(figures, {"returning": usage}, storm.failed)
    figures["per_cpu_s"] = outcome.per_server_s("returning", len(storm.took_s))
    return outcome


def scenario(people: int) -> Scenario:
    return Scenario(
        name="resume",
        title=f"{people:,} sockets cut, 1–3 messages missed each, all return ({AT_ONCE:,} under way together)",
        lay_out=lambda: lay_out(people + DESKS, [(i, people + i % DESKS) for i in range(people)]),
        measure=measure,
        rows=(
            Row("all_s", "until all are whole, s"),
            Row("per_s", "resumes/s"),
            Row("per_cpu_s", "resumes per server CPU-second"),
            Row("p50_ms", "connect → whole p50, ms"),
            Row("p99_ms", "connect → whole p99, ms"),
            Row("refused", "connections refused and tried again"),
            Row("wrong", "people not whole at the end", at_most=0),
        ),
        history=True,
    )
