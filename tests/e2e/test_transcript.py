"""The transcript in `docs/protocol.md` is what a real server says, line by line."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from secrets import randbelow
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from clients.terminal.account import Account

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
DOCTOR = "13820000001"
LINE = re.compile(r"([AB]) (?:(→|←) (\{.*\})|×)")
PLACEHOLDER = re.compile(r"<(.+)>")


def transcript() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(who, direction, frame) of each line; × is who left, without a frame."""
    (block,) = re.findall(r"^```transcript\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for line in block.splitlines():
        found = LINE.fullmatch(line)
        assert found, f"not a line of a transcript: {line}"
        yield found[1], found[2] or "×", json.loads(found[3] or "{}")


class Words:
    """What the placeholders stand for: a name keeps its meaning, `<at>` is any time, `<*>` anything."""

    def __init__(self, **known: str) -> None:
        self._known = known

    def spoken(self, pattern: Any) -> Any:
        """The frame to send."""
        match pattern:
            case dict():
                return {self.spoken(key): self.spoken(value) for key, value in pattern.items()}
            case list():
                return [self.spoken(part) for part in pattern]
            case str() if (name := PLACEHOLDER.fullmatch(pattern)) is not None:
                return self._known[name[1]]
            case _:
                return pattern

    def fits(self, pattern: Any, said: Any) -> bool:
        match pattern:
            case dict():
                pairs = {self.spoken(key): value for key, value in pattern.items()}
                return (
                    isinstance(said, dict)
                    and pairs.keys() == said.keys()
                    and all(self.fits(value, said[key]) for key, value in pairs.items())
                )
            case list():
                same_length = isinstance(said, list) and len(said) == len(pattern)
                return same_length and all(map(self.fits, pattern, said))
            case "<*>":
                return True
            case "<at>":
                return isinstance(said, str) and datetime.fromisoformat(said).tzinfo is not None
            case str() if (name := PLACEHOLDER.fullmatch(pattern)) is not None:
                return bool(self._known.setdefault(name[1], said) == said)
            case _:
                return bool(pattern == said)


class Stage:
    """Two people, each with one socket at a time."""

    def __init__(self, accounts: dict[str, Account], stack: AsyncExitStack) -> None:
        self._accounts = accounts
        self._stack = stack
        self._sockets: dict[str, ClientConnection] = {}
        self._heard: dict[str, set[object]] = {}

    async def socket(self, who: str) -> ClientConnection:
        if who not in self._sockets:
            account = self._accounts[who]
            self._sockets[who] = await self._stack.enter_async_context(
                connect(
                    account.url.replace("http", "ws", 1) + "/ws/v1",
                    subprotocols=[Subprotocol("hub.v1.json")],
                    additional_headers={"Authorization": f"Bearer {account.token}"},
                )
            )
        return self._sockets[who]

    async def hear(self, who: str) -> dict[str, object]:
        """The next frame, but for entries that this socket had before, or knew of by its welcome.

        What was committed just before somebody comes in may reach them from the log and then from the wire, too.
        """
        while True:
            said: dict[str, Any] = json.loads(await (await self.socket(who)).recv())
            heard = self._heard.setdefault(who, set())
            if said["op"] == "welcome":
                for head in said["heads"].values():
                    heard.update(range(1, head["seq"] + 1))
            if said["op"] != "entry" or said["seq"] not in heard:
                heard.add(said.get("seq") if said["op"] == "entry" else None)
                return said

    async def leave(self, who: str) -> None:
        self._heard.pop(who, None)
        await self._sockets.pop(who).close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as http:
        yield http


async def test_transcript_is_what_the_server_says(server_url: str, http: httpx.AsyncClient) -> None:
    """A reader of the page can rely on every key of it."""
    doctor = await Account.sign_in(http, server_url, DOCTOR)
    accounts = {who: await Account.sign_in(http, server_url, f"139{randbelow(10**8):08d}") for who in "AB"}
    users = {who: account.user["id"] for who, account in accounts.items()}
    group = {"kind": "group", "title": "复诊安排", "members": list(users.values())}
    conversation = (await doctor.post("/conversations", group))["id"]
    words = Words(conversation=conversation, doctor=doctor.user["id"], a=users["A"], b=users["B"])

    async with AsyncExitStack() as stack:
        stage = Stage(accounts, stack)
        for who, direction, frame in transcript():
            if direction == "×":
                await stage.leave(who)
            elif direction == "→":
                await (await stage.socket(who)).send(json.dumps(words.spoken(frame)))
            else:
                said = await stage.hear(who)
                assert words.fits(frame, said), f"{who} ← {json.dumps(said, ensure_ascii=False)}"
