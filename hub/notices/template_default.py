"""The templates that hold until staff change one: every code, on every channel, in both languages. No I/O.

Neutral on purpose: they are read on locked screens and by providers. Nothing of health, no departments, no names.
"""

import msgspec

from channels.port import Urgency
from hub.notices.notice_class import CHANNELS, ChannelName
from hub.notices.template import Template
from hub.platform.text import Language

Key = tuple[str, str, str]  # code, channel, language
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What a code says in both languages, (zh, en); `wechat` are the fields of a subscribe message, `sms` those of a text."""

    code: str
    title: tuple[str, str]
    body: tuple[str, str]
    url: str
    wechat: tuple[dict[str, str], dict[str, str]]
    sms: dict[str, str] = {}
    params: tuple[str, ...] = ()
    urgency: Urgency = Urgency.NORMAL
    needs_answer: bool = False
    leave: dict[ChannelName, tuple[str, str]] = {}
    """How to get no more of these, on the channels where that must be said."""


WORDINGS = (
    Wording(
        code="chat",
        title=("新消息", "New messages"),
        body=("您有 {count} 条新消息，请登录查看。", "New messages for you: {count}. Please sign in to read."),
        url="/messages",
        wechat=(
            {"thing1": "您有新消息，请登录查看", "number2": "{count}"},
            {"thing1": "New messages", "number2": "{count}"},
        ),
        sms={"count": "{count}"},
        params=("count",),
        urgency=Urgency.HIGH,
    ),
    Wording(
        code="order",
        title=("订单进展", "Your order"),
        body=("您的订单有 {count} 条新进展，请登录查看。", "News about your order: {count}. Please sign in to see."),
        url="/orders",
        wechat=(
            {"thing1": "您的订单有新进展", "number2": "{count}"},
            {"thing1": "News about an order", "number2": "{count}"},
        ),
        sms={"count": "{count}"},
        params=("count",),
    ),
    Wording(
        code="appointment",
        title=("预约提醒", "Appointment"),
        body=(
            "您有一项预约提醒，时间：{time}。详情请登录查看。",
            "A reminder of your appointment: {time}. Please sign in for details.",
        ),
        url="/appointments",
        wechat=(
            {"thing1": "您有一项预约提醒", "time2": "{time}"},
            {"thing1": "Your appointment", "time2": "{time}"},
        ),
        sms={"time": "{time}"},
        params=("time",),
        urgency=Urgency.HIGH,
    ),
    Wording(
        code="health_alert",
        title=("重要提醒", "Important"),
        body=("您有一条重要提醒，请尽快登录查看。", "Something important waits for you. Please sign in soon."),
        url="/alerts",
        wechat=(
            {"thing1": "您有一条重要提醒", "thing2": "请尽快登录查看"},
            {"thing1": "Important", "thing2": "Please sign in soon"},
        ),
        urgency=Urgency.HIGH,
        needs_answer=True,
    ),
    Wording(
        code="plan",
        title=("日程提醒", "Reminder"),
        body=("您有一项日程提醒，请登录查看。", "A reminder for you. Please sign in to see."),
        url="/plans",
        wechat=(
            {"thing1": "您有一项日程提醒", "thing2": "请登录查看"},
            {"thing1": "A reminder for you", "thing2": "Please sign in"},
        ),
    ),
    Wording(
        code="system",
        title=("系统通知", "Notice"),
        body=("您有一条新的系统通知，请登录查看。", "A notice for you. Please sign in to read."),
        url="/inbox",
        wechat=(
            {"thing1": "您有一条新的系统通知", "thing2": "请登录查看"},
            {"thing1": "A notice for you", "thing2": "Please sign in"},
        ),
    ),
    Wording(
        code="marketing",
        title=("活动通知", "News and offers"),
        body=("您有一条活动与优惠信息，请登录查看。", "News and offers for you. Please sign in to see."),
        url="/inbox",
        wechat=(
            {"thing1": "您有一条活动与优惠信息", "thing2": "请登录查看"},
            {"thing1": "News and offers", "thing2": "Please sign in"},
        ),
        urgency=Urgency.LOW,
        # 通信短信息服务管理规定, 第二十条: a commercial message says how to refuse more of them.
        leave={
            "sms": ("拒收请回复R", "Reply R to stop."),
            "email": (
                "如不希望再收到此类邮件，可在通知设置中关闭。",
                "To get no more of these, see your notice settings.",
            ),
        },
    ),
)


def _template(wording: Wording, channel: ChannelName, language: Language) -> Template:
    index = LANGUAGES.index(language)
    leave = wording.leave.get(channel)
    fields = {"wechat": wording.wechat[index], "sms": wording.sms}.get(channel, {})
    return Template(
        code=wording.code,
        channel=channel,
        language=language,
        params=sorted({*wording.params}),
        title=wording.title[index],
        body=wording.body[index] + ("\n" + leave[index] if leave else ""),
        url="/pages/index/index" if channel == "wechat" else wording.url,
        fields=fields,
        needs_answer=wording.needs_answer and channel == "wecom",
        urgency=wording.urgency,
    )


DEFAULTS: dict[Key, Template] = {
    (wording.code, channel, language): _template(wording, channel, language)
    for wording in WORDINGS
    for channel in CHANNELS
    for language in LANGUAGES
}
