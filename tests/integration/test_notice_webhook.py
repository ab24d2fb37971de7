"""Another system follows what happens to notices: in order, signed, nothing skipped, nothing of what they say."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from channels.transport import Reply, Transport, open_transport
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from hub.webhooks import duty as duty
from hub.webhooks import post as webhook_post
from hub.webhooks.duty import LEASE_S, WebhookDesk
from hub.webhooks.url import is_outside
from scheduler import ticker
from scheduler.notice_sweep import open_notice_sweeps
from tests.integration.webhook_scene import (
    KEYRING,
    WebhookScene,
    come_to,
    notice,
    open_webhook_scene,
    person,
)
from tests.standins.webhook import WebhookStandin, open_receiver
from workers import worker
from workers.queue import open_queue

# aiohttp takes no short forms of numbers.
REFUSED = {"127.0.0.1": "Forbidden", "localhost": "Forbidden", "127.1": "InvalidUrlClientError"}
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[WebhookStandin]:
    async with open_receiver() as opened:
        yield opened


@pytest_asyncio.fixture
async def scene(database: Database, redis_url: str, receiver: WebhookStandin) -> AsyncIterator[WebhookScene]:
    """Without webhooks and events of the test before."""
    async with open_webhook_scene(database, redis_url, receiver) as opened:
        await opened.execute("DELETE FROM notice_webhooks")
        await opened.execute("DELETE FROM notice_events")
        yield opened


async def happen(scene: WebhookScene, *states: str, code: str = "order") -> str:
    """A notice that comes into these states, one transaction each."""
    async with scene.database.transaction() as connection:
        made = await notice(connection, await person(connection), code)
    for state in states:
        async with scene.database.transaction() as connection:
            await come_to(connection, made, state)
    return made


async def due(scene: WebhookScene) -> list[str]:
    return list(await duty.due_webhooks(scene.database, scene.clock.now(), 10))


async def test_what_happens_is_told_in_order_and_signed(scene: WebhookScene) -> None:
    """A notice and its attempts; ids and states, and nothing else of it."""
    webhook, secret = await scene.listen()
    attempt = new_id()
    async with scene.database.transaction() as connection:
        user = await person(connection)
        made = await notice(connection, user)
        await connection.execute(
            text("""INSERT INTO notice_attempts (id, notice, step, channel, provider, address, detail, state)
                    VALUES (:id, :notice, 0, 'sms', 'aliyun', '13900001111', '详情', 'leased')"""),
            {"id": attempt, "notice": made},
        )
    await scene.execute("UPDATE notice_attempts SET state = 'refused', code = 'LIMIT' WHERE id = :id", id=attempt)
    await scene.execute("UPDATE notice_attempts SET detail = '又一次' WHERE id = :id", id=attempt)
    async with scene.database.transaction() as connection:
        await come_to(connection, made, "failed", "refused")

    assert await due(scene) == [webhook]
    await duty.post_events(scene.desk, webhook)

    [post] = scene.receiver.posts
    assert post.is_signed_with(secret)
    assert post.timestamp == int(scene.clock.now().timestamp())
    same = {"notice": made, "user": user, "class": "order"}
    assert [{key: event[key] for key in event if key not in ("id", "at")} for event in post.events] == [
        same | {"state": "open"},
        same | {"state": "leased", "channel": "sms", "attempt": attempt},
        same | {"state": "refused", "channel": "sms", "attempt": attempt, "code": "LIMIT"},
        same | {"state": "failed", "code": "refused"},
    ]
    first = post.events[0]["id"]
    assert [event["id"] for event in post.events] == [first, first + 1, first + 2, first + 3]
    assert await due(scene) == []


async def test_nothing_is_written_while_nobody_listens(scene: WebhookScene) -> None:
    """Nor for a webhook that is off."""
    webhook, _ = await scene.listen()
    await scene.call("admin", "PATCH", f"/admin/notice-webhooks/{webhook}", json={"enabled": False})
    await happen(scene, "seen")

    assert (await scene.row("SELECT count(*) FROM notice_events"))[0] == 0


async def test_one_statement_about_many_tells_of_each_that_changed(scene: WebhookScene) -> None:
    """Those that were there already are not told of again."""
    webhook, _ = await scene.listen()
    seen, other = await happen(scene, "seen"), await happen(scene)
    await duty.post_events(scene.desk, webhook)
    await scene.execute("UPDATE notices SET state = 'seen' WHERE id = ANY (CAST(:ids AS uuid[]))", ids=[seen, other])
    await duty.post_events(scene.desk, webhook)

    assert [event["notice"] for event in scene.receiver.posts[-1].events] == [other]


async def test_a_failed_post_is_repeated_with_the_same_id_and_bytes(scene: WebhookScene) -> None:
    """Whatever happened meanwhile comes after it; the signature is fresh."""
    webhook, secret = await scene.listen()
    scene.receiver.answers = [500, 429]
    first = await happen(scene)
    await duty.post_events(scene.desk, webhook)

    assert await due(scene) == []  # not before the pause is over
    await duty.post_events(scene.desk, webhook)
    assert len(scene.receiver.posts) == 1

    second = await happen(scene)
    await scene.clock.advance(1)
    assert await due(scene) == [webhook]
    await duty.post_events(scene.desk, webhook)
    assert (await scene.webhook(webhook)).failures == 2
    await scene.clock.advance(2)
    await duty.post_events(scene.desk, webhook)

    posts = scene.receiver.posts
    assert len({(post.id, post.body) for post in posts[:3]}) == 1
    assert [post.is_signed_with(secret) for post in posts] == [True] * 4
    assert [event["notice"] for event in scene.receiver.events] == [first, second]
    newest, oldest = await scene.log(webhook)
    assert (oldest.status, oldest.tries, oldest.http_status, oldest.error) == ("delivered", 3, 200, "")
    assert (newest.status, newest.tries, newest.events) == ("delivered", 1, 1)
    assert (await scene.webhook(webhook)).failures == 0
    assert (await scene.row("SELECT count(body) FROM notice_webhook_deliveries"))[0] == 0


async def test_a_post_that_is_not_answered_is_repeated(scene: WebhookScene) -> None:
    """It may have been taken; the id says that it is the same."""
    webhook, _ = await scene.listen()
    made = await happen(scene)
    scene.receiver.hold = asyncio.Event()
    async with open_transport(0.2) as hasty:
        desk = WebhookDesk(scene.database, scene.desk.sealer, hasty, scene.clock, private=True)
        await duty.post_events(desk, webhook)
    scene.receiver.hold.set()
    [delivery] = await scene.log(webhook)
    await scene.clock.advance(1)
    await duty.post_events(scene.desk, webhook)

    assert (delivery.status, delivery.http_status, delivery.error) == ("pending", None, "TimeoutError")
    assert len({post.id for post in scene.receiver.posts}) == 1
    assert [event["notice"] for event in scene.receiver.events] == [made]


async def test_a_redirect_is_not_followed(scene: WebhookScene) -> None:
    """It would lead past the check of the address."""
    webhook, _ = await scene.listen()
    scene.receiver.answers = [302]
    await happen(scene)
    await duty.post_events(scene.desk, webhook)

    assert len(scene.receiver.posts) == 1
    assert [each.http_status for each in await scene.log(webhook)] == [302]


async def test_what_commits_late_comes_late_and_nothing_is_skipped(scene: WebhookScene) -> None:
    """A transaction that wrote first and commits last does not hold up the others, either."""
    webhook, _ = await scene.listen()
    async with scene.database.transaction() as connection:
        late = await notice(connection, await person(connection))
        early = await happen(scene, "seen")
        await due(scene)
        await duty.post_events(scene.desk, webhook)
        assert [event["notice"] for event in scene.receiver.events] == [early, early]
    assert await due(scene) == [webhook]
    await duty.post_events(scene.desk, webhook)

    ids = [event["id"] for event in scene.receiver.events]
    assert [event["notice"] for event in scene.receiver.events] == [early, early, late]
    assert ids == sorted(ids)


async def test_one_notice_is_told_of_in_the_order_of_its_changes(scene: WebhookScene) -> None:
    """Also when the transaction of the second change began before that of the first."""
    webhook, _ = await scene.listen()
    made = await happen(scene)

    async with scene.database.engine.connect() as first, scene.database.engine.connect() as second:
        await person(second)  # so it has the older transaction id
        await come_to(first, made, "delivered")
        blocking = (await first.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        waiting = asyncio.ensure_future(come_to(second, made, "seen"))
        while not (await scene.row(WAITS, blocking))[0]:
            pass
        await duty.post_events(scene.desk, webhook)
        await first.commit()
        await waiting
        await duty.post_events(scene.desk, webhook)
        await second.commit()
    await duty.post_events(scene.desk, webhook)

    assert [event["state"] for event in scene.receiver.events] == ["open", "delivered", "seen"]


class Killed(Exception):
    """The end of a worker."""


class KilledAfterPost(Transport):
    """Posts, and dies before it hears of it."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        await self._inner.post(url, content, headers)
        raise Killed


