"""WeCom's API of one application: gettoken, message/send, update_template_card, recall, and the button that staff press.

Control: `press` {task_id, user?}, `revoke`, `advance`, and the attributes of `Qyapi.controls`.
A process: `python -m tests.standins.qyapi --port 9102`.
"""

import asyncio
import json
import secrets
from typing import Any, ClassVar

from tests.standins.tencent_server import TencentServer, serve

CORP_ID = "ww-test"
SECRETS = {"corp-secret": 1000002, "other-secret": 1000003}
AGENT_ID = 1000002
MINUTE_LIMIT = 30  # to one member; what is more is dropped in silence
CODE_LIFE_S = 72 * 3600.0
RECALL_S = 24 * 3600.0
HINT = "hint: [1764108000123456789012345], from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e="


class Qyapi(TencentServer):
    """`members`: who there is; empty: everybody is a member."""

    controls: ClassVar[frozenset[str]] = TencentServer.controls | {"members", "unlicensed", "limit", "minute_limit"}
    receiver = CORP_ID

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.members: list[str] = []
        self.unlicensed: list[str] = []
        self.limit = 10_000_000
        self.minute_limit = MINUTE_LIMIT
        self.shown: list[dict[str, Any]] = []  # what a member sees, in order, with `user`, `state`, `button`
        self.dropped: list[dict[str, Any]] = []
        self._codes: dict[str, tuple[float, dict[str, Any]]] = {}  # response_code → until when, which card
        self._before: dict[
            bytes, tuple[float, dict[str, Any]]
        ] = {}  # message → until when another is a duplicate of this card

    def settings(self) -> dict[str, Any]:
        """Of the section `wecom`."""
        secret = next(secret for secret, agent in SECRETS.items() if agent == AGENT_ID)
        return {"corp_id": CORP_ID, "corp_secret": secret, "agent_id": AGENT_ID, "base_url": self.url}

    def routes(self) -> dict[tuple[str, str], tuple[str, Any]]:
        return {
            ("GET", "/cgi-bin/gettoken"): ("token", self._gettoken),
            ("POST", "/cgi-bin/message/send"): ("send", self._send),
            ("POST", "/cgi-bin/message/update_template_card"): ("update", self._update),
            ("POST", "/cgi-bin/message/recall"): ("recall", self._recall),
        }

    async def command(self, order: dict[str, Any]) -> dict[str, Any]:
        for name, value in order.items():
            match name:
                case "press":
                    return {"status": await self.press(value["task_id"], value.get("user"))}
                case "advance":
                    self.advance(value)
                case "revoke":
                    self.revoke()
                case _:
                    raise KeyError(name)
        return {"calls": self.calls, "shown": len(self.shown), "dropped": len(self.dropped)}

    def said(self, code: int, text: str, **more: Any) -> dict[str, Any]:
        return super().said(code, f"{text}, {HINT}{code}" if code else text, **more)

    # What people do

    async def press(self, task_id: str, user: str | None = None) -> int:
        """Somebody presses the button of a card; the answer's status."""
        return await self.post(self.pressed(task_id, user))

    def pressed(self, task_id: str, user: str | None = None) -> bytes:
        """The event of a pressed button, which brings a new response_code."""
        card = next(shown for shown in self.shown if shown.get("template_card", {}).get("task_id") == task_id)
        key = card["template_card"]["button_list"][0]["key"]
        return (
            f"<xml>\n<ToUserName><![CDATA[{CORP_ID}]]></ToUserName>\n"
            f"<FromUserName><![CDATA[{user or card['user']}]]></FromUserName>\n<CreateTime>{int(self.now())}</CreateTime>\n"
            "<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[template_card_event]]></Event>\n"
            f"<EventKey><![CDATA[{key}]]></EventKey>\n<TaskId><![CDATA[{task_id}]]></TaskId>\n"
            f"<CardType><![CDATA[button_interaction]]></CardType>\n<ResponseCode><![CDATA[{self._code(card)}]]></ResponseCode>\n"
            f"<AgentID>{AGENT_ID}</AgentID>\n</xml>"
        ).encode()

    def _code(self, card: dict[str, Any]) -> str:
        code = secrets.token_urlsafe(24)
        self._codes[code] = (self.now() + CODE_LIFE_S, card)
        return code

    # The API

    async def _gettoken(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        if query.get("corpid") != CORP_ID:
            return self.said(40013, "invalid corpid")
        if query.get("corpsecret") not in SECRETS:
            return self.said(40001, "invalid credential")
        token, expires_in = self.issue(query["corpsecret"])
        return self.said(0, "ok", access_token=token, expires_in=expires_in)

    def _asked(self, query: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """The request, or what is wrong with its token."""
        owner = self.owner_of(query.get("access_token", ""))
        if isinstance(owner, int):
            return (40014 if owner == 40001 else owner), {}
        asked = json.loads(body)
        return (0 if asked.get("agentid", SECRETS[owner]) == SECRETS[owner] else 301002), asked

    async def _send(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        code, asked = self._asked(query, body)
        if code:
            return self.said(code, "invalid access_token")
        record = {"at": self.now(), "code": 0, **asked}
        self.received.append(record)
        await asyncio.sleep(self.latency_s)
        answer = self._judged(asked, body)
        record["code"] = answer["errcode"]
        return answer

    def _judged(self, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
        kind = asked.get("msgtype")
        users = str(asked.get("touser", "")).split("|")
        if len(self.received) > self.limit:
            return self.said(45009, "reach max api daily quota limit")
        if kind not in ("text", "textcard", "template_card") or not isinstance(asked.get(kind), dict):
            return self.said(40008, "invalid message type")
        if kind == "textcard" and not asked[kind].get("url"):
            return self.said(41033, "missing url")
        invalid = [user for user in users if self.members and user not in self.members]
        if len(invalid) == len(users):
            return self.said(81013, "user & party & tag all invalid")
        unlicensed = [user for user in users if user in self.unlicensed]
        msgid, code = secrets.token_urlsafe(30), ""
        for user in users:
            if user not in invalid and user not in unlicensed:
                code = self._shown(user, msgid, asked, body) or code
        more = {"invaliduser": "|".join(invalid).lower(), "unlicenseduser": "|".join(unlicensed).lower()}
        return self.said(0, "ok", msgid=msgid, response_code=code, **more)

    def _shown(self, user: str, msgid: str, asked: dict[str, Any], body: bytes) -> str:
        """Whatever becomes of it, the answer says that all is well."""
        card = {"user": user, "msgid": msgid, "at": self.now(), "state": "shown", "button": "", **asked}
        until, first = self._before.get(body, (0.0, card))
        recent = sum(shown["user"] == user and shown["at"] > self.now() - 60 for shown in self.shown[-1000:])
        if asked.get("enable_duplicate_check") == 1 and until > self.now():
            self.dropped.append(card)
            card = first
        elif recent >= self.minute_limit:
            self.dropped.append(card)
        else:
            self._before[body] = self.now() + asked.get("duplicate_check_interval", 1800), card
            self.shown.append(card)
        return self._code(card) if asked["msgtype"] == "template_card" else ""

    async def _update(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        code, asked = self._asked(query, body)
        if code:
            return self.said(code, "invalid access_token")
        until, card = self._codes.pop(asked.get("response_code", ""), (0.0, {}))
        if until <= self.now():
            return self.said(40058, "invalid response_code")
        if asked["userids"] != [card["user"]]:
            return self.said(0, "ok", invaliduser=[user.lower() for user in asked["userids"]])
        card["state"], card["button"] = "updated", asked["button"]["replace_name"]
        return self.said(0, "ok", invaliduser=[])

    async def _recall(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        code, asked = self._asked(query, body)
        if code:
            return self.said(code, "invalid access_token")
        card = next((shown for shown in self.shown if shown["msgid"] == asked.get("msgid")), None)
        if card is None or card["at"] < self.now() - RECALL_S:
            return self.said(40058, "invalid msgid")
        card["state"] = "recalled"
        return self.said(0, "ok")


if __name__ == "__main__":
    serve(Qyapi)
