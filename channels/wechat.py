"""WeChat subscribe messages: `subscribeMessage.send` of the mini-program.

developers.weixin.qq.com, mp-message-management/subscribe-message/api_sendmessage. Each acceptance by the person is good for one
message; how many are left only we can count (not here).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from channels.port import Bucket, Channel, Message, Outcome, Scope, Verdict
from channels.transport import Transport, open_transport
from channels.wechat_api import JSON, SHARED_RULES, Answer, Api, Failed, Refused, Rule, fetched, outcome_of
from channels.wechat_token import Fetched, Shelf, Tokens, key_of
from hub.platform.clock import Clock
from hub.platform.settings import Settings

SEND = "/cgi-bin/message/subscribe/send"
RECEIPT_S = 600.0  # subscribe_msg_sent_event comes within seconds, if it comes
LANGUAGES = {"zh": "zh_CN", "en": "en_US"}

RULES: dict[int, Rule] = {
    **SHARED_RULES,
    40003: Rule(verdict=Verdict.GONE, detail="no such openid"),
    40037: Rule(verdict=Verdict.DEAD, detail="no such template", alarm=True),
    41030: Rule(verdict=Verdict.DEAD, detail="no such page", alarm=True),
    43101: Rule(verdict=Verdict.REFUSED, detail="refused, or no subscription left"),
    43107: Rule(verdict=Verdict.DEAD, detail="template banned", pause=Scope.TEMPLATE, pause_s=3600.0, alarm=True),
    43108: Rule(verdict=Verdict.RETRY, detail="another one to this person at the same time", retry_s=2.0),
    45168: Rule(verdict=Verdict.DEAD, detail="a sensitive word", alarm=True),
    47003: Rule(verdict=Verdict.DEAD, detail="a field is not valid", alarm=True),
}


class SendAnswer(Answer, frozen=True):
    msgid: int | str = ""


class WechatMessages:
    """Open it with `open_wechat_messages`."""

    name = "wechat"
    provider = "weixin"
    receipt_s = RECEIPT_S

    def __init__(self, api: Api, chosen: Settings, clock: Clock) -> None:
        self._api = api
        self._state = chosen.wechat_message.state
        self._bucket = Bucket("weixin", float(chosen.wechat_message.per_s))
        self._long_term = frozenset(chosen.wechat_message.long_term_templates.split())
        self._clock = clock

    def bucket(self, message: Message) -> Bucket:
        return self._bucket

    def may_repeat(self, message: Message) -> bool:
        """The first one used up the last subscription, so that the second is refused; a long-term one is never used up.

        Who knows that more than one is left says so in the address (`extra["remaining"]`): a repetition would use the second.
        """
        remaining = message.address.extra.get("remaining", "1")
        return message.content.template not in self._long_term and remaining in ("0", "1")

    async def send(self, message: Message) -> Outcome:
        try:
            answer = await self._api.ask(SEND, self._body(message), SendAnswer)
        except Failed as failed:
            return failed.outcome
        except Refused as refused:
            return outcome_of(refused.answer, RULES, self._clock.now())
        return Outcome(verdict=Verdict.ACCEPTED, provider_id=str(answer.msgid), code="0")

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """WeChat cannot be asked."""
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        """A subscribe message stays."""
        return False

    def _body(self, message: Message) -> bytes:
        content = message.content
        body = {
            "touser": message.address.value,
            "template_id": content.template,
            "data": {name: {"value": value} for name, value in content.fields.items()},
            "miniprogram_state": self._state,
            "lang": LANGUAGES.get(content.language, "zh_CN"),
        }
        return msgspec.json.encode(body | ({"page": content.url} if content.url else {}))


@asynccontextmanager
async def open_wechat_messages(chosen: Settings, shelf: Shelf | None, clock: Clock) -> AsyncIterator[Channel | None]:
    """None without an app id and its secret. Without a shelf each process has its own token."""
    wechat, messages = chosen.wechat, chosen.wechat_message
    if not wechat.app_id or not wechat.app_secret:
        yield None
        return
    async with open_transport(messages.timeout_s) as transport:
        key = key_of(chosen.redis.prefix, "weixin", wechat.base_url, wechat.app_id, wechat.app_secret)
        tokens = Tokens(lambda: _fetch(transport, chosen, clock), shelf, key, clock)
        api = Api(transport, tokens, wechat.base_url, messages.timeout_s, clock)
        yield WechatMessages(api, chosen, clock)


async def _fetch(transport: Transport, chosen: Settings, clock: Clock) -> Fetched:
    """`stable_token` in normal mode: the same token for all who ask, until five minutes before its end."""
    wechat = chosen.wechat
    body = {
        "grant_type": "client_credential",
        "appid": wechat.app_id,
        "secret": wechat.app_secret,
        "force_refresh": False,
    }
    url = f"{wechat.base_url.rstrip('/')}/cgi-bin/stable_token"
    return fetched(await transport.post(url, msgspec.json.encode(body), JSON), clock.now())