async def test_a_worker_killed_after_the_post_has_it_repeated_under_its_id(scene: WebhookScene) -> None:
    """When its lease has ended; then the cursor moves, once."""
    webhook, _ = await scene.listen()
    first = await happen(scene)
    dying = KilledAfterPost(scene.desk.transport)
    with pytest.raises(Killed):
        await duty.post_events(
            WebhookDesk(scene.database, scene.desk.sealer, dying, scene.clock, private=True), webhook
        )
    second = await happen(scene)

    assert await due(scene) == []
    await scene.clock.advance(LEASE_S)
    assert await due(scene) == [webhook]
    await duty.post_events(scene.desk, webhook)
    posts = scene.receiver.posts
    assert [post.id for post in posts] == [posts[0].id, posts[0].id, posts[2].id]
    assert posts[0].body == posts[1].body
    assert [event["notice"] for event in scene.receiver.events] == [first, second]
    assert [each.tries for each in await scene.log(webhook)] == [1, 2]


async def test_one_at_a_time_posts_to_a_webhook(scene: WebhookScene) -> None:
    """Another worker that is woken for it meanwhile has nothing to do."""
    webhook, _ = await scene.listen()
    await happen(scene)
    scene.receiver.hold = asyncio.Event()
    posting = asyncio.ensure_future(duty.post_events(scene.desk, webhook))
    await scene.receiver.came.wait()
    await happen(scene)
    await duty.post_events(scene.desk, webhook)
    assert len(scene.receiver.posts) == 1
    scene.receiver.hold.set()
    await posting

    assert len(scene.receiver.posts) == 2
    assert len(scene.receiver.events) == 2


