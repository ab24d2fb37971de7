"""What the hub says, shown as it happens: entries of the open conversation, receipts, typing, presence, the connection itself."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import httpx

from clients.terminal.account import Refused
from clients.terminal.client import HubClient
from clients.terminal.event import Event, Offline, Online, Stopped
from clients.terminal.log import OPERATIONS, Log
from clients.terminal.screen import Screen
from clients.terminal.show import clean, ending, entry_line, failure_text, operation_line, presence_line, receipt_line
from hub.messaging.model import Entry, EntryType
from hub.realtime.protocol import Page, Presence, Receipt, Typed, Watch

TYPING_SHOWN_S = 5.0
SHOWN_AT_ONCE = 30


class Feed:
    """One conversation is open at a time; of the others only a hint is shown."""

    def __init__(self, screen: Screen, client: HubClient) -> None:
        self.open = ""
        self.mine = 0
        self.titles: dict[str, str] = {}
        self.present: dict[str, bool] = {}
        self._screen = screen
        self._client = client
        self._names: dict[str, str] = {}
        self._floor = 0
        self._shown: set[int] = set()
        self._moved = asyncio.Event()
        self._typing: dict[str, float] = {}
        self._typing_shown = ""
        self._typing_ends: asyncio.TimerHandle | None = None
        self._receipts: dict[str, str] = {}
        self._was_offline = False

    @property
    def log(self) -> Log:
        return self._client.view.log(self.open)

    def name(self, user: str | None) -> str:
        if user is None:
            return "系统"
        if user == self._client.view.user:
            return "我"
        return self._names.get(user) or f"用户{user[-4:]}"

    async def attempt(self, work: Awaitable[object]) -> None:
        """What fails is told in a line and costs nothing else."""
        try:
            await work
        except (Refused, Stopped, ConnectionError, TimeoutError, httpx.HTTPError) as error:
            self._screen.say(f"  未成功：{failure_text(error)}")

    async def meet(self, conversation: str) -> dict[str, Any]:
        """The conversation as it is now; its members are known by name from here on."""
        detail: dict[str, Any] = await self._client.account.get(f"/conversations/{conversation}")
        self._names |= {member["user"]: clean(member["name"]) for member in detail["members"]}
        return detail

    async def enter(self, conversation: str) -> None:
        """Show the newest entries and follow what comes."""
        detail = await self.meet(conversation)
        self.open, self.mine = detail["id"], 0
        self._shown.clear()
        self._typing.clear()
        self._show_typing()
        self._screen.say(f"—— {clean(detail['title']) or '会话'}（{detail['memberCount']} 人）——")
        if not self.log.entries:
            await self._client.history(self.open, before=detail["head"] + 1, limit=SHOWN_AT_ONCE)
        for shown in self.log.shown()[-SHOWN_AT_ONCE:]:
            self._screen.say(entry_line(shown, self.name))
        self._floor = self.log.cursor
        await self._read()
        await self._watch()

    async def until_shown(self) -> None:
        """Wait until one's own last entry has come back."""
        while self.mine and self.mine not in self._shown:
            self._moved.clear()
            await self._moved.wait()

    async def follow(self) -> None:
        """Show what happens until the client has stopped."""
        async for event in self._client:
            await self.attempt(self._on_event(event))
        self._screen.say(f"连接已结束：{ending(self._client.stopped or '')}")

    async def _read(self) -> None:
        user = self._client.view.user
        if self.log.active and self.log.cursor > self.log.receipts.get(user, (0, 0))[1]:
            await self._client.read(self.open)

    async def _watch(self) -> None:
        """Presence of those in the open conversation; what is told first is how it is, later ones are changes."""
        self.present.clear()
        others = [user for user in self.log.counted_receipts() if user != self._client.view.user]
        await self._client.request(Watch(ref=0, users=others))

    async def _on_event(self, event: Event) -> None:
        match event:
            case Entry():
                await self._on_entry(event)
            case Page() if event.conversation == self.open:
                for entry in event.entries:
                    await self._on_entry(entry)
            case Receipt() if event.conversation == self.open and event.user != self._client.view.user:
                self._on_receipt(event)
            case Typed() if event.conversation == self.open:
                self._on_typed(event.user)
            case Presence():
                before, self.present[event.user] = self.present.get(event.user), event.online
                if before is not None and before != event.online:
                    self._screen.say(presence_line(event, self.name))
            case Online() | Offline():
                await self._on_connection(event)
            case _:
                pass

    async def _on_connection(self, event: Online | Offline) -> None:
        if isinstance(event, Offline) and event.again_in_s is not None:
            if not self._was_offline:  # once, however many attempts it takes
                self._screen.say("  连接已断开，正在重连…")
            self._was_offline = True
        elif isinstance(event, Online) and self._was_offline:
            self._was_offline = False
            self._screen.say("  已重新连接")
            if self.open:
                await self._watch()

    async def _on_entry(self, entry: Entry) -> None:
        if entry.conversation != self.open:
            if entry.sender != self._client.view.user:
                self._screen.say(f"  ● {clean(self.titles.get(entry.conversation, '')) or '另一个会话'} 有新消息")
            return
        if entry.seq <= self._floor or entry.seq in self._shown:
            return
        if entry.type == EntryType.SYSTEM:
            await self.meet(self.open)
        if entry.type in OPERATIONS:
            target = self.log.look(entry.target) if entry.target else None
            self._screen.say(operation_line(entry, target, self.name))
        elif shown := self.log.look(entry.seq):
            self._typing.pop(entry.sender or "", None)
            self._show_typing()
            self._screen.say(entry_line(shown, self.name))
        self._shown.add(entry.seq)
        self._moved.set()
        await self._read()

    def _on_receipt(self, receipt: Receipt) -> None:
        """Each step of each member with one's own last entry, once."""
        if self.mine and receipt.delivered_seq >= self.mine:
            line = receipt_line(receipt, self.mine, self.name)
            if self._receipts.get(receipt.user) != line:
                self._receipts[receipt.user] = line
                self._screen.say(line)

    def _on_typed(self, user: str) -> None:
        self._typing[user] = asyncio.get_running_loop().time() + TYPING_SHOWN_S
        self._show_typing()

    def _show_typing(self) -> None:
        """Who types now; looked at again when the first of them may have stopped."""
        loop = asyncio.get_running_loop()
        self._typing = {user: until for user, until in self._typing.items() if until > loop.time()}
        names = "、".join(self.name(user) for user in self._typing)
        line = f"{names} 正在输入…" if names else ""
        if line != self._typing_shown:
            self._typing_shown = line
            self._screen.status(line)
        if self._typing_ends is not None:
            self._typing_ends.cancel()
        self._typing_ends = loop.call_at(min(self._typing.values()), self._show_typing) if self._typing else None
