"""What WeChat tells of subscribe messages: accepted, rejected, sent. Decoding only; verifying is `wechat_crypto`.

developers.weixin.qq.com, open-ability/subscribe-message, "订阅消息事件推送".
"""

import hashlib

import msgspec

from channels.wechat_xml import Element, Unreadable, Value, read_xml, text_of, time_of

MOST_BYTES = 65536


class Accepted(msgspec.Struct, frozen=True):
    """One more message of this template may be sent to this person (any number, of a long-term template)."""

    openid: str
    template: str


class Rejected(msgspec.Struct, frozen=True):
    """None may be sent any more: refused when asked, or switched off in the settings."""

    openid: str
    template: str


class Sent(msgspec.Struct, frozen=True):
    """The receipt of one message. `error_code` is 0 where it arrived; `msgid` is the `provider_id` of its outcome."""

    openid: str
    template: str
    msgid: str
    error_code: int
    error_status: str

    @property
    def is_delivered(self) -> bool:
        return self.error_code == 0 and self.error_status.lower() in ("", "success")


Event = Accepted | Rejected | Sent


class Told(msgspec.Struct, frozen=True):
    """One callback. WeChat repeats what was not answered in time: a repetition bears the same `id`."""

    id: str
    at: int
    events: tuple[Event, ...]


def decode(content: bytes) -> Told:
    """What a verified (and opened) callback tells, XML or JSON; of other events nothing. Raises `Unreadable`."""
    tree = _read(content)
    openid, event = text_of(tree, "FromUserName"), text_of(tree, "Event")
    if not openid:
        raise Unreadable("nobody's")
    told = tuple(found for item in _items(tree) if (found := _event(event, openid, item)) is not None)
    created = str(tree.get("CreateTime", ""))
    # WeChat's own advice is FromUserName + CreateTime, which two receipts of one second share.
    id_ = hashlib.sha256(msgspec.json.encode(tree, order="deterministic")).hexdigest()[:32]
    return Told(id_, time_of(created), told)


def _read(content: bytes) -> Element:
    if len(content) > MOST_BYTES:
        raise Unreadable("too large")
    if content.lstrip()[:1] != b"{":
        return read_xml(content)
    try:
        return _texts(msgspec.json.decode(content, type=dict[str, msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable("malformed") from None


def _texts(fields: dict[str, msgspec.Raw]) -> Element:
    """The same mapping as of XML: numbers become text, and lists keep what they hold."""
    return {name: _value(raw) for name, raw in fields.items()}


def _value(raw: msgspec.Raw) -> Value:
    first = bytes(raw)[:1]
    if first == b"{":
        return _texts(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    if first == b"[":
        items = [_value(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
        return [item for item in items if not isinstance(item, list)]
    return str(msgspec.json.decode(raw))


def _items(tree: Element) -> list[Element]:
    """One or several; at the top in JSON, inside of an element named like the event in XML."""
    holders = [tree, *(value for name, value in tree.items() if name.startswith("SubscribeMsg"))]
    lists = [holder["List"] for holder in holders if isinstance(holder, dict) and "List" in holder]
    several = [item for found in lists for item in (found if isinstance(found, list) else [found])]
    return [item for item in several if isinstance(item, dict)]


def _event(event: str, openid: str, item: Element) -> Event | None:
    template = text_of(item, "TemplateId", "TemplateID")
    status = text_of(item, "SubscribeStatusString").lower()
    if not template:
        return None
    if event == "subscribe_msg_sent_event":
        return _sent(openid, template, item)
    if event == "subscribe_msg_popup_event" and status == "accept":
        return Accepted(openid, template)
    # Of changes only rejections are pushed; an acceptance there would bring no message to send.
    if event in ("subscribe_msg_popup_event", "subscribe_msg_change_event") and status == "reject":
        return Rejected(openid, template)
    return None


def _sent(openid: str, template: str, item: Element) -> Sent:
    code = text_of(item, "ErrorCode")
    number = int(code) if code.lstrip("-").isascii() and code.lstrip("-").isdigit() and len(code) < 12 else -1
    return Sent(openid, template, text_of(item, "MsgID", "MsgId"), number, text_of(item, "ErrorStatus")[:100])