async def test_who_lost_the_lease_moves_nothing(scene: WebhookScene) -> None:
    """It was frozen for so long that another has its turn, which has the same batch."""
    webhook, _ = await scene.listen()
    await happen(scene)
    scene.receiver.hold = asyncio.Event()
    posting = asyncio.ensure_future(duty.post_events(scene.desk, webhook))
    await scene.receiver.came.wait()
    async with scene.database.transaction() as connection:
        now, lease = scene.clock.now() + timedelta(seconds=LEASE_S), new_id()
        assert await webhook_post.take(connection, webhook, lease, now, now + timedelta(seconds=LEASE_S))
    scene.receiver.hold.set()
    await posting

    assert [each.status for each in await scene.log(webhook)] == ["pending"]
    assert (await scene.webhook(webhook)).behind == 1


async def test_many_events_come_in_batches_of_a_hundred(scene: WebhookScene) -> None:
    """In one turn, each after the one before was taken."""
    webhook, _ = await scene.listen()
    async with scene.database.transaction() as connection:
        user = await person(connection)
        made = [await notice(connection, user) for _ in range(250)]
    await duty.post_events(scene.desk, webhook)

    assert [len(post.events) for post in scene.receiver.posts] == [100, 100, 50]
    assert [event["notice"] for event in scene.receiver.events] == made


