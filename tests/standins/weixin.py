"""WeChat's API of a mini-program: stable_token and subscribe messages, with their quotas, limits and events.

Control: `quota` {openid, template, left}, `popup`/`change` {openid, template, status}, `revoke`, `advance`, and the attributes of
`Weixin.controls`. A process: `python -m tests.standins.weixin --port 9101`.
"""

import asyncio
import json
import re
import secrets
from collections import Counter
from typing import Any, ClassVar

from tests.standins.tencent_server import TencentServer, serve

APP_ID = "wx-test"
APP_SECRET = "app-secret"
ACCOUNT = "gh_1234567890ab"
TEMPLATE = "wDYzYZVxobJivW9oMpSCpuvACOfJXQIoKUm0PY397Tc"

# Field type → what it takes (community and official tables; written apart from `channels/wechat_field.py`).
FIELDS: dict[str, str] = {
    "thing": r".{1,20}",
    "character_string": r"[!-~ ]{1,32}",
    "number": r"-?[\d.]{1,32}",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"\W{1,5}",
    "time": r"(\d{4}年\d\d?月\d\d?日 )?\d\d?:\d\d(~.*\d\d?:\d\d)?",
    "date": r"(\d{4}年\d\d?月\d\d?日|\d{4}[-/.,]\d\d?[-/.,]\d\d?)( \d\d?:\d\d)?",
    "amount": r"[¥￥$]?\d{1,10}(\.\d+)?元?",
    "phone_number": r"[\d+() -]{1,17}",
    "car_number": r"\w{1,8}",
    "name": r"[一-龥·]{1,10}|[A-Za-z .]{1,20}",
    "phrase": r"[一-龥]{1,5}",
    "enum": r".{1,20}",
    "const": r".{1,20}",
}


