"""Ways to reach a person, behind one interface: an address and rendered content go in, an outcome comes out.

A channel knows its provider's protocol and nothing of notices. What it must never do: repeat by itself, wait longer than its
time limit, raise for anything a provider can answer, or log an address or content.
"""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class Verdict(StrEnum):
    """What is known about one message after it was given to a provider."""

    ACCEPTED = "accepted"
    """The provider took it. It may still not arrive; some providers tell later."""
    DELIVERED = "delivered"
    """It is on the person's device, as the provider says."""
    RETRY = "retry"
    """It was certainly not taken, and may be later: busy, rate limit, no connection."""
    UNKNOWN = "unknown"
    """Nobody knows whether it was taken: the answer was lost. Repeat only where the provider can tell a repetition."""
    REFUSED = "refused"
    """The person does not take it this way at the moment: no subscription left, blocked. Another channel may reach them."""
    GONE = "gone"
    """The address does not exist any more; forget it."""
    DEAD = "dead"
    """It will never be taken: bad content, bad template, bad configuration. Another provider may take it."""


class Scope(StrEnum):
    """What a pause that a provider asks for holds for."""

    PROVIDER = "provider"
    TEMPLATE = "template"


class Pause(msgspec.Struct, frozen=True):
    """Send nothing of this scope for that long: the provider would refuse it too."""

    scope: Scope
    seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one message. `detail` is one line for staff, in our own words. `code` and `provider_id` are the provider's: whoever
    keeps or logs them does it through `channels.word`, because a provider may quote an address or content."""

    verdict: Verdict
    provider_id: str = ""
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None
    pause: Pause | None = None
    alarm: bool = False
    """Only a person can put it right: credentials, a template, a signature."""


class Urgency(StrEnum):
    """RFC 8030, section 5.3."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is reached: an endpoint, an openid, a user id, a phone number. `id` names it in the ledger."""

    id: str
    value: str
    extra: dict[str, str] = {}


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown outside. Rendered and within the provider's limits; nothing in it tells of anybody's health.

    `template` and `fields` are for providers that know only approved templates; `fields` are in the template's order.
    """

    title: str
    body: str
    url: str = ""
    template: str = ""
    fields: dict[str, str] = {}
    urgency: Urgency = Urgency.NORMAL
    ttl_s: int = 3600
    language: str = "zh"
    needs_answer: bool = False
    """Offer to say 'I have it', where the channel can."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one address. A repetition bears the same `key` and `tag`, so that a provider can tell it.

    `key`: 32 lower-case letters and digits, of this notice, step and address. `tag`: the same for all that replace each other.
    `attempt`: the id of the attempt, given back by receipts where the provider carries one.
    """

    key: str
    tag: str
    attempt: str
    address: Address
    content: Content


class Bucket(msgspec.Struct, frozen=True):
    """What a provider counts together, and how much of it a second is allowed."""

    name: str
    per_s: float


class Channel(Protocol):
    """One provider. Built by its module's `open_*`, which answers None where no credentials are configured."""

    name: str
    """The channel of the ladder: webpush, wechat, wecom, sms, email."""
    provider: str
    """Who carries it: weixin, qyapi, aliyun, tencent, smtp, or webpush."""
    receipt_s: float
    """How long after the sending a receipt may still come; 0 where the provider sends none."""

    def bucket(self, message: Message) -> Bucket:
        """What this message counts against."""

    def may_repeat(self, message: Message) -> bool:
        """Whether a repetition cannot reach the person twice, so that an unknown outcome may be tried again."""

    async def send(self, message: Message) -> Outcome:
        """Give it to the provider, once. Raises nothing but cancellation."""

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """Ask the provider what became of it; None where it cannot tell, or not yet."""

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        """Take back what may be showing, as the person has seen it elsewhere; False where that cannot be done."""
