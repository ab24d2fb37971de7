"""HTTP of webhooks, under /admin, for admins. Takes the dependencies `webhooks` and `principal`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.platform.page import MAX_PAGE_SIZE, CursorPage
from hub.security.token import Principal
from hub.webhooks.actions import Change, Webhooks
from hub.webhooks.model import Delivery, Status, Webhook, Why
from hub.webhooks.url import MOST_LENGTH

Url = Annotated[str, Meta(min_length=1, max_length=MOST_LENGTH)]
Classes = Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(min_length=1, max_length=50)]


class NewWebhook(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Without `classes` it is told of notices of all classes but `health_alert` and `plan`, which must be named."""

    url: Url
    classes: Classes | None = None


class WebhookChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is left out stays; `classes` null: as in a new one without."""

    url: Url | UnsetType = UNSET
    classes: Classes | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookView(msgspec.Struct, frozen=True, rename="camel"):
    """`disabledWhy`: staff, failing (for three days), gone (it said so), behind (a million events). `behind`: events to come."""

    id: str
    url: str
    classes: Sequence[str] | None
    enabled: bool
    disabled_why: Why
    failures: int
    failing_since: str | None
    behind: int
    created_by: str
    created_at: str


class MadeView(msgspec.Struct, frozen=True, rename="camel"):
    """The only time that the secret is shown."""

    webhook: WebhookView
    secret: str


class SecretView(msgspec.Struct, frozen=True, rename="camel"):
    """The only time that the secret is shown."""

    secret: str


class TestView(msgspec.Struct, frozen=True, rename="camel"):
    """The delivery to look for in the log."""

    delivery: str


class DeliveryView(msgspec.Struct, frozen=True, rename="camel"):
    """One batch: what came of the newest try, `at` then. A ping is tried once; `dropped`: the webhook was disabled."""

    id: str
    ping: bool
    events: int
    status: Status
    tries: int
    http_status: int | None
    error: str
    created_at: str
    at: str
    took_ms: int | None


@post("/admin/notice-webhooks", status_code=200, responses=FAILURES)
async def create_notice_webhook(
    data: JSONBody[NewWebhook], principal: NamedDependency[Principal], webhooks: NamedDependency[Webhooks]
) -> Answer[MadeView]:
    """Have another system told of what happens to notices from now on: ids and states, signed."""
    webhook, secret = await webhooks.create(principal, data.url, data.classes)
    return answer(MadeView(_view(webhook), secret))


@get("/admin/notice-webhooks", responses=FAILURES)
async def list_notice_webhooks(
    principal: NamedDependency[Principal], webhooks: NamedDependency[Webhooks]
) -> Answer[Sequence[WebhookView]]:
    """All of them; 20 at most."""
    return answer([_view(each) for each in await webhooks.all(principal)])


@patch("/admin/notice-webhooks/{webhook:str}", responses=FAILURES)
async def change_notice_webhook(
    webhook: FromPath[str],
    data: JSONBody[WebhookChange],
    principal: NamedDependency[Principal],
    webhooks: NamedDependency[Webhooks],
) -> Answer[WebhookView]:
    """Change what is given. Enabled again, it is told of what happens from then on."""
    change = Change(url=data.url, classes=data.classes, enabled=data.enabled)
    return answer(_view(await webhooks.change(principal, webhook, change)))


@delete("/admin/notice-webhooks/{webhook:str}", status_code=200, responses=FAILURES)
async def delete_notice_webhook(
    webhook: FromPath[str], principal: NamedDependency[Principal], webhooks: NamedDependency[Webhooks]
) -> Answer[None]:
    """Delete it with its log."""
    await webhooks.delete(principal, webhook)
    return answer(None)


@post("/admin/notice-webhooks/{webhook:str}/rotate", status_code=200, responses=FAILURES)
async def rotate_notice_webhook(
    webhook: FromPath[str], principal: NamedDependency[Principal], webhooks: NamedDependency[Webhooks]
) -> Answer[SecretView]:
    """A new secret; the old one signs nothing any more."""
    return answer(SecretView(await webhooks.rotate(principal, webhook)))


@post("/admin/notice-webhooks/{webhook:str}/test", status_code=200, responses=FAILURES)
async def test_notice_webhook(
    webhook: FromPath[str], principal: NamedDependency[Principal], webhooks: NamedDependency[Webhooks]
) -> Answer[TestView]:
    """Post `{"events": [], "ping": true}` to it once, within a second or so, also when it is disabled."""
    return answer(TestView(await webhooks.test(principal, webhook)))


@get("/admin/notice-webhooks/{webhook:str}/deliveries", responses=FAILURES)
async def list_notice_webhook_deliveries(
    webhook: FromPath[str],
    principal: NamedDependency[Principal],
    webhooks: NamedDependency[Webhooks],
    before: Annotated[
        str | None, QueryParameter(name="before", max_length=64, description="the `nextCursor` of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_PAGE_SIZE)] = 20,
) -> Answer[CursorPage[DeliveryView]]:
    """What was posted, the newest first; the newest 1,000 of the last 30 days are kept."""
    page = await webhooks.deliveries(principal, webhook, before, limit)
    return answer(CursorPage([_delivery(each) for each in page.items], page.next_cursor))


handlers: list[ControllerRouterHandler] = [
    create_notice_webhook,
    list_notice_webhooks,
    change_notice_webhook,
    delete_notice_webhook,
    rotate_notice_webhook,
    test_notice_webhook,
    list_notice_webhook_deliveries,
]


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        classes=webhook.classes,
        enabled=webhook.enabled,
        disabled_why=webhook.disabled_why,
        failures=webhook.failures,
        failing_since=None if webhook.failing_since is None else rfc3339(webhook.failing_since),
        behind=webhook.behind,
        created_by=webhook.created_by,
        created_at=rfc3339(webhook.created_at),
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        ping=delivery.ping,
        events=delivery.events,
        status=delivery.status,
        tries=delivery.tries,
        http_status=delivery.http_status,
        error=delivery.error,
        created_at=rfc3339(delivery.created_at),
        at=rfc3339(delivery.at),
        took_ms=delivery.took_ms,
    )
