"""The asyncio client of the hub: stays connected, resumes, repeats what was not acked, reports what it holds, heals what it missed.

Two tasks per client, none per message: one reads, one keeps house (receipts, fetches, repetitions, pings).
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import chain
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
import msgspec
from msgspec import Raw

from clients.terminal.account import Account, Refused
from clients.terminal.event import Event, Offline, Online, Stopped
from clients.terminal.housekeeping import Housekeeping, Timing
from clients.terminal.link import Course, Ended, Link
from clients.terminal.view import View
from hub.platform.supervisor import Supervisor
from hub.platform.text import text
from hub.realtime import protocol as wire
from hub.realtime.protocol import Ack, ClientFrame, Fact, Page

WINDOW = 32
"""Unacked sends up to which a new one leaves at once; beyond, they leave at the pace that the server allows."""

STEADY_S = 5.0
"""A connection that held this long was a good one: the next loss starts with short waits again."""

EVENTS = 2000
"""Events that wait for the reader; older ones are dropped, because the view holds what they said."""


class HubClient:
    """Use it as a context; `view` shows everything that came, and may be handed to a later client to continue from there."""

    def __init__(
        self,
        account: Account,
        *,
        view: View | None = None,
        packed: bool = False,
        device: str = "terminal",
        timing: Timing | None = None,
    ) -> None:
        self.account = account
        self.view = view or View()
        self.stopped: str | None = None
        self._packed = packed
        self._timing = timing or Timing()
        self._house = Housekeeping(self.view, self._timing, device)
        self._link: Link | None = None
        self._attempt = 0
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._arrived = asyncio.Event()
        self._waiting: list[tuple[Callable[[View], bool], asyncio.Future[None]]] = []
        self._supervisor = Supervisor()

    async def __aenter__(self) -> Self:
        await self._supervisor.__aenter__()
        self._supervisor.run("hub client", self._stay)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop("closed")
        if self._link is not None:
            await self._link.close()
        await self._supervisor.__aexit__(kind, error, trace)

    # --- what a program asks -----------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        return self._house.online

    async def send(
        self,
        conversation: str,
        body: Mapping[str, Any],
        *,
        type: str = "text",
        target: int | None = None,
        client_msg_id: str | None = None,
    ) -> Ack:
        """Returns when it is committed, however often the connection breaks meanwhile. Raises `Refused` and `Stopped`."""
        carried, name = Raw(msgspec.json.encode(body)), client_msg_id or str(uuid4())
        send = wire.Send(ref=0, conversation=conversation, client_msg_id=name, type=type, body=carried, target=target)
        return await self._say(send)

    async def edit(self, conversation: str, seq: int, text: str, *, client_msg_id: str | None = None) -> Ack:
        """As `send`."""
        body, name = Raw(msgspec.json.encode({"text": text})), client_msg_id or str(uuid4())
        return await self._say(wire.Edit(ref=0, conversation=conversation, seq=seq, client_msg_id=name, body=body))

    async def recall(self, conversation: str, seq: int, reason: str = "", *, client_msg_id: str | None = None) -> Ack:
        """As `send`."""
        body, name = Raw(msgspec.json.encode({"reason": reason})), client_msg_id or str(uuid4())
        return await self._say(wire.Recall(ref=0, conversation=conversation, seq=seq, client_msg_id=name, body=body))

    async def read(self, conversation: str, seq: int | None = None) -> None:
        """The person has seen everything up to `seq`, or all there is here."""
        upto = seq if seq is not None else self.view.log(conversation).cursor
        await self.request(wire.Read(ref=0, conversation=conversation, seq=upto))

    async def history(self, conversation: str, *, before: int | None = None, limit: int = 50) -> Page:
        """Older entries, into the view as well."""
        first = before if before is not None else self.view.log(conversation).base + 1
        page = await self.request(wire.Fetch(ref=0, conversation=conversation, before=first, limit=limit))
        assert isinstance(page, Page)
        return page

    async def typing(self, conversation: str) -> None:
        """Nothing is promised about it."""
        if self._link is not None and self.online:
            await self._link.send(wire.Typing(conversation=conversation))

    async def request(self, frame: ClientFrame) -> Fact:
        """The answer to one frame, said once on the connection there is. Raises `Refused`, `Stopped` and `ConnectionError`."""
        await self.until(lambda _: self.online, self._timing.answer_s)
        future: asyncio.Future[Fact | None] = asyncio.get_running_loop().create_future()
        asked = self._house.ask(frame, lambda fact: None if future.done() else future.set_result(fact))
        answer = None
        if self._link is not None and await self._link.send(asked):
            async with asyncio.timeout(self._timing.answer_s):
                answer = await future
        if answer is None:
            raise ConnectionError(text("client_cut"))
        if isinstance(answer, wire.Failed):
            raise Refused(answer.code, answer.message, answer.fields, answer.retry_after_ms)
        return answer

    async def until(self, condition: Callable[[View], bool], timeout_s: float = 10.0) -> None:
        """Wait for frames until the view is as wanted. Raises `TimeoutError` and `Stopped`."""
        if condition(self.view):
            return
        if self.stopped is not None:
            raise Stopped(self.stopped)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def cut(self) -> None:
        """Lose the connection, as a network does; the client comes back by itself, soon."""
        self._attempt = 0
        if self._link is not None:
            self._link.abort()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """The next thing that happened; ends when the client has stopped."""
        while not self._events:
            if self.stopped is not None:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    # --- staying connected -------------------------------------------------------------------------------------------

    async def _say(self, frame: wire.Send | wire.Edit | wire.Recall) -> Ack:
        if self.stopped is not None:
            raise Stopped(self.stopped)
        item = self._house.outgoing.add(frame, asyncio.get_running_loop().create_future())
        try:
            now, few = self._now(), len(self._house.outgoing) <= WINDOW
            # At once only if nothing older waits: what was said during an outage leaves first, at the pace of `_keep`.
            if self.online and self._link is not None and few and self._house.outgoing.next(now) is item:
                await self._link.send(self._house.say(item, now))
            return await item.answer
        finally:
            self._house.outgoing.drop(item)

    async def _stay(self) -> None:
        """Connection after connection, until the server says no or the program has had enough."""
        while self.stopped is None:
            ended = await self._visit()
            if self.stopped is None:
                await self._bear(ended)
        await asyncio.Event().wait()  # a loop that returns would be started again

    async def _visit(self) -> Ended:
        """One connection from its opening to its end, and why it ended."""
        account, answer_s = self.account, self._timing.answer_s
        try:
            link = await Link.open(account.url, account.token, packed=self._packed, timeout_s=answer_s)
        except Ended as ended:
            return ended
        began = self._now()
        self._link = link
        self._house.connected(began)
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(self._keep(link), name="hub client housekeeping")
                end = await self._read(link)
                keeping.cancel()
        finally:
            self._link = None
            link.abort()
            self._house.disconnected()
        if self._now() - began > STEADY_S:
            self._attempt = 0
        return end

    async def _read(self, link: Link) -> Ended:
        while True:
            try:
                frame = await link.receive()
            except Ended as ended:
                return ended
            if frame is None:
                continue
            was_online = self.online
            self._house.take(frame, self._now())
            self._happened(frame)
            if self.online and not was_online:
                self._happened(Online())

    async def _keep(self, link: Link) -> None:
        while True:
            now = self._now()
            if self._house.overdue(now):
                link.abort()
                return
            if self._house.leave_at is not None and now >= self._house.leave_at:
                await link.close()
                return
            # Lazily: a frame is taken when it is handed over, so one that `_say` sends meanwhile cannot overtake it.
            for frame in chain(self._house.due(now), self._house.saying(now)):
                if not await link.send(frame):
                    return
            await asyncio.sleep(self._timing.tick_s)

    async def _bear(self, ended: Ended) -> None:
        """After an end: stop, or wait and come back, with a fresh token where that was the reason."""
        course = ended.course
        if course is Course.SIGN_IN:
            course = await self._sign_in_again()
        if course is Course.STOP:
            self._happened(Offline(str(ended), None))
            self._stop(str(ended))
            return
        delay = self._delay(ended.wait_s)
        self._happened(Offline(str(ended), delay))
        await asyncio.sleep(delay)

    async def _sign_in_again(self) -> Course:
        try:
            await self.account.refresh(self.account.token)
        except Refused as refused:
            return Course.STOP if refused.retry_after_ms is None else Course.COME_BACK
        except httpx.HTTPError:
            pass  # the hub is away; the next upgrade will say whether the token still serves
        return Course.COME_BACK

    def _delay(self, told_s: float | None) -> float:
        """A drain's moment was jittered by the server; otherwise full jitter, so that a thousand clients do not come at once."""
        leave_at, self._house.leave_at = self._house.leave_at, None
        if leave_at is not None:
            return max(0.0, leave_at - self._now())
        self._attempt += 1
        longest = min(self._timing.longest_delay_s, self._timing.first_delay_s * 2 ** min(self._attempt, 16))
        return (told_s or 0.0) + random.uniform(0, longest)

    def _happened(self, event: Event) -> None:
        self._events.append(event)
        self._arrived.set()
        for waiting in [entry for entry in self._waiting if entry[0](self.view)]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self._house.outgoing.fail(Stopped(reason))
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(Stopped(reason))
        self._arrived.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
