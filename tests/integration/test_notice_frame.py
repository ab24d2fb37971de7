"""The `notice` frame on the wire: a notice that begins, one that was seen, on every device and node, with the count of the inbox."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.messaging.model import TextBody
from hub.notices.actions import Notices, notify, tell_all
from hub.notices.class_book import ClassBook
from hub.notices.draft import Draft
from hub.platform.clock import SystemClock
from hub.platform.identifier import new_id
from hub.platform.settings import Notices as NoticeSettings
from tests.integration.conftest import Serve
from tests.integration.ledger_scene import notice
from tests.integration.wire import SECRET, Json, Server

KEYS = {"op", "notice", "class", "state", "conversation", "seq", "unread", "version", "at"}


@pytest_asyncio.fixture(scope="module")
async def other_running(serve: Serve, running: Server) -> AsyncIterator[Server]:
    async with serve(like=running) as server:
        yield server


@pytest_asyncio.fixture
async def there(other_running: Server) -> AsyncIterator[Server]:
    """A second node beside `hub`."""
    yield other_running
    await other_running.hang_up()
    await other_running.connections(0)


async def remind(hub: Server, user: str, key: str = "") -> str:
    """Tell somebody something as the core does; the answer is the dedupe key."""
    node, database, clock = hub.parts.node, hub.parts.database, SystemClock()
    services = Notices(node.messaging, ClassBook(database, clock), clock, NoticeSettings(), begun=node.bell.note)
    draft = Draft(user=user, dedupe_key=key or new_id(), subject="order:1")
    async with database.transaction() as connection:
        outcomes = await notify(services, connection, "order", draft, TextBody(text=SECRET))
    tell_all(services, outcomes)
    return draft.dedupe_key


async def inbox_of(hub: Server, user: str) -> str:
    found: str = await hub.parts.database.log.fetchval(
        "SELECT id::text FROM conversations WHERE direct_key = $1", f"inbox:{user}"
    )
    return found


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_a_notice_that_begins_is_told_to_every_device_on_every_node(
    hub: Server, there: Server, packed: bool
) -> None:
    """After its entry, to the person alone; nothing of what it says is in it."""
    user, other = await hub.people(2)
    here, far, stranger = await hub.device(user, packed=packed), await there.device(user), await hub.device(other)
    await remind(hub, user)
    frame = await here.hear("notice")

    assert frame.keys() == KEYS
    assert (frame["class"], frame["state"], frame["seq"], frame["unread"], frame["version"]) == (
        "order",
        "open",
        1,
        1,
        1,
    )
    assert frame["conversation"] == await inbox_of(hub, user)
    assert await far.hear("notice") == frame
    assert [each["op"] for each in await stranger.so_far()] == []


async def test_the_count_falls_when_it_is_read_and_versions_only_grow(hub: Server, there: Server) -> None:
    """Read on one device, known on all: both have the count of the same moment, and a newer one a greater version."""
    user = await hub.person()
    here, far = await hub.device(user), await there.device(user)
    told: list[Json] = []
    for _ in range(3):
        await remind(hub, user)
        told.append(await far.hear("notice", state="open"))
    inbox = await inbox_of(hub, user)
    assert (await here.ask("read", conversation=inbox, seq=2))["op"] == "ok"
    seen = [await far.hear("notice", state="seen") for _ in range(2)]
    welcome = await far.ask("hello", cursors={})

    assert [(each["unread"], each["version"]) for each in told] == [(1, 1), (2, 2), (3, 3)]
    assert [each["notice"] for each in seen] == [each["notice"] for each in told[:2]]
    assert [(each["unread"], each["version"]) for each in seen] == [(1, 5), (1, 5)]
    assert welcome["heads"][inbox]["unread"] == 1


async def test_a_repetition_tells_nothing_again(hub: Server) -> None:
    """There is one notice with a dedupe key, ever."""
    user = await hub.person()
    device = await hub.device(user)
    key = await remind(hub, user)
    first = await device.hear("notice")
    await remind(hub, user, key)
    await remind(hub, user)

    assert [first["seq"], (await device.hear("notice"))["seq"]] == [1, 2]


async def test_a_notice_of_a_conversation_that_was_read_is_told_as_seen(hub: Server) -> None:
    """Also one that the sweep made; somebody without an inbox has nothing unread in it."""
    user, other = await hub.people(2)
    room = await hub.conversation(user, other)
    writer, device = await hub.device(other), await hub.device(user)
    ack = await writer.send(room)
    made = await notice(hub.parts.database, user, "open", conversation=room, seq=ack["seq"], derived=True)
    assert (await device.ask("read", conversation=room, seq=ack["seq"]))["op"] == "ok"
    frame = await device.hear("notice")

    assert (frame["notice"], frame["state"], frame["class"]) == (made, "seen", "chat")
    assert (frame["conversation"], frame["seq"], frame["unread"], frame["version"]) == (room, ack["seq"], 0, 0)


async def test_a_message_costs_no_statement_more(hub: Server) -> None:
    """Nothing of notices is on the way of what people write."""
    user, other = await hub.people(2)
    room = await hub.conversation(user, other)
    writer, device = await hub.device(other), await hub.device(user)
    await writer.send(room)
    await device.hear("entry", conversation=room)
    async with hub.statements() as said:
        await writer.send(room)
        await device.hear("entry", conversation=room, seq=2)

    assert not [each for each in said if "notice" in each]
