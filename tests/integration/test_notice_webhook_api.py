"""Admins say who is told of notices: shown once, checked, audited."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from hub.platform.database import Database
from hub.webhooks import duty as duty
from hub.webhooks.actions import leads_outside
from tests.integration.webhook_scene import WebhookScene, notice, open_webhook_scene, person
from tests.standins.webhook import WebhookStandin, open_receiver

PATH = "/admin/notice-webhooks"
URL = "https://223.5.5.5/hook?token=wangxiaoming"
KEYS = {
    "id",
    "url",
    "classes",
    "enabled",
    "disabledWhy",
    "failures",
    "failingSince",
    "behind",
    "createdBy",
    "createdAt",
}


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[WebhookStandin]:
    async with open_receiver() as opened:
        yield opened


@pytest_asyncio.fixture
async def scene(database: Database, redis_url: str, receiver: WebhookStandin) -> AsyncIterator[WebhookScene]:
    """Nothing inside the network may be named."""
    async with open_webhook_scene(database, redis_url, receiver, private=False) as opened:
        await opened.execute("DELETE FROM notice_webhooks")
        yield opened


@pytest_asyncio.fixture
async def inside(database: Database, redis_url: str, receiver: WebhookStandin) -> AsyncIterator[WebhookScene]:
    """The receiver, which is inside, may be posted to."""
    async with open_webhook_scene(database, redis_url, receiver) as opened:
        await opened.execute("DELETE FROM notice_webhooks")
        yield opened


async def create(scene: WebhookScene, status: int = 200, **body: Any) -> Any:
    return await scene.call("admin", "POST", PATH, status, json={"url": URL, **body})


async def test_the_secret_is_shown_once_and_kept_sealed(scene: WebhookScene) -> None:
    """Neither the list nor the database tells it."""
    made = await create(scene, classes=["order", "plan"])
    webhook, secret = made["webhook"], made["secret"]
    stored = await scene.row("SELECT secret FROM notice_webhooks WHERE id = $1", webhook["id"])

    assert webhook.keys() == KEYS
    assert (webhook["url"], webhook["classes"], webhook["enabled"]) == (URL, ["order", "plan"], True)
    assert webhook["createdBy"] == scene.admin.user
    assert len(secret) == 43
    assert await scene.call("admin", "GET", PATH) == [webhook]
    assert secret.encode() not in stored["secret"]


@pytest.mark.parametrize("role", ["patient", "doctor", "staff"])
async def test_only_admins_may(scene: WebhookScene, role: str) -> None:
    """Not even look: an address may hold a token."""
    one = f"{PATH}/{(await create(scene))['webhook']['id']}"

    await scene.call(role, "POST", PATH, 403, json={"url": URL})
    await scene.call(role, "GET", PATH, 403)
    await scene.call(role, "PATCH", one, 403, json={"enabled": False})
    await scene.call(role, "DELETE", one, 403)
    await scene.call(role, "POST", f"{one}/rotate", 403)
    await scene.call(role, "POST", f"{one}/test", 403)
    await scene.call(role, "GET", f"{one}/deliveries", 403)


@pytest.mark.parametrize("webhook", ["0190c0de-0000-7000-8000-0000000000ff", "nothing", "%00"])
async def test_what_does_not_exist_is_not_found(scene: WebhookScene, webhook: str) -> None:
    one = f"{PATH}/{webhook}"

    await scene.call("admin", "PATCH", one, 404, json={"enabled": False})
    await scene.call("admin", "DELETE", one, 404)
    await scene.call("admin", "POST", f"{one}/rotate", 404)
    await scene.call("admin", "POST", f"{one}/test", 404)
    await scene.call("admin", "GET", f"{one}/deliveries", 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://223.5.5.5/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://localhost:8443/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://100.100.100.200/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": URL, "classes": ["nothing"]}, "classes"),
        ({"url": URL, "classes": []}, "classes"),
        ({"url": URL, "secret": "mine"}, "secret"),
        ({"classes": None}, "url"),
    ],
)
async def test_bad_input_is_refused_by_name(scene: WebhookScene, body: dict[str, Any], field: str) -> None:
    """Also what leads inside the network; nothing is made."""
    refused = await scene.call("admin", "POST", PATH, 400, json=body)

    assert [name.split(".")[0] for name in refused["fields"]] == [field]
    assert await scene.call("admin", "GET", PATH) == []


async def test_a_change_is_checked_too(scene: WebhookScene) -> None:
    """And changes only what is given; null classes are all."""
    one = f"{PATH}/{(await create(scene, classes=['order']))['webhook']['id']}"
    refused = await scene.call("admin", "PATCH", one, 400, json={"url": "https://10.0.0.1/"})
    await scene.call("admin", "PATCH", one, 400, json={"classes": ["nothing"]})

    assert list(refused["fields"]) == ["url"]
    assert (await scene.call("admin", "PATCH", one, json={}))["classes"] == ["order"]
    assert (await scene.call("admin", "PATCH", one, json={"classes": None}))["classes"] is None
    changed = await scene.call("admin", "PATCH", one, json={"url": "https://8.8.8.8/", "enabled": False})
    assert (changed["url"], changed["enabled"], changed["disabledWhy"]) == ("https://8.8.8.8/", False, "staff")


async def test_what_cannot_be_resolved_here_is_for_the_worker_to_find_out(scene: WebhookScene) -> None:
    """RFC 6761, section 6.4: `invalid` names nothing."""
    assert await leads_outside("hook.invalid", 443)


async def test_the_twenty_first_is_refused(scene: WebhookScene) -> None:
    """Each costs something at every change of a notice."""
    for _ in range(20):
        await create(scene)

    assert (await create(scene, 409))["type"] == "conflict"


async def test_everything_leaves_a_row_in_the_audit_without_the_address(scene: WebhookScene) -> None:
    webhook = (await create(scene))["webhook"]["id"]
    one = f"{PATH}/{webhook}"
    await scene.call("admin", "PATCH", one, json={"url": "https://8.8.8.8/", "classes": ["order"], "enabled": False})
    await scene.call("admin", "POST", f"{one}/rotate")
    await scene.call("admin", "POST", f"{one}/test")
    await scene.call("admin", "DELETE", one)
    rows = await scene.database.log.fetch(
        "SELECT action, subject FROM audit_log WHERE actor = $1 ORDER BY number", scene.admin.user
    )

    assert [tuple(row) for row in rows] == [
        ("webhook.created", webhook),
        ("webhook.changed", f"{webhook} url classes=order enabled=false"),
        ("webhook.rotated", webhook),
        ("webhook.tested", webhook),
        ("webhook.deleted", webhook),
    ]


async def test_after_a_rotation_the_new_secret_signs(inside: WebhookScene) -> None:
    """Also what is repeated from before."""
    webhook, old = await inside.listen()
    async with inside.database.transaction() as connection:
        await notice(connection, await person(connection))
    inside.receiver.answers = [401]
    await duty.post_events(inside.desk, webhook)
    new = (await inside.call("admin", "POST", f"{PATH}/{webhook}/rotate"))["secret"]
    await inside.clock.advance(1)
    await duty.post_events(inside.desk, webhook)
    first, second = inside.receiver.posts

    assert first.id == second.id
    assert (first.is_signed_with(old), second.is_signed_with(old)) == (True, False)
    assert second.is_signed_with(new)


async def test_deleting_destroys_the_key_and_the_log(inside: WebhookScene) -> None:
    """Whoever is woken for it afterwards has nothing to do."""
    webhook, _ = await inside.listen()
    await inside.call("admin", "POST", f"{PATH}/{webhook}/test")
    await inside.call("admin", "DELETE", f"{PATH}/{webhook}")
    await duty.post_events(inside.desk, webhook)

    assert inside.receiver.posts == []
    assert (await inside.row("SELECT wrapped FROM data_keys WHERE subject = $1", webhook))["wrapped"] is None
    assert (await inside.row("SELECT count(*) FROM notice_webhook_deliveries WHERE webhook = $1", webhook))[0] == 0


async def test_the_log_comes_in_pages(inside: WebhookScene) -> None:
    """The newest first, each once."""
    webhook, _ = await inside.listen()
    asked = []
    for _ in range(5):
        asked.append((await inside.call("admin", "POST", f"{PATH}/{webhook}/test"))["delivery"])
        await duty.post_events(inside.desk, webhook)
    path, found, cursor = f"{PATH}/{webhook}/deliveries", [], None
    while True:
        params = {"limit": 2} | ({"before": cursor} if cursor else {})
        page = await inside.call("admin", "GET", path, params=params)
        found += page["items"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    refused = await inside.call("admin", "GET", path, 400, params={"before": "x"})

    assert [each["id"] for each in found] == asked[::-1]
    assert {(each["status"], each["httpStatus"], each["tries"]) for each in found} == {("delivered", 200, 1)}
    assert list(refused["fields"]) == ["before"]
