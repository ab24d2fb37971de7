"""What a person says to `hub chat`, and what is shown of the others, without a connection."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from clients.terminal import feed as feed_module
from clients.terminal.account import Account
from clients.terminal.chat import Chat
from clients.terminal.client import HubClient
from clients.terminal.event import Offline, Online
from clients.terminal.feed import Feed
from hub.realtime.protocol import Typed

ROOM = "0190a5e4-0000-7000-8000-000000000001"


class Script:
    """A screen on which these lines are written."""

    def __init__(self, *lines: str) -> None:
        self.said: list[str] = []
        self.statuses: asyncio.Queue[str] = asyncio.Queue()
        self.on_typing = lambda: None
        self._lines = iter(lines)

    def say(self, line: str) -> None:
        self.said.append(line)

    def status(self, line: str) -> None:
        self.statuses.put_nowait(line)

    async def ask(self, question: str = "") -> str | None:
        return next(self._lines, None)


class Server:
    """Knows one conversation by its list, and refuses the rest."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path.endswith("/conversations"):
            item = {"id": ROOM, "kind": "direct", "title": "周美玲", "unread": 0}
            return httpx.Response(200, json={"success": True, "data": {"items": [item]}})
        error = {"type": "not_found", "fields": {}}
        return httpx.Response(404, json={"success": False, "message": "内容不存在", "error": error})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[HubClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        yield HubClient(Account("http://hub", http))


async def converse(client: HubClient, *lines: str, open: str = "") -> list[str]:
    """What is said to these lines, after the list."""
    screen = Script(*lines)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        chat = Chat(screen, client, tasks)
        chat.feed.open = open
        await chat.converse(None)
    return screen.said[1:]


@pytest.mark.parametrize("line", ["/who", "/history", "/edit 1 x", "/recall 1", "您好"])
async def test_a_conversation_must_be_open(client: HubClient, line: str) -> None:
    """What is about the open conversation says how to open one."""
    assert await converse(client, line) == ["先用 /open N 打开一个会话"]


@pytest.mark.parametrize("which", ["", "0", "2", "²", "9" * 5000, "../users/me", ROOM + "/entries", "x" * 36])
async def test_only_a_number_of_the_list_or_an_id_is_opened(client: HubClient, server: Server, which: str) -> None:
    """What a person writes never becomes part of a path."""
    assert await converse(client, f"/open {which}") == ["  未成功：没有这个会话，/list 查看编号"]
    assert server.asked == ["/api/v1/conversations"]


async def test_an_id_that_is_none_of_ours_is_said_so(client: HubClient, server: Server) -> None:
    """Numbers and ids are asked for; the hub decides."""
    said = await converse(client, "/open 1", f"/open {ROOM.upper()}")

    assert said == ["  未成功：没有这个会话，/list 查看编号"] * 2
    assert server.asked[1:] == [f"/api/v1/conversations/{ROOM}"] * 2


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/edit", "例如 /edit 12 新内容"),
        ("/edit x", "例如 /edit 12 新内容"),
        ("/edit 12", "例如 /edit 12 新内容"),
        ("/recall", "例如 /recall 12"),
        ("/recall " + "9" * 5000, "例如 /recall 12"),
    ],
)
async def test_an_operation_without_its_number_says_how(client: HubClient, line: str, hint: str) -> None:
    """Each command has its own example."""
    (said,) = await converse(client, line, open=ROOM)

    assert said.endswith(hint)


async def test_typing_ends_when_nothing_is_sent(client: HubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who went on for longer than one notice lasts is forgotten, too."""
    screen = Script()
    feed = Feed(screen, client)
    feed.open = ROOM
    for lasts in (0.01, 0.3):
        monkeypatch.setattr(feed_module, "TYPING_SHOWN_S", lasts)
        await feed._on_event(Typed(conversation=ROOM, user="0001"))
    async with asyncio.timeout(5):
        statuses = [await screen.statuses.get() for _ in range(2)]

    assert statuses == ["用户0001 正在输入…", ""]


async def test_an_outage_is_told_once(client: HubClient) -> None:
    """However many attempts it takes to come back."""
    screen = Script()
    feed = Feed(screen, client)
    for event in [Offline("ConnectionRefusedError", 0.2), Offline("ConnectionRefusedError", 0.4), Online()] * 2:
        await feed._on_event(event)

    assert screen.said == ["  连接已断开，正在重连…", "  已重新连接"] * 2
