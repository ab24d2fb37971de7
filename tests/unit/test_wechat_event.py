"""What WeChat and WeCom tell is decoded alike in each of the shapes they send."""

import json
from typing import Any

import pytest

from channels.wechat_event import Accepted, Rejected, Sent, decode
from channels.wechat_xml import Unreadable, read_xml, text_of
from channels.wecom_event import Pressed, answer
from channels.wecom_event import decode as decode_press
from tests.standins.qyapi import Qyapi
from tests.standins.weixin import Weixin

OPENID = "otFpruAK8D-E6EfStSYonYSBZ8_4"
# developers.weixin.qq.com, "订阅消息事件推送", as printed there.
POPUP = b"""<xml>
    <ToUserName><![CDATA[gh_123456789abc]]></ToUserName>
    <FromUserName><![CDATA[otFpruAK8D-E6EfStSYonYSBZ8_4]]></FromUserName>
    <CreateTime>1610969440</CreateTime>
    <MsgType><![CDATA[event]]></MsgType>
    <Event><![CDATA[subscribe_msg_popup_event]]></Event>
    <SubscribeMsgPopupEvent>
        <List>
            <TemplateId><![CDATA[VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc]]></TemplateId>
            <SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString>
            <PopupScene>2</PopupScene>
        </List>
        <List>
            <TemplateId><![CDATA[9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI]]></TemplateId>
            <SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString>
            <PopupScene>2</PopupScene>
        </List>
    </SubscribeMsgPopupEvent>
</xml>"""


def told(event: str, items: Any, **changed: Any) -> bytes:
    fields = {"ToUserName": "gh_1", "FromUserName": OPENID, "CreateTime": "1620973045", "MsgType": "event"}
    return json.dumps(fields | {"Event": event, "List": items} | changed).encode()


def item(status: str, template: str = "T1") -> dict[str, str]:
    return {"TemplateId": template, "SubscribeStatusString": status, "PopupScene": "0"}


def test_an_acceptance_and_a_rejection_of_one_popup_are_both_told() -> None:
    """The documented XML."""
    found = decode(POPUP)

    assert found.events == (
        Accepted(OPENID, "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc"),
        Rejected(OPENID, "9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI"),
    )
    assert found.at == 1610969440


@pytest.mark.parametrize("items", [item("accept"), [item("accept")]])
def test_one_alone_is_told_with_and_without_a_list(items: Any) -> None:
    """WeChat sends both in JSON."""
    assert decode(told("subscribe_msg_popup_event", items)).events == (Accepted(OPENID, "T1"),)


@pytest.mark.parametrize("items", [item("reject"), [item("reject"), item("reject", "T2")]])
def test_a_change_in_the_settings_is_a_rejection(items: Any) -> None:
    """One or several; the time may be a number."""
    found = decode(told("subscribe_msg_change_event", items, CreateTime=1625575518))

    assert found.events[0] == Rejected(OPENID, "T1")
    assert len(found.events) == (len(items) if isinstance(items, list) else 1)
    assert found.at == 1625575518


@pytest.mark.parametrize("status", ["ban", "filter", "", "accept "])
def test_any_other_status_says_nothing(status: str) -> None:
    """Banned and filtered is neither."""
    assert decode(told("subscribe_msg_popup_event", [item(status)])).events == ()


def test_an_acceptance_in_the_settings_gives_no_message() -> None:
    """Only the pop-up gives one to send."""
    assert decode(told("subscribe_msg_change_event", [item("accept")])).events == ()


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize(
    ("status", "code", "is_delivered"), [("success", 0, True), ("user refuse to accept", 43101, False)]
)
async def test_a_receipt_tells_what_became_of_a_message(form: str, status: str, code: int, is_delivered: bool) -> None:
    """By its msgid."""
    weixin = Weixin()
    weixin.event_format = form
    sent = {"TemplateId": "T1", "MsgID": "1700827132819554304", "ErrorCode": str(code), "ErrorStatus": status}
    (found,) = decode(weixin.content("subscribe_msg_sent_event", OPENID, [sent])).events

    assert found == Sent(OPENID, "T1", "1700827132819554304", code, status)
    assert isinstance(found, Sent)
    assert found.is_delivered is is_delivered


def test_a_msgid_that_is_a_number_becomes_text() -> None:
    """Without losing a digit."""
    number = '{"TemplateId": "T", "MsgID": 1700827132819554305, "ErrorCode": 0, "ErrorStatus": "success"}'
    body = told("subscribe_msg_sent_event", "x").replace(b'"x"', number.encode())
    (found,) = decode(body).events

    assert found == Sent(OPENID, "T", "1700827132819554305", 0, "success")