class Weixin(TencentServer):
    """`default_quota`: what everybody has of every template from the beginning, so that a benchmark needs no acceptances."""

    controls: ClassVar[frozenset[str]] = TencentServer.controls | {
        "default_quota",
        "daily_limit",
        "minute_limit",
        "templates",
        "long_term",
        "banned",
        "gone",
        "sensitive",
        "event_format",
        "receipt",
    }
    receiver = APP_ID

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.default_quota = 0
        self.daily_limit = 10_000_000
        self.minute_limit = 10_000_000
        self.templates: dict[str, list[str]] = {}  # template → its fields; empty: all templates exist
        self.long_term: list[str] = []
        self.banned: list[str] = []
        self.gone: list[str] = []
        self.sensitive: list[str] = []
        self.event_format = "xml"
        self.receipt = "success"  # ErrorStatus of sent events
        self.quota: dict[tuple[str, str], int] = {}
        self.shown: list[dict[str, Any]] = []  # what reached a person, in order
        self.refused: Counter[int] = Counter()
        self._sending: set[tuple[str, str]] = set()
        self._times: list[float] = []

    def settings(self) -> dict[str, Any]:
        """Of the section `wechat`."""
        return {"app_id": APP_ID, "app_secret": APP_SECRET, "base_url": self.url}

    def routes(self) -> dict[tuple[str, str], tuple[str, Any]]:
        return {
            ("POST", "/cgi-bin/stable_token"): ("token", self._stable_token),
            ("POST", "/cgi-bin/message/subscribe/send"): ("send", self._send),
        }

    async def command(self, order: dict[str, Any]) -> dict[str, Any]:
        for name, value in order.items():
            match name:
                case "quota":
                    self.grant(value["openid"], value["template"], value["left"])
                case "popup" | "change":
                    status = await self.event(name, value["openid"], {value["template"]: value["status"]})
                    return {"status": status}
                case "advance":
                    self.advance(value)
                case "revoke":
                    self.revoke()
                case _:
                    raise KeyError(name)
        return {"calls": self.calls, "shown": len(self.shown), "refused": {str(k): v for k, v in self.refused.items()}}

    def said(self, code: int, text: str, **more: Any) -> dict[str, Any]:
        if code:
            self.refused[code] += 1
            text = f"{text} rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
        return super().said(code, text, **more)

    # What people do

    def grant(self, openid: str, template: str, left: int = 1) -> None:
        self.quota[openid, template] = left

    async def event(self, kind: str, openid: str, statuses: dict[str, str]) -> int:
        """Somebody accepted or rejected in the pop-up, or rejected in the settings: WeChat counts, and tells. The answer's status."""
        for template, status in statuses.items():
            left = self.left(openid, template)
            self.quota[openid, template] = left + 1 if status == "accept" else 0
        items = [{"TemplateId": t, "SubscribeStatusString": s, "PopupScene": "0"} for t, s in statuses.items()]
        return await self.post(self.content(f"subscribe_msg_{kind}_event", openid, items))

    def left(self, openid: str, template: str) -> int:
        return self.quota.get((openid, template), self.default_quota)

    def content(self, event: str, openid: str, items: list[dict[str, str]]) -> bytes:
        """An event in the chosen format; in JSON one item alone is no list, as in life."""
        created = int(self.now())
        if self.event_format == "json":
            said = {"ToUserName": ACCOUNT, "FromUserName": openid, "CreateTime": created, "MsgType": "event"}
            return json.dumps(said | {"Event": event, "List": items if len(items) > 1 else items[0]}).encode()
        holder = "".join(word.capitalize() for word in event.split("_"))
        inner = "".join(
            f"<List>{''.join(f'<{k}><![CDATA[{v}]]></{k}>' for k, v in item.items())}</List>" for item in items
        )
        return (
            f"<xml>\n<ToUserName><![CDATA[{ACCOUNT}]]></ToUserName>\n<FromUserName><![CDATA[{openid}]]></FromUserName>\n"
            f"<CreateTime>{created}</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n"
            f"<Event><![CDATA[{event}]]></Event>\n<{holder}>\n{inner}</{holder}>\n</xml>"
        ).encode()

    # The API

    async def _stable_token(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        if asked.get("grant_type") != "client_credential" or asked.get("appid") != APP_ID:
            return self.said(40013, "invalid appid")
        if asked.get("secret") != APP_SECRET:
            return self.said(40125, "invalid appsecret")
        if asked.get("force_refresh"):
            self.calls["force_refresh"] += 1
            self.revoke()
        token, expires_in = self.issue(APP_ID)
        return {"access_token": token, "expires_in": expires_in}

    async def _send(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        owner = self.owner_of(query.get("access_token", ""))
        if isinstance(owner, int):
            return self.said(owner, "invalid credential, access_token is invalid or not latest")
        try:
            asked = json.loads(body)
            place = str(asked["touser"]), str(asked["template_id"])
        except (ValueError, KeyError, TypeError):
            return self.said(47001, "data format error")
        record = {"at": self.now(), "code": 0, **asked}
        self.received.append(record)
        answer = await self._serially(place, asked)
        record["code"] = answer["errcode"]
        return answer

    async def _serially(self, place: tuple[str, str], asked: dict[str, Any]) -> dict[str, Any]:
        if place in self._sending:
            return self.said(43108, "concurrent send")
        self._sending.add(place)
        try:
            await asyncio.sleep(self.latency_s)
            return self._judged(place, asked)
        finally:
            self._sending.discard(place)

    def _judged(self, place: tuple[str, str], asked: dict[str, Any]) -> dict[str, Any]:
        openid, template = place
        if refusal := self._limit() or self._content(openid, template, asked):
            return self.said(*refusal)
        if template not in self.long_term:
            if self.left(openid, template) <= 0:
                return self.said(43101, "user refuse to accept the msg")
            self.quota[place] = self.left(openid, template) - 1
        msgid = str(len(self.shown) + 1_700_827_132_819_554_304)
        self.shown.append({"msgid": msgid, **asked})
        status, code = self.receipt, "0" if self.receipt == "success" else "1"
        item = {"TemplateId": template, "MsgID": msgid, "ErrorCode": code, "ErrorStatus": status}
        self.tell(self.content("subscribe_msg_sent_event", openid, [item]))
        return self.said(0, "ok", msgid=int(msgid))

    def _limit(self) -> tuple[int, str] | None:
        now = self.now()
        self._times.append(now)
        if len(self._times) > self.daily_limit:
            return 45009, "reach max api daily quota limit"
        if self.minute_limit < 10_000_000 and sum(at > now - 60 for at in self._times) > self.minute_limit:
            return 45011, "api minute-quota reach limit"
        return None

    def _content(self, openid: str, template: str, asked: dict[str, Any]) -> tuple[int, str] | None:
        if openid in self.gone:
            return 40003, "invalid openid"
        if self.templates and template not in self.templates:
            return 40037, "invalid template_id"
        if template in self.banned:
            return 43107, "template is banned"
        data = asked.get("data")
        if not isinstance(data, dict):
            return 47003, "argument invalid! data is not an object"
        missing = [name for name in self.templates.get(template, ()) if name not in data]
        wrong = next((text for name, value in data.items() if (text := _wrong(name, value))), "")
        if missing or wrong:
            return 47003, f"argument invalid! {wrong or f'data.{missing[0]}.value is emtpy'}"
        if any(word in json.dumps(data, ensure_ascii=False) for word in self.sensitive):
            return 45168, "sensitive words"
        return None


def _wrong(name: str, item: Any) -> str:
    value = item.get("value") if isinstance(item, dict) else None
    kind = FIELDS.get(re.sub(r"\d+$", "", name))
    if not isinstance(value, str) or not value:
        return f"data.{name}.value is emtpy"
    return "" if kind and re.fullmatch(kind, value) else f"data.{name}.value invalid"


if __name__ == "__main__":
    serve(Weixin)
