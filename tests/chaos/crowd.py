"""People who talk while everything breaks: what each was told, what each was promised, and the faults."""

import asyncio
import contextlib
import random
from collections import defaultdict
from dataclasses import dataclass, field

import asyncpg
import httpx
from msgspec import Raw

from clients.terminal.account import Account, Refused
from clients.terminal.client import HubClient
from clients.terminal.view import View
from hub.messaging.model import Entry
from hub.messaging.retry import TRANSIENT
from hub.realtime.protocol import Ack, Fact, Page
from tests.hub_process import HubProcess

Told = tuple[str | None, str, str, bytes]


class Witness(View):
    """A view that also remembers every entry it was ever sent, and complains when a number comes with another content."""

    def __init__(self) -> None:
        super().__init__(whole=True)
        self.told: dict[str, dict[int, Told]] = defaultdict(dict)
        self.contradictions: list[str] = []

    def apply(self, frame: Fact) -> None:
        if isinstance(frame, Entry):
            self._note(frame)
        elif isinstance(frame, Page):
            for entry in (*frame.entries, *frame.operations):
                self._note(entry)
        super().apply(frame)

    def _note(self, entry: Entry) -> None:
        told = (entry.sender, entry.type, entry.client_msg_id, b"" if entry.recalled else bytes(Raw(entry.body)))
        known = self.told[entry.conversation].setdefault(entry.seq, told)
        # A recall takes the body back; everything else about a number is for ever.
        if known[:3] != told[:3] or (known[3] and told[3] and known[3] != told[3]):
            self.contradictions.append(f"{entry.conversation} {entry.seq}")


@dataclass
class Person:
    """One client with its own mind. `acked`: (conversation, seq) → clientMsgId of what it was promised."""

    user: str
    client: HubClient
    conversations: list[str]
    acked: dict[tuple[str, int], str] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def view(self) -> Witness:
        assert isinstance(self.client.view, Witness)
        return self.client.view

    async def live(self, dice: random.Random, servers: list[HubProcess], until: float, pace_s: float) -> None:
        """Talk, read, edit, recall, and lose the connection now and then, until the clock says so."""
        clock = asyncio.get_running_loop().time
        number = 0
        while clock() < until:
            await asyncio.sleep(dice.expovariate(1 / pace_s))
            number += 1
            if dice.random() < 0.06:
                self.client.account.url = dice.choice(servers).url
                self.client.cut()
            await self._act(dice, number)

    async def _act(self, dice: random.Random, number: int) -> None:
        conversation = dice.choice(self.conversations)
        mine = [seq for (where, seq) in self.acked if where == conversation]
        lot = dice.random()
        name = f"{self.user}-{number}"
        try:
            if lot < 0.05 and mine:
                self._promised(
                    await self.client.edit(conversation, dice.choice(mine), f"改 {number}", client_msg_id=name)
                )
            elif lot < 0.08 and mine:
                self._promised(await self.client.recall(conversation, dice.choice(mine), client_msg_id=name))
            elif lot < 0.2:
                await self.client.read(conversation)
            else:
                body = {"text": f"第 {number} 条，血压 {dice.randint(90, 180)}/{dice.randint(60, 110)}"}
                self._promised(await self.client.send(conversation, body, client_msg_id=name))
        except Refused as refused:
            self.refused.append(refused.code)
        except (ConnectionError, TimeoutError):
            pass  # a read or an answer that was lost; only acks are promises

    async def read_back(self) -> None:
        """Scroll up in every conversation, past what a snapshot left out."""
        for conversation in self.conversations:
            first, _ = self.view.log(conversation).window
            while self.view.log(conversation).base >= first:
                await self.client.history(conversation, limit=200)

    def _promised(self, ack: Ack) -> None:
        key = (ack.conversation, ack.seq)
        if self.acked.setdefault(key, ack.client_msg_id) != ack.client_msg_id:
            self.doubled.append(f"{key}: {ack.client_msg_id}")


class Doorkeeper:
    """Staff that takes people out of conversations and in again, and writes down between which numbers they were outside."""

    def __init__(self, account: Account, dice: random.Random, database_url: str) -> None:
        self._account = account
        self._dice = dice
        self._database_url = database_url
        self._outside: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self.changes = 0

    def outside(self, conversation: str, user: str) -> list[tuple[int, int]]:
        """Pairs of the last number they might see and the first they might see again."""
        return self._outside[conversation, user]

    async def work(self, servers: list[HubProcess], rooms: dict[str, list[str]], until: float) -> None:
        """One room at a time: take somebody out, wait, take them in again."""
        clock = asyncio.get_running_loop().time
        while clock() < until:
            room = self._dice.choice(sorted(rooms))
            user = self._dice.choice(rooms[room])
            left_at = await self._change(servers, "DELETE", room, user)
            await asyncio.sleep(self._dice.uniform(0.3, 1.5))
            came_at = await self._change(servers, "POST", room, user)
            self._outside[room, user].append((left_at, came_at))

    async def _change(self, servers: list[HubProcess], method: str, room: str, user: str) -> int:
        """Ask until it is so, whichever answers were lost; the number that the database then shows."""
        while True:
            self._account.url = self._dice.choice(servers).url
            with contextlib.suppress(Refused, httpx.HTTPError):
                await self._account.signed(method, f"/conversations/{room}/members", {"members": [user]})
            with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
                row = await self._place(room, user)
                if (row["to_seq"] is not None) == (method == "DELETE"):
                    self.changes += 1
                    return int(row["to_seq"] if method == "DELETE" else row["from_seq"])
            await asyncio.sleep(0.3)

    async def _place(self, room: str, user: str) -> asyncpg.Record:
        connection = await asyncpg.connect(self._database_url, timeout=5)
        try:
            return await connection.fetchrow(
                "SELECT from_seq, to_seq FROM members WHERE conversation = $1 AND user_id = $2", room, user
            )
        finally:
            await connection.close()