def test_an_error_code_that_is_no_number_is_no_delivery() -> None:
    """Rather not delivered than believed."""
    (found,) = decode(
        told("subscribe_msg_sent_event", {"TemplateId": "T", "MsgID": "1", "ErrorCode": "?", "ErrorStatus": "success"})
    ).events

    assert isinstance(found, Sent)
    assert not found.is_delivered


def test_a_repetition_bears_the_same_id_and_nothing_else_does() -> None:
    """Also two receipts of one second."""
    receipts = [
        told(
            "subscribe_msg_sent_event", {"TemplateId": "T", "MsgID": str(n), "ErrorCode": "0", "ErrorStatus": "success"}
        )
        for n in (1, 1, 2)
    ]
    first, again, other = (decode(receipt).id for receipt in receipts)

    assert first == again != other


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"<xml/>",
        b'{"Event": "subscribe_msg_popup_event"}',
        b"<xml><Event>subscribe_msg_popup_event</Event></xml>",
        b'{"FromUserName": ' + b"[" * 50_000,
        b'{"FromUserName": "o", "List": ' + b'{"List":' * 20_000,
        b'{"FromUserName": "\xff"}',
        b"{" + b" " * 70_000 + b"}",
    ],
)
def test_what_is_no_event_is_unreadable(content: bytes) -> None:
    """One error."""
    with pytest.raises(Unreadable):
        decode(content)


@pytest.mark.parametrize("items", ["text", [], [[item("accept")]], ["text"], {}, 3, None])
def test_an_event_with_strange_items_tells_nothing(items: Any) -> None:
    """It was signed, so that it is answered and forgotten."""
    assert decode(told("subscribe_msg_popup_event", items)).events == ()


@pytest.mark.parametrize("event", ["user_enter_tempsession", "wxa_media_check", ""])
def test_other_events_tell_nothing(event: str) -> None:
    """The address gets whatever the console is set to send."""
    assert decode(told(event, [item("accept")])).events == ()


async def test_a_pressed_button_names_who_and_which_message() -> None:
    """The key is the one that was sent as task_id."""
    wecom = Qyapi()
    card = {"task_id": "k" * 32, "button_list": [{"key": "acknowledge"}]}
    wecom.shown.append({"user": "ZhangHushi", "template_card": card})
    pressed = decode_press(wecom.pressed("k" * 32))

    assert pressed is not None
    assert (pressed.user, pressed.key, pressed.button, pressed.agent) == (
        "ZhangHushi",
        "k" * 32,
        "acknowledge",
        "1000002",
    )
    assert pressed.response_code
    assert pressed.id == f"{'k' * 32}:ZhangHushi:acknowledge"


def test_other_events_of_wecom_are_no_press() -> None:
    """Entering the application, for one."""
    body = b"<xml><MsgType>event</MsgType><Event>enter_agent</Event><FromUserName>u</FromUserName></xml>"

    assert decode_press(body) is None


@pytest.mark.parametrize("missing", ["FromUserName", "TaskId"])
def test_a_press_that_names_nobody_or_nothing_is_unreadable(missing: str) -> None:
    """It was ours, and cannot be understood."""
    fields = {"MsgType": "event", "Event": "template_card_event", "FromUserName": "u", "TaskId": "t"}
    body = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items() if name != missing)
    with pytest.raises(Unreadable):
        decode_press(f"<xml>{body}</xml>".encode())


def test_the_answer_to_a_press_changes_its_button() -> None:
    """Names with signs of XML in them stay names."""
    pressed = Pressed(user="a<b&c", key="k", button="x", response_code="", corp="ww1", agent="1", at=0)
    tree = read_xml(answer(pressed, "张护士已知晓", 1_764_108_000.5))

    assert (text_of(tree, "ToUserName"), text_of(tree, "MsgType")) == ("a<b&c", "update_button")
    assert tree["Button"] == {"ReplaceName": "张护士已知晓"}


@pytest.mark.parametrize("digits", [13, 5000])
def test_a_time_that_is_none_is_unreadable(digits: int) -> None:
    """Python raises its own error for a number of thousands of digits; both raise theirs."""
    late = "9" * digits
    press = f"<xml><MsgType>event</MsgType><Event>template_card_event</Event><CreateTime>{late}</CreateTime></xml>"
    with pytest.raises(Unreadable):
        decode(told("subscribe_msg_popup_event", item("accept"), CreateTime=late))
    with pytest.raises(Unreadable):
        decode_press(press.encode())
