"""Classes of notices as data: which channels in which order, how long to wait, when to be quiet. No I/O.

The table below is what holds until staff change a class (`class_actions`).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ChannelName = Literal["webpush", "wechat", "wecom", "sms", "email"]
Lane = Literal["urgent", "normal", "bulk"]
Guard = Literal["delivered", "read"]
Quiet = Literal["hold", "own", "ignore"]

CHANNELS: tuple[ChannelName, ...] = ("webpush", "wechat", "wecom", "sms", "email")
DAY_S = 86_400
LONGEST_S = 30 * DAY_S

Wait = Annotated[int, Meta(ge=0, le=LONGEST_S)]


class Step(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One rung: this channel, that long after the grace, unless the notice has come so far by then."""

    channel: ChannelName
    after_s: Wait = 0
    unless: Guard = "delivered"


class NoticeClass(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How notices of one kind reach people.

    `grace_s`: how long a socket has, before the ladder begins. `digest_s`: a conversation bothers once in this time.
    `expires_s`: after that nothing is sent any more. `quiet`: `hold` waits for the end of the person's quiet hours, or of
    the usual ones; `own` only of those the person set; `ignore` is the clinical override. `consent`: the purpose that the
    person must have agreed to. `mandatory`: the person cannot switch it off.
    """

    code: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{1,31}(?![\s\S])")]
    title_zh: Annotated[str, Meta(min_length=1, max_length=50)]
    title_en: Annotated[str, Meta(min_length=1, max_length=50)]
    lane: Lane = "normal"
    grace_s: Wait = 30
    ladder: Annotated[list[Step], Meta(max_length=10)] = []
    quiet: Quiet = "hold"
    digest_s: Wait = 0
    expires_s: Annotated[int, Meta(ge=60, le=LONGEST_S)] = DAY_S
    consent: Literal["marketing"] | None = None
    mandatory: bool = False
    template: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{1,31}(?![\s\S])")] = "system"


CLASSES: dict[str, NoticeClass] = {
    each.code: each
    for each in (
        NoticeClass(
            code="chat",
            title_zh="聊天消息",
            title_en="Messages",
            grace_s=10,
            ladder=[
                Step("webpush"),
                Step("wechat"),
                Step("wecom"),
                Step("sms", after_s=1800),
            ],
            quiet="own",
            digest_s=600,
            template="chat",
        ),
        NoticeClass(
            code="order",
            title_zh="订单进展",
            title_en="Orders",
            ladder=[
                Step("webpush"),
                Step("wechat"),
                Step("wecom"),
                Step("sms", after_s=1800, unless="read"),
            ],
            digest_s=60,
            expires_s=2 * DAY_S,
            template="order",
        ),
        NoticeClass(
            code="appointment",
            title_zh="预约提醒",
            title_en="Appointments",
            ladder=[
                Step("webpush"),
                Step("wechat", unless="read"),
                Step("wecom", unless="read"),
                Step("sms", after_s=300, unless="read"),
            ],
            template="appointment",
        ),
        NoticeClass(
            code="health_alert",
            title_zh="健康告警",
            title_en="Health alerts",
            lane="urgent",
            grace_s=0,
            ladder=[
                Step("webpush", unless="read"),
                Step("wecom", unless="read"),
                Step("wechat", unless="read"),
                Step("sms", after_s=60, unless="read"),
                Step("email", after_s=60, unless="read"),
            ],
            quiet="ignore",
            expires_s=12 * 3600,
            mandatory=True,
            template="health_alert",
        ),
        NoticeClass(
            code="plan",
            title_zh="健康计划",
            title_en="Health plans",
            ladder=[Step("webpush"), Step("wechat", unless="read")],
            expires_s=4 * 3600,
            template="plan",
        ),
        NoticeClass(
            code="system",
            title_zh="系统通知",
            title_en="System",
            grace_s=60,
            ladder=[Step("webpush"), Step("wechat"), Step("email", after_s=3600)],
            expires_s=7 * DAY_S,
            template="system",
        ),
        NoticeClass(
            code="marketing",
            title_zh="活动与优惠",
            title_en="Offers and news",
            lane="bulk",
            grace_s=300,
            ladder=[Step("webpush"), Step("wechat"), Step("email", after_s=3600)],
            expires_s=7 * DAY_S,
            consent="marketing",
            template="marketing",
        ),
    )
}

DERIVED: tuple[str, ...] = ("chat", "order")
"""Classes whose notices the sweep makes from cursors: what people write, and the cards of an order."""
