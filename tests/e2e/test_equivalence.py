"""For each kind of event: what a connected client makes of it equals what a device that signs in now is told (P4, P5)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from secrets import randbelow

import httpx
import pytest
import pytest_asyncio

from clients.terminal.account import Account
from clients.terminal.client import HubClient
from clients.terminal.view import View
from tests.equivalence import QUICK, assert_equivalent, in_step

DOCTOR = "13820000002"


@dataclass
class Room:
    """A group of a doctor and two patients; a third stands outside. All are connected."""

    conversation: str
    doctor: HubClient
    one: HubClient
    two: HubClient
    outsider: HubClient

    @property
    def everybody(self) -> list[HubClient]:
        return [self.doctor, self.one, self.two, self.outsider]

    async def manage(self, method: str, path: str, body: object = None) -> None:
        await self.doctor.account.signed(method, f"/conversations/{self.conversation}{path}", body)


@pytest_asyncio.fixture(scope="module")
async def clients(server_url: str) -> AsyncIterator[list[HubClient]]:
    """Signed in once: codes are rationed."""
    async with httpx.AsyncClient() as http, AsyncExitStack() as stack:
        phones = [DOCTOR, *(f"139{randbelow(10**8):08d}" for _ in range(3))]
        accounts = [await Account.sign_in(http, server_url, phone) for phone in phones]
        yield [
            await stack.enter_async_context(HubClient(account, view=View(whole=True), timing=QUICK, packed=packed))
            for account, packed in zip(accounts, (False, True, False, False), strict=True)
        ]


@pytest.fixture
async def room(clients: list[HubClient]) -> Room:
    doctor, one, two, outsider = clients
    for client in clients:
        await in_step(client)
    group = {"kind": "group", "title": "复诊安排", "members": [one.view.user, two.view.user]}
    conversation = (await doctor.account.post("/conversations", group))["id"]
    first = await one.send(conversation, {"text": "医生好"})
    assert first.seq == 2
    return Room(conversation, doctor, one, two, outsider)


Act = Callable[[Room], Awaitable[object]]

ACTS: dict[str, Act] = {
    "text": lambda r: r.doctor.send(r.conversation, {"text": "您好", "mentions": [r.one.view.user], "replyTo": 2}),
    "card": lambda r: r.doctor.send(r.conversation, {"card": "article", "id": "1", "title": "复诊须知"}, type="card"),
    "edit": lambda r: r.one.edit(r.conversation, 2, "医生您好"),
    "recall": lambda r: r.one.recall(r.conversation, 2),
    "react": lambda r: r.doctor.send(r.conversation, {"emoji": "👍"}, type="react", target=2),
    "pin": lambda r: r.doctor.send(r.conversation, {"on": True}, type="pin", target=2),
    "read": lambda r: r.doctor.read(r.conversation, 2),
    "rename": lambda r: r.manage("PATCH", "", {"title": "复诊与用药"}),
    "add": lambda r: r.manage("POST", "/members", {"members": [r.outsider.view.user]}),
    "remove": lambda r: r.manage("DELETE", "/members", {"members": [r.two.view.user]}),
    "leave": lambda r: r.two.account.post(f"/conversations/{r.conversation}/leave", None),
    "role": lambda r: r.manage("PATCH", f"/members/{r.two.view.user}", {"role": "admin"}),
    "owner leaves": lambda r: r.manage("POST", "/leave"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
async def test_event_and_fresh_fetch_agree(room: Room, act: Act) -> None:
    """Members, the removed and those outside see the same from events as from a fresh start."""
    await assert_equivalent(room.everybody, lambda: act(room))


async def test_everything_at_once_agrees_after_a_disconnect(room: Room) -> None:
    """Who was away while all of it happened holds what the others hold."""

    async def act() -> None:
        room.one.cut()
        for name in ("text", "react", "pin", "add", "rename", "role", "remove"):
            await ACTS[name](room)
        await room.doctor.edit(room.conversation, (await room.doctor.send(room.conversation, {"text": "a"})).seq, "b")

    await assert_equivalent(room.everybody, act)


async def test_removed_and_returned_member_sees_two_windows_of_one_log(room: Room) -> None:
    """P5: nothing of what was said in between, from the return on everything."""

    async def act() -> None:
        await ACTS["remove"](room)
        await room.doctor.send(room.conversation, {"text": "只有我们"})
        await room.manage("POST", "/members", {"members": [room.two.view.user]})
        await room.two.send(room.conversation, {"text": "我回来了"})

    await assert_equivalent(room.everybody, act)
    texts = [shown.body.get("text") for shown in room.two.view.shown(room.conversation)]
    assert "我回来了" in texts
    assert "只有我们" not in texts
