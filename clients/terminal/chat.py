"""`hub chat`: talk in a terminal or a pipe. What the person says is here, what the hub says is `feed`'s, how it looks is `show`'s."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import httpx

from clients.terminal.account import Account, Refused
from clients.terminal.client import HubClient
from clients.terminal.event import Stopped
from clients.terminal.feed import SHOWN_AT_ONCE, Feed
from clients.terminal.screen import Screen, open_screen
from clients.terminal.show import clean, conversation_line, entry_line, failure_text
from hub.security.masking import mask_phone

TYPING_EVERY_S = 3.0
LEAVE_S = 10.0
"""How long leaving waits for what was said to be acked."""

DIGITS = 9  # more are no number of anything here

NO_SUCH = "没有这个会话，/list 查看编号"
NOT_OPEN = "先用 /open N 打开一个会话"
HELP = """/list 会话列表    /open N 打开会话    /history 更早的消息    /who 成员与状态
/edit N 文字 修改    /recall N 撤回    /quit 退出    其他内容直接发送"""


class Chat:
    def __init__(self, screen: Screen, client: HubClient, tasks: asyncio.TaskGroup) -> None:
        self.feed = Feed(screen, client)
        self._screen = screen
        self._client = client
        self._tasks = tasks
        self._listed: list[str] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._typed_at = 0.0
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/list": self._list,
            "/open": self._open,
            "/history": self._history,
            "/who": self._who,
            "/edit": self._edit,
            "/recall": self._recall,
        }
        self._about_open = {"/history", "/who", "/edit", "/recall"}
        screen.on_typing = self._on_typing

    async def converse(self, conversation: str | None) -> None:
        """Line after line until there are no more."""
        await self.feed.attempt(self._list())
        if conversation:
            await self.feed.attempt(self._open(conversation))
        while (line := await self._screen.ask()) is not None:
            word, _, rest = line.strip().partition(" ")
            if word == "/quit":
                break
            if word and not self.feed.open and (word in self._about_open or not word.startswith("/")):
                self._screen.say(NOT_OPEN)
            elif word.startswith("/"):
                command = self._commands.get(word, self._help)
                await self.feed.attempt(command(rest.strip()))
            elif word:
                self._later(self._send(self.feed.open, line.strip()))
        await self._finish()

    def _later(self, work: Coroutine[Any, Any, object]) -> None:
        """Not awaited: while the connection is away one can go on writing. Tasks begin in the order in which they are made,
        and the client says what it is given in order, so everything that is written leaves in the order of writing."""
        task = self._tasks.create_task(self.feed.attempt(work))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _finish(self) -> None:
        """Let what was said be acked and shown, but do not keep somebody who wants to leave."""
        if self._sending:
            _, waiting = await asyncio.wait(self._sending, timeout=LEAVE_S)
            if waiting:
                self._screen.say(f"  {len(waiting)} 条消息没有送出")
            for task in waiting:
                task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.feed.until_shown(), LEAVE_S)

    async def _send(self, conversation: str, text: str) -> None:
        ack = await self._client.send(conversation, {"text": text})
        if conversation == self.feed.open:
            self.feed.mine = max(self.feed.mine, ack.seq)

    async def _list(self, _: str = "") -> None:
        """The conversations, pinned and newest first."""
        page = await self._client.account.get("/conversations?pageSize=50")
        self._listed = [summary["id"] for summary in page["items"]]
        for number, summary in enumerate(page["items"], 1):
            self.feed.titles[summary["id"]] = summary["title"]
            self._screen.say(conversation_line(number, summary, summary["unread"]))
        if not self._listed:
            self._screen.say("还没有会话")

    async def _open(self, which: str) -> None:
        """By its number in the list, or by its id."""
        listed = dict(enumerate(self._listed, 1))
        try:
            conversation = listed.get(_number(which) or 0) or str(UUID(which))
        except ValueError:
            raise Refused("not_found", NO_SUCH) from None
        try:
            await self.feed.enter(conversation)
        except Refused as refused:
            raise (Refused("not_found", NO_SUCH) if refused.code == "not_found" else refused) from None

    async def _history(self, _: str) -> None:
        page = await self._client.history(self.feed.open, limit=SHOWN_AT_ONCE)
        for entry in page.entries:
            if shown := self.feed.log.look(entry.seq):
                self._screen.say(entry_line(shown, self.feed.name))
        if not page.more:
            self._screen.say("  没有更早的消息了")

    async def _who(self, _: str) -> None:
        for member in (await self.feed.meet(self.feed.open))["members"]:
            online = self.feed.present.get(member["user"])
            state = "" if online is None else "在线 " if online else "离线 "
            self._screen.say(f"  {self.feed.name(member['user'])} {state}已读 #{member['readSeq']}")

    async def _edit(self, rest: str) -> None:
        seq, _, text = rest.partition(" ")
        number = _number(seq.removeprefix("#"))
        if number is None or not text.strip():
            raise Refused("invalid", "请写消息的编号和新的内容，例如 /edit 12 新内容")
        self._later(self._client.edit(self.feed.open, number, text.strip()))

    async def _recall(self, rest: str) -> None:
        seq, _, reason = rest.partition(" ")
        number = _number(seq.removeprefix("#"))
        if number is None:
            raise Refused("invalid", "请写消息的编号，例如 /recall 12")
        self._later(self._client.recall(self.feed.open, number, reason))

    async def _help(self, _: str) -> None:
        self._screen.say(HELP)

    def _on_typing(self) -> None:
        now = time.monotonic()
        if self.feed.open and now - self._typed_at >= TYPING_EVERY_S:
            self._typed_at = now
            self._later(self._client.typing(self.feed.open))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= DIGITS else None


async def talk(url: str, phone: str, code: str | None, conversation: str | None) -> int:
    """The whole programme; the answer is the exit status."""
    async with open_screen() as screen, httpx.AsyncClient() as http:
        try:
            code = code or await Account(url, http).ask_code(phone) or await screen.ask("短信验证码")
            account = await Account.sign_in(http, url, phone, code)
        except (Refused, httpx.HTTPError) as error:
            screen.say(f"无法登录 {url}：{failure_text(error)}")
            return 1
        async with HubClient(account) as client:
            try:
                await client.until(lambda _: client.online)
            except (TimeoutError, Stopped) as error:
                screen.say(f"无法连接 {url}：{failure_text(error)}")
                return 1
            screen.say(f"已登录：{clean(account.user['name']) or mask_phone(phone)}（/help 查看命令）")
            async with asyncio.TaskGroup() as tasks:
                chat = Chat(screen, client, tasks)
                following = tasks.create_task(chat.feed.follow())
                await chat.converse(conversation)
                following.cancel()
    return 0


def run(url: str, phone: str, code: str | None = None, conversation: str | None = None) -> int:
    """Talk until the person leaves. With lines from a pipe it ends when the last one was acked."""
    try:
        return asyncio.run(talk(url, phone, code, conversation))
    except KeyboardInterrupt:
        return 130
