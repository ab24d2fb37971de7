"""Webhooks: what another system is told of notices, how that is signed, and when a post that failed is repeated. No I/O."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Literal

import msgspec

WEBHOOKS = 20  # of one hub: each is looked at every second, and by each change of a notice
EVENTS = 100  # of one post
FIRST_S = 1.0
LONGEST_S = 3600.0
GIVE_UP = timedelta(days=3)
BEHIND = 1_000_000  # events; a receiver further behind is given up, or the feed would grow without end
SECRET_BYTES = 32
# That there is a notice of these says something of somebody's health: only who names them is told.
NAMED_ONLY = ("health_alert", "plan")

HTTP_GONE = 410  # RFC 9110, section 15.5.11: "access ... is no longer available ... likely to be permanent"

Why = Literal["", "staff", "failing", "gone", "behind"]
Status = Literal["pending", "delivered", "failed", "dropped"]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A row, but for what only the worker needs.

    `classes` None: all but `NAMED_ONLY`. `behind`: how many events it has not been told, at most.
    """

    id: str
    url: str
    classes: list[str] | None
    enabled: bool
    disabled_why: Why
    failures: int
    failing_since: datetime | None
    behind: int
    created_by: str
    created_at: datetime


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, however often it was tried; the outcome is that of the newest try."""

    id: str
    ping: bool
    events: int
    status: Status
    tries: int
    http_status: int | None
    error: str
    created_at: datetime
    at: datetime
    took_ms: int | None


class NoticeEvent(msgspec.Struct, frozen=True, kw_only=True, rename={"class_": "class"}, omit_defaults=True):
    """A notice, or with `attempt` one of its attempts, has come into `state`. `id` grows from event to event.

    Ids and states only: what a notice says, and where somebody is reached, is for the hub alone.
    """

    id: int
    notice: str
    user: str
    class_: str
    state: str
    at: str
    broadcast: str | None = None
    channel: str | None = None
    attempt: str | None = None
    code: str = ""


class Parcel(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a post. A ping has no events."""

    events: list[NoticeEvent]
    ping: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a post; `error` is one word for staff, never an address."""

    status: int | None = None
    error: str = ""
    took_ms: int = 0

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def packed(events: list[NoticeEvent], *, ping: bool = False) -> bytes:
    # `events` equals no default, so it is always there.
    return msgspec.json.encode(Parcel(events, ping))


def headers(secret: str, delivery: str, body: bytes, now: datetime) -> dict[str, str]:
    """What proves to the receiver that it is from us, new, and whole; `delivery` is the same whenever it is repeated."""
    timestamp = str(int(now.timestamp()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "hub-webhook/1",
        "Hub-Webhook-Id": delivery,
        "Hub-Webhook-Timestamp": timestamp,
        "Hub-Webhook-Signature": f"v1={signature(secret, delivery, timestamp, body)}",
    }


def signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 in hex; the key is the secret as it was shown, as ASCII."""
    return hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def back_off_s(failures: int, draw: float) -> float:
    """How long to wait after so many failures in a row; `draw` of 0 to 1 takes away up to half of it, but for the first second."""
    longest = min(FIRST_S * (1 << min(failures - 1, 16)), LONGEST_S)
    return max(FIRST_S, longest * (1 - draw / 2))


def why_end(result: Result, failing_since: datetime, now: datetime) -> Why:
    """Why it is not posted to any more after this failure; empty: it is."""
    if result.status == HTTP_GONE:
        return "gone"
    return "failing" if now - failing_since >= GIVE_UP else ""
