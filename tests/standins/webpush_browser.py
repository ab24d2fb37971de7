"""What the push service stand-in deals in: moods, subscriptions, the browsers behind them, and what it took."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class Mood(msgspec.Struct, forbid_unknown_fields=True):
    """How requests go wrong. The first of the list that fits decides.

    `status`: answered so, nothing taken. `silent`: no answer, nothing taken. `cut`: connection reset, nothing taken.
    `mute`: taken, and no answer. `lost`: taken, and the connection reset.
    """

    kind: Literal["status", "silent", "cut", "mute", "lost"] = "status"
    status: int = 503
    retry_after: str = ""
    """As it is; or `date:30` for the HTTP date 30 seconds from now."""
    share: float = 1.0
    """Of the requests, by chance."""
    times: int | None = None
    """How often still; None: always."""
    subscription: str = ""
    """Only for this one."""
    above_bytes: int = 0
    """Only for larger bodies."""
    body: dict[str, Any] = {}


class Subscription(msgspec.Struct, frozen=True):
    """What `PushManager.subscribe` gives to a page."""

    endpoint: str
    p256dh: str
    auth: str

    @property
    def id(self) -> str:
        return self.endpoint.rsplit("/", 1)[1]


@dataclass
class Browser:
    """Where a subscription ends. One that is offline gets what waits, in order, when it returns."""

    key: EllipticCurvePrivateKey
    auth: bytes
    expected_key: str = ""
    is_online: bool = True
    has_ended: bool = False
    waiting: list["Received"] = field(default_factory=list)
    delivered: list["Received"] = field(default_factory=list)


@dataclass(frozen=True)
class Received:
    """One message that the service took."""

    id: str
    at: float
    subscription: str
    topic: str
    ttl_s: int
    urgency: str
    authorization: str
    body: bytes
    browser: Browser = field(repr=False)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """What the service worker gets. Opened when asked for, as only browsers can; raises if they could not."""
        plain = http_ece.decrypt(
            self.body, private_key=self.browser.key, auth_secret=self.browser.auth, version="aes128gcm"
        )
        return dict(msgspec.json.decode(plain))

    def told(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("id", "at", "subscription", "topic", "ttl_s", "urgency")}
        return plain | {"payload": self.payload}
