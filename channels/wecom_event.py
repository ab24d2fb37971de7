"""What WeCom tells when somebody presses the button of a card. Decoding and answering only; verifying is `wechat_crypto`.

developer.work.weixin.qq.com, path/90240 ("模板卡片事件推送") and path/90241 ("更新点击用户的按钮文案").
"""

from html import escape

import msgspec

from channels.wechat_xml import Unreadable, read_xml, text_of, time_of


class Pressed(msgspec.Struct, frozen=True):
    """Somebody pressed a button. `key` is the key of the message that was sent; `response_code` changes the card once more."""

    user: str
    key: str
    button: str
    response_code: str
    corp: str
    agent: str
    at: int

    @property
    def id(self) -> str:
        """The same for a repetition of the callback."""
        return f"{self.key}:{self.user}:{self.button}"


def decode(content: bytes) -> Pressed | None:
    """The press that a verified and opened callback tells; None for every other event. Raises `Unreadable`."""
    tree = read_xml(content)
    if text_of(tree, "MsgType") != "event" or text_of(tree, "Event") != "template_card_event":
        return None
    pressed = Pressed(
        user=text_of(tree, "FromUserName"),
        key=text_of(tree, "TaskId"),
        button=text_of(tree, "EventKey"),
        response_code=text_of(tree, "ResponseCode"),
        corp=text_of(tree, "ToUserName"),
        agent=text_of(tree, "AgentID"),
        at=time_of(text_of(tree, "CreateTime")),
    )
    if not pressed.user or not pressed.key:
        raise Unreadable("incomplete")
    return pressed


def answer(pressed: Pressed, shown: str, now: float) -> bytes:
    """Makes the button grey and say `shown`. Seal it (`MessageCrypt.seal_reply`) and answer the callback with it."""
    return (
        f"<xml><ToUserName>{escape(pressed.user)}</ToUserName><FromUserName>{escape(pressed.corp)}</FromUserName>"
        f"<CreateTime>{int(now)}</CreateTime><MsgType>update_button</MsgType>"
        f"<Button><ReplaceName>{escape(shown)}</ReplaceName></Button></xml>"
    ).encode()
