"""WeCom application messages, for staff: a card that opens the notice, or one with a button that says 'I have it'.

developer.work.weixin.qq.com, path/90236 (send), path/94888 (update_template_card), path/94867 (recall).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from channels.port import Bucket, Channel, Message, Outcome, Scope, Verdict
from channels.transport import Transport, open_transport
from channels.wechat_api import SHARED_RULES, Answer, Api, Failed, Refused, Rule, fetched, outcome_of
from channels.wechat_token import Fetched, Shelf, Tokens, key_of
from hub.platform import settings
from hub.platform.clock import Clock

SEND = "/cgi-bin/message/send"
UPDATE = "/cgi-bin/message/update_template_card"
RECALL = "/cgi-bin/message/recall"

DUPLICATES_S = 1800  # for this long WeCom drops what it has shown already
TITLE_BYTES, BODY_BYTES = 128, 512  # of a text card; a template card has room for less, and wraps
BUTTON = "acknowledge"
HAVE_IT = {"zh": "我已知晓", "en": "I have it"}
SEEN = {"zh": "已在别处查看", "en": "Seen elsewhere"}
OPEN = {"zh": "查看", "en": "Open"}

RULES: dict[int, Rule] = {
    **SHARED_RULES,
    40056: Rule(verdict=Verdict.DEAD, detail="no such application", pause=Scope.PROVIDER, alarm=True),
    45009: Rule(verdict=Verdict.RETRY, detail="a limit", retry_s=60.0, pause=Scope.PROVIDER),
    45033: Rule(verdict=Verdict.RETRY, detail="too many calls at the same time", retry_s=5.0),
    48002: Rule(verdict=Verdict.DEAD, detail="the application may not use this", pause=Scope.PROVIDER, alarm=True),
    60011: Rule(verdict=Verdict.DEAD, detail="out of the application's reach", alarm=True),
    60111: Rule(verdict=Verdict.GONE, detail="no such member"),
    60020: Rule(verdict=Verdict.RETRY, detail="our address is not allowed", retry_s=60.0, pause=Scope.PROVIDER, alarm=True),
    # Perhaps only out of reach: an address that is good must not be forgotten for that.
    81013: Rule(verdict=Verdict.REFUSED, detail="no such member, or out of the application's reach", alarm=True),
    301002: Rule(verdict=Verdict.DEAD, detail="not this application's secret", pause=Scope.PROVIDER, alarm=True),
}  # fmt: skip


class SendAnswer(Answer, frozen=True):
    """`invaliduser` and `unlicenseduser` are separated by `|`."""

    msgid: str = ""
    response_code: str = ""
    invaliduser: str = ""
    unlicenseduser: str = ""


class WecomMessages:
    """Open it with `open_wecom`."""

    name = "wecom"
    provider = "qyapi"
    receipt_s = 0.0

    def __init__(self, api: Api, chosen: settings.Wecom, clock: Clock) -> None:
        self._api = api
        self._agent = chosen.agent_id
        self._bucket = Bucket("qyapi", float(chosen.per_s))
        self._clock = clock

    def bucket(self, message: Message) -> Bucket:
        return self._bucket

    def may_repeat(self, message: Message) -> bool:
        """The same bytes within half an hour are shown once (`enable_duplicate_check`)."""
        return True

    async def send(self, message: Message) -> Outcome:
        try:
            answer = await self._api.ask(SEND, self._body(message), SendAnswer)
        except Failed as failed:
            return failed.outcome
        except Refused as refused:
            return outcome_of(refused.answer, RULES, self._clock.now())
        return _taken(message.address.value, answer)

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """WeCom cannot be asked."""
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        """A button becomes grey and says why; any other message is recalled, which WeCom allows for 24 hours."""
        msgid, _, response_code = provider_id.partition("|")
        if response_code:
            path, body = UPDATE, self._update(message, response_code)
        elif msgid:
            path, body = RECALL, msgspec.json.encode({"msgid": msgid})
        else:
            return False
        try:
            await self._api.ask(path, body, Answer)
        except (Failed, Refused):
            return False
        return True

    def _body(self, message: Message) -> bytes:
        kind, shown = self._card(message)
        return msgspec.json.encode(
            {
                "touser": message.address.value,
                "msgtype": kind,
                "agentid": self._agent,
                kind: shown,
                "enable_duplicate_check": 1,
                "duplicate_check_interval": DUPLICATES_S,
            }
        )

    def _card(self, message: Message) -> tuple[str, dict[str, Any]]:  # Any: a JSON object of the provider's
        content = message.content
        if content.needs_answer:
            return "template_card", _button_card(message)
        if not content.url:  # a text card without an address is refused
            return "text", {"content": f"{_cut(content.title, TITLE_BYTES)}\n{_cut(content.body, BODY_BYTES)}"}
        return "textcard", {
            "title": _cut(content.title, TITLE_BYTES),
            "description": _cut(content.body, BODY_BYTES),
            "url": _own_url(message),
            "btntxt": _said(OPEN, content.language),
        }

    def _update(self, message: Message, response_code: str) -> bytes:
        """`response_code` is good for 72 hours and one update."""
        return msgspec.json.encode(
            {
                "userids": [message.address.value],
                "agentid": self._agent,
                "response_code": response_code,
                "button": {"replace_name": _said(SEEN, message.content.language)},
            }
        )


def _button_card(message: Message) -> dict[str, Any]:  # Any: a JSON object of the provider's
    content = message.content
    card: dict[str, Any] = {
        "card_type": "button_interaction",
        "main_title": {"title": _cut(content.title, TITLE_BYTES)},
        "sub_title_text": _cut(content.body, BODY_BYTES),
        "task_id": message.key,
        "button_list": [{"text": _said(HAVE_IT, content.language), "style": 1, "key": BUTTON}],
    }
    if content.url:
        card["card_action"] = {"type": 1, "url": content.url}
    return card


def _own_url(message: Message) -> str:
    """Two notices that read the same are no repetition: what differs is where they lead, if only in the fragment."""
    url = message.content.url
    return url if "#" in url else f"{url}#{message.key}"


def _taken(user: str, answer: SendAnswer) -> Outcome:
    """errcode 0 says only that somebody was reached, perhaps not this one. The lists are in lower case (path/90236)."""
    user = user.lower()
    if user in answer.invaliduser.lower().split("|"):
        return Outcome(verdict=Verdict.GONE, code="invaliduser", detail="no such member")
    if user in answer.unlicenseduser.lower().split("|"):
        return Outcome(verdict=Verdict.REFUSED, code="unlicenseduser", detail="a member without a licence", alarm=True)
    provider_id = f"{answer.msgid}|{answer.response_code}" if answer.response_code else answer.msgid
    return Outcome(verdict=Verdict.ACCEPTED, provider_id=provider_id, code="0")


def _cut(text: str, most_bytes: int) -> str:
    """Shortened visibly; WeCom would cut in silence, and counts bytes."""
    if len(text.encode()) <= most_bytes:
        return text
    return text.encode()[: most_bytes - 3].decode(errors="ignore") + "…"


def _said(texts: dict[str, str], language: str) -> str:
    return texts.get(language, texts["zh"])


@asynccontextmanager
async def open_wecom(
    chosen: settings.Wecom, shelf: Shelf | None, clock: Clock, prefix: str = "hub"
) -> AsyncIterator[Channel | None]:
    """None without a corp id, a secret and an agent. `prefix` is that of the Redis keys (`settings.redis.prefix`)."""
    if not chosen.corp_id or not chosen.corp_secret or not chosen.agent_id:
        yield None
        return
    async with open_transport(chosen.timeout_s) as transport:
        key = key_of(prefix, "qyapi", chosen.base_url, chosen.corp_id, chosen.corp_secret)
        tokens = Tokens(lambda: _fetch(transport, chosen, clock), shelf, key, clock)
        api = Api(transport, tokens, chosen.base_url, chosen.timeout_s, clock)
        yield WecomMessages(api, chosen, clock)


async def _fetch(transport: Transport, chosen: settings.Wecom, clock: Clock) -> Fetched:
    query = urlencode({"corpid": chosen.corp_id, "corpsecret": chosen.corp_secret})
    return fetched(await transport.get(f"{chosen.base_url.rstrip('/')}/cgi-bin/gettoken?{query}"), clock.now())
