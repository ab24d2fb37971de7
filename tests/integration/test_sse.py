"""The same facts as Server-Sent Events, for those whose proxies break WebSockets (P4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import httpx
import msgspec

from tests.integration.conftest import Serve
from tests.integration.wire import PATIENCE_S, Json, Server


class Stream:
    """An EventSource: frames, and the id of the last event."""

    def __init__(self, response: httpx.Response) -> None:
        self.last_id = ""
        self.comments = 0
        self.close = ""
        self._lines = response.aiter_lines()

    async def next(self) -> Json:
        """The next frame."""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "" and line:
                    self.comments += 1
                elif name == "event":
                    self.close = await anext(self._lines)
                elif name == "data":
                    frame: Json = msgspec.json.decode(value)
                    return frame
        raise StopAsyncIteration

    async def end_of_chunk(self) -> str:
        """The id that is sent behind the frames of one write."""
        before = self.last_id
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last_id = line[4:]
                    break
        assert self.last_id != before
        return self.last_id


@asynccontextmanager
async def stream(hub: Server, user: str, last_event_id: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {hub.token(user)}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S) as http,
        http.stream("GET", f"{hub.http}/api/v1/events", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Stream(response)


async def post(hub: Server, user: str, path: str, body: Json) -> Json:
    headers = {"Authorization": f"Bearer {hub.token(user)}"}
    async with httpx.AsyncClient(headers=headers) as http:
        answer = await http.post(f"{hub.http}/api/v1{path}", json=body)
        assert answer.status_code == 200, answer.text
        data: Json = answer.json()["data"]
        return data


async def test_a_stream_is_told_what_a_socket_is(hub: Server) -> None:
    """The welcome first, then every fact; sending goes over HTTP, with the same ack."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    socket = await hub.device(a)
    async with stream(hub, b) as events:
        welcome = await events.next()
        ack = await post(
            hub, b, f"/conversations/{room}/entries", {"clientMsgId": "m", "type": "text", "body": {"text": "你好\n"}}
        )
        entry = await events.next()
        await post(hub, b, f"/conversations/{room}/read", {"seq": 1})
        receipt = await events.next()
        told = [await socket.next(), await socket.next()]

        assert (welcome["op"], welcome["user"], welcome["heads"][room]["seq"]) == ("welcome", b, 0)
        assert ack["seq"] == 1
        assert [entry, receipt] == told


async def test_a_stream_goes_on_where_it_stopped(hub: Server) -> None:
    """`Last-Event-ID` is a moment: everything since is sent again, newest first seen by seq, some of it twice."""
    a, b = await hub.people(2)
    room = await hub.conversation(a, b)
    socket = await hub.device(a)
    async with stream(hub, b) as events:
        await events.next()
        await socket.send(room)
        assert (await events.next())["seq"] == 1
        last = await events.end_of_chunk()
    await hub.connections(1)
    for _ in range(3):
        await socket.send(room)
    async with stream(hub, b, last) as events:
        welcome = await events.next()
        page = await events.next()
        await socket.send(room)
        entry = await events.next()

    assert datetime.fromisoformat(last).tzinfo is not None
    assert welcome["heads"][room]["seq"] == 4
    assert page["op"] == "page"
    assert [each["seq"] for each in page["entries"]][-3:] == [2, 3, 4]
    assert entry["seq"] == 5


async def test_a_stream_is_presence_and_leaves_nothing_behind(hub: Server) -> None:
    """Who listens over SSE is online; whose response ends is not."""
    a, b = await hub.people(2)
    await hub.conversation(a, b)
    socket = await hub.device(a)
    async with stream(hub, b) as events:
        await events.next()
        await socket.ask("watch", users=[b])
        assert (await socket.hear("presence"))["online"] is True

    assert (await socket.hear("presence"))["online"] is False
    await hub.connections(1)


async def test_a_quiet_stream_is_kept_open(serve: Serve) -> None:
    """Proxies cut what is silent, so it says something by itself, and the id moves on."""
    async with serve(realtime={"silence_s": 2.2}) as hub:
        user = await hub.person()
        async with stream(hub, user) as events:
            await events.next()
            first = await events.end_of_chunk()
            assert await events.end_of_chunk() > first


async def test_a_stream_ends_with_the_reason(serve: Serve) -> None:
    """`event: close` has the code of the table; the client comes back as its reconnect time says."""
    async with serve(realtime={"sockets_per_user": 1}) as hub:
        user = await hub.person()
        async with stream(hub, user) as events:
            await events.next()
            await hub.device(user)
            with contextlib.suppress(StopAsyncIteration):
                await events.next()
            assert events.close == "data: 4509 Too many connections; a newer one replaced this"


async def test_a_stream_needs_a_token(hub: Server) -> None:
    """In the header, as every request; the refusal is in the wrapper."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{hub.http}/api/v1/events")

    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized")