async def test_only_the_classes_that_are_wanted_are_told(scene: WebhookScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others lie between, and they are not looked at again."""
    monkeypatch.setattr("hub.webhooks.feed.SCANNED", 3)
    webhook, _ = await scene.listen("plan")
    for _ in range(4):
        await happen(scene, "seen", code="chat")
    wanted = await happen(scene, code="plan")
    await happen(scene, code="chat")
    await due(scene)
    await duty.post_events(scene.desk, webhook)

    assert [event["notice"] for event in scene.receiver.events] == [wanted]
    assert await due(scene) == []


async def test_notices_of_health_are_told_only_where_they_are_asked_for(scene: WebhookScene) -> None:
    """That somebody has an alert, or a plan, says something of their health: whoever is to know it names the class."""
    usual, _ = await scene.listen()
    named, _ = await scene.listen("health_alert", "order")
    told = {}
    for code in ("health_alert", "plan", "order"):
        told[code] = await happen(scene, code=code)
    await duty.post_events(scene.desk, usual)
    assert [event["notice"] for event in scene.receiver.events] == [told["order"]]
    await duty.post_events(scene.desk, named)

    assert [event["notice"] for event in scene.receiver.events[1:]] == [told["health_alert"], told["order"]]


async def test_an_event_of_a_broadcast_names_it(scene: WebhookScene) -> None:
    """And says nothing else of what the notice is about."""
    webhook, _ = await scene.listen()
    made, broadcast = await happen(scene), new_id()
    await scene.execute("UPDATE notices SET broadcast = :broadcast WHERE id = :id", id=made, broadcast=broadcast)
    await duty.post_events(scene.desk, webhook)

    (event,) = scene.receiver.events
    assert event["broadcast"] == broadcast
    assert "subject" not in event


async def test_notices_of_somebody_deleted_are_not_told(scene: WebhookScene) -> None:
    """What was not told before is not told at all, and holds up nothing."""
    webhook, _ = await scene.listen()
    gone = await happen(scene)
    await scene.execute("DELETE FROM users WHERE id = (SELECT user_id FROM notices WHERE id = :id)", id=gone)
    stays = await happen(scene)
    await duty.post_events(scene.desk, webhook)

    assert [event["notice"] for event in scene.receiver.events] == [stays]


async def test_a_webhook_that_says_gone_is_disabled_at_once(scene: WebhookScene) -> None:
    """Its batch is given up; enabled again, it hears of what happens from then on."""
    webhook, _ = await scene.listen()
    scene.receiver.answers = [410]
    await happen(scene)
    await duty.post_events(scene.desk, webhook)
    found = await scene.webhook(webhook)
    assert (found.enabled, found.disabled_why) == (False, "gone")
    assert [each.status for each in await scene.log(webhook)] == ["dropped"]

    enabled = await scene.call("admin", "PATCH", f"/admin/notice-webhooks/{webhook}", json={"enabled": True})
    assert (enabled["enabled"], enabled["disabledWhy"], enabled["failures"]) == (True, "", 0)
    after = await happen(scene)
    await duty.post_events(scene.desk, webhook)
    assert [event["notice"] for event in scene.receiver.posts[-1].events] == [after]


async def test_a_webhook_that_fails_for_three_days_is_disabled(scene: WebhookScene) -> None:
    """Tried at least every hour until then; one success begins anew."""
    webhook, _ = await scene.listen()
    scene.receiver.answers = [503] * 1000
    await happen(scene)
    began = scene.clock.now()
    while (await scene.webhook(webhook)).enabled:
        await duty.post_events(scene.desk, webhook)
        await scene.clock.advance(3600)

    assert timedelta(days=3) <= scene.clock.now() - began <= timedelta(days=3, hours=2)
    assert (await scene.webhook(webhook)).disabled_why == "failing"
    assert await due(scene) == []


async def test_a_webhook_too_far_behind_is_disabled(scene: WebhookScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the feed would grow without end."""
    monkeypatch.setattr("hub.webhooks.post.BEHIND", 3)
    slow, _ = await scene.listen()
    fast, _ = await scene.listen()
    await happen(scene, "delivered", "seen")
    assert sorted(await due(scene)) == sorted([slow, fast])
    await duty.post_events(scene.desk, fast)
    await happen(scene)

    assert await due(scene) == [fast]
    assert (await scene.webhook(slow)).disabled_why == "behind"


async def test_an_address_inside_is_not_connected_to(
    scene: WebhookScene, receiver: WebhookStandin, database: Database, redis_url: str
) -> None:
    """Neither in numbers nor by a name that leads there only now; checked when connecting, so also after a rebinding."""
    connected = asyncio.Event()
    async with (
        open_transport(2, is_outside) as careful,
        await asyncio.start_server(lambda *_: connected.set(), "127.0.0.1", 0) as server,
    ):
        port = str(server.sockets[0].getsockname()[1])
        desk = WebhookDesk(database, scene.desk.sealer, careful, scene.clock, private=False)
        for host, error in REFUSED.items():
            webhook, _ = await scene.listen(url=f"https://{host}:{port}/")
            await happen(scene)
            await duty.post_events(desk, webhook)
            [delivery] = await scene.log(webhook)

            assert (delivery.status, delivery.error) == ("pending", error)
            await scene.webhooks.delete(scene.admin, webhook)
        webhook, _ = await scene.listen()  # http, from when the setting allowed it
        await happen(scene)
        strict = WebhookDesk(database, scene.desk.sealer, scene.desk.transport, scene.clock, private=False)
        await duty.post_events(strict, webhook)
        assert [each.error for each in await scene.log(webhook)] == ["Forbidden"]
    assert not connected.is_set()
    assert receiver.posts == []


async def test_a_ping_is_posted_once_also_when_the_webhook_is_off(scene: WebhookScene) -> None:
    """It does not wait for a pause, and its failure is nobody's."""
    webhook, secret = await scene.listen()
    path = f"/admin/notice-webhooks/{webhook}"
    await scene.call("admin", "PATCH", path, json={"enabled": False})
    asked = await scene.call("admin", "POST", f"{path}/test")
    assert await scene.call("admin", "POST", f"{path}/test") == asked
    scene.receiver.answers = [500]
    assert await due(scene) == [webhook]
    await duty.post_events(scene.desk, webhook)
    assert await due(scene) == []
    await scene.call("admin", "POST", f"{path}/test")
    await duty.post_events(scene.desk, webhook)

    assert [(post.body, post.is_signed_with(secret)) for post in scene.receiver.posts] == [
        (b'{"events":[],"ping":true}', True)
    ] * 2
    assert scene.receiver.posts[0].id == asked["delivery"]
    log = await scene.log(webhook)
    assert [(each.ping, each.status, each.http_status, each.tries) for each in log] == [
        (True, "delivered", 200, 1),
        (True, "failed", 500, 1),
    ]
    assert (await scene.webhook(webhook)).failures == 0


async def test_what_everybody_was_told_is_deleted(scene: WebhookScene) -> None:
    """What one has not been told stays; one that is off keeps nothing."""
    fast, _ = await scene.listen()
    slow, _ = await scene.listen()
    await happen(scene, "seen")
    await due(scene)
    await duty.post_events(scene.desk, fast)
    await duty.forget(scene.database, scene.clock.now())
    assert (await scene.row("SELECT count(*) FROM notice_events"))[0] == 2

    await scene.call("admin", "PATCH", f"/admin/notice-webhooks/{slow}", json={"enabled": False})
    assert await duty.forget(scene.database, scene.clock.now()) == 2
    assert (await scene.row("SELECT count(*) FROM notice_events"))[0] == 0


async def test_the_log_keeps_the_newest_of_each_webhook(scene: WebhookScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the last 30 days; and never loses a batch that is still to be taken."""
    monkeypatch.setattr("hub.webhooks.store.KEPT", 2)
    webhook, _ = await scene.listen()
    quiet, _ = await scene.listen()
    for _ in range(4):
        await happen(scene)
        await duty.post_events(scene.desk, webhook)
    scene.receiver.answers = [500]
    await duty.post_events(scene.desk, quiet)
    newest = [each.id for each in await scene.log(webhook)][:2]
    await duty.forget(scene.database, scene.clock.now())
    assert [each.id for each in await scene.log(webhook)] == newest

    await duty.forget(scene.database, scene.clock.now() + timedelta(days=31))
    assert await scene.log(webhook) == []
    assert [each.status for each in await scene.log(quiet)] == ["pending"]


async def test_the_scheduler_wakes_a_worker_that_posts(scene: WebhookScene, database_url: str, redis_url: str) -> None:
    """The whole way, on the queue."""
    webhook, _ = await scene.listen()
    await scene.execute("UPDATE notice_webhooks SET next_at = now() - interval '1 s' WHERE id = :id", id=webhook)
    made = await happen(scene)
    chosen = Settings(
        redis=settings.Redis(url=redis_url, prefix=f"t{uuid4().hex}"), notices=settings.Notices(webhook_private=True)
    )
    duties = worker.webhook_duties(chosen, KEYRING, scene.database, scene.desk.transport)
    clock = SystemClock()
    async with (
        open_queue(chosen.redis) as queue,
        open_notice_sweeps(chosen, scene.database, clock) as notices,
    ):
        consuming = asyncio.ensure_future(queue.consume(partial(worker.perform, duties), settings.Worker(), 5))
        every_s, sweep = ticker.sweeps(chosen)["notice webhooks"]
        await sweep(ticker.Services(chosen, scene.database, queue, clock, notices))
        async with asyncio.timeout(20):
            await scene.receiver.came.wait()
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)

    assert every_s == 1
    assert [event["notice"] for event in scene.receiver.events] == [made]
