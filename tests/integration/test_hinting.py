"""Who is online when a broadcast reaches them is told at once by the worker's hints, on every node; others by the digest."""

from collections.abc import AsyncIterator

import pytest_asyncio

from hub.broadcasts.actions import Broadcasts, Wanted
from hub.broadcasts.model import Segment
from hub.messaging.actions import tell
from hub.messaging.history import Span
from hub.messaging.model import TextBody
from hub.messaging.port import MemberChange
from hub.messaging.posting import post
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.identifier import new_id
from hub.realtime.hinting import open_hinting
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from hub.security.token import Principal
from tests.integration.conftest import Serve
from tests.integration.test_node import seqs
from tests.integration.wire import SECRET, Server
from workers.worker import broadcast_duties


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


async def started(hub: Server, users: list[str]) -> str:
    keyring, clock, parts = load_keyring(hub.parts.settings), SystemClock(), hub.parts
    broadcasts = Broadcasts(parts.database, parts.node.messaging.sealer, Audit(keyring, clock), clock)
    staff = Principal(await hub.person("staff"), new_id(), "staff", 0)
    made = await broadcasts.create(staff, Wanted("通知", SECRET, "system", Segment(users=users)))
    await broadcasts.move(staff, made.row.id, "start")
    return made.row.id


async def work(hub: Server, broadcast: str) -> None:
    """What a worker process does, with its own connections to Redis."""
    chosen = hub.parts.settings
    async with open_hinting(chosen.redis) as hinting:
        duties = broadcast_duties(chosen, load_keyring(chosen), hub.parts.database, hinting)
        await duties["advance_broadcast"](broadcast)


async def test_open_sockets_on_every_node_hear_a_broadcast_at_once(hub: Server, there: Server) -> None:
    """Their place first and then the entry; and what is said there later as well. Nobody else hears anything."""
    one, two, away, stranger = await hub.people(4)
    sockets = [await hub.device(one), await hub.device(one, packed=True), await there.device(two)]
    outside = await there.device(stranger)
    broadcast = await started(hub, [one, two, away])
    await work(hub, broadcast)

    for socket, user in zip(sockets, (one, one, two), strict=True):
        place = await socket.hear("membership", conversation=broadcast)
        assert (place["user"], place["role"], place["kind"], place["fromSeq"]) == (user, "reader", "broadcast", 2)
        entry = await socket.hear("entry", conversation=broadcast)
        assert (entry["seq"], entry["body"]) == (2, {"text": SECRET})
        assert (await socket.ask("read", conversation=broadcast, seq=2))["op"] == "ok"
    services = hub.parts.node.messaging
    async with hub.parts.database.transaction() as connection:
        later = await post(services, connection, broadcast, TextBody(text=SECRET), new_id())
    tell(services, later)
    for socket in sockets:
        assert seqs(await socket.entries(broadcast, 3))[-1] == 3
    assert await outside.so_far() == []


async def test_digest_tells_who_missed_the_hint(hub: Server) -> None:
    """Redis keeps nothing: the next pong says that there is more, and a hello says what."""
    (someone,) = await hub.people(1)
    device = await hub.device(someone)
    broadcast = await started(hub, [someone])
    chosen = hub.parts.settings
    async with open_hinting(settings.Redis(url=chosen.redis.url, prefix=f"t{new_id()}")) as elsewhere:
        duties = broadcast_duties(chosen, load_keyring(chosen), hub.parts.database, elsewhere)
        await duties["advance_broadcast"](broadcast)
    pong = await device.ask("ping")
    assert pong["digest"] == "1.2.1.0"
    welcome = await device.hello({})
    page = await device.ask("fetch", conversation=broadcast, after=0)

    assert (welcome["heads"][broadcast]["unread"], seqs(page["entries"])) == (1, [2])


async def test_telling_does_not_fail_while_redis_is_away(hub: Server) -> None:
    """The readers are in and committed; that their sockets hear later must not cost the worker its job."""
    broadcast, user = await started(hub, await hub.people(1)), new_id()
    await work(hub, broadcast)
    (entry,) = (await hub.parts.node.history.spans([Span(broadcast, 1, 2)]))[broadcast]
    change = MemberChange(
        conversation=broadcast, user=user, role="reader", kind="broadcast", from_seq=2, to_seq=None, members_version=1
    )
    async with open_hinting(settings.Redis(url="redis://127.0.0.1:1")) as nowhere:
        await nowhere.joined(entry, [change])
