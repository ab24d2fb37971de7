"""Aliyun's side of the SMS stand-in: ACS3 verified from the request itself, its clock, its answers and its receipts."""

import hashlib
import hmac
import json
import re
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import web

if TYPE_CHECKING:
    from tests.standins.sms import SmsStandin, Taken

KEY_ID, KEY_SECRET, SIGN_NAME = "LTAI-test", "aliyun-secret", "健康服务"
CLOCK_S = 15 * 60
SHANGHAI = ZoneInfo("Asia/Shanghai")
STATUS = {"waiting": 1, "failed": 2, "delivered": 3}
ADDRESS = re.compile(r"1\d{10}")
_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")


class Aliyun:
    """SendSms and QuerySendDetails."""

    name = "aliyun"

    def __init__(self, standin: "SmsStandin") -> None:
        self._standin = standin
        self._nonces: deque[str] = deque(maxlen=10_000)

    def action(self, request: web.Request) -> str:
        return request.headers["x-acs-action"]

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        refusal = self._refusal(request, body)
        if refusal:
            return _said(refusal, 400)
        asked = dict(request.query)
        if self.action(request) == "SendSms":
            return self._send(asked)
        return self._query(asked)

    def busy(self) -> web.Response:
        return _said("Throttling.User", 400)

    def _refusal(self, request: web.Request, body: bytes) -> str:
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return "IncompleteSignature"
        if found[1] != KEY_ID:
            return "InvalidAccessKeyId.NotFound"
        if not hmac.compare_digest(found[3], _signature(request, body, found[2])):
            return "SignatureDoesNotMatch"
        at = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(self._standin.now() - at.timestamp()) > CLOCK_S:
            return "InvalidTimeStamp.Expired"
        nonce = request.headers["x-acs-signature-nonce"]
        if nonce in self._nonces:
            return "SignatureNonceUsed"
        self._nonces.append(nonce)
        return ""

    def _send(self, asked: dict[str, str]) -> web.Response:
        phone = asked["PhoneNumbers"]
        code = self._standin.code_for(self.name, phone) or self._fault(asked)
        if code:
            return _said(code)
        fields = json.loads(asked.get("TemplateParam", "{}"))
        taken = self._standin.take(self.name, phone, asked.get("OutId", ""), asked["TemplateCode"], fields)
        return _said("OK", BizId=taken.provider_id)

    def _fault(self, asked: dict[str, str]) -> str:
        if not ADDRESS.fullmatch(asked["PhoneNumbers"]):
            return "isv.MOBILE_NUMBER_ILLEGAL"
        if asked.get("SignName") != SIGN_NAME:
            return "isv.SMS_SIGNATURE_ILLEGAL"
        return "" if asked.get("TemplateCode", "").startswith("SMS_") else "isv.SMS_TEMPLATE_ILLEGAL"

    def _query(self, asked: dict[str, str]) -> web.Response:
        taken = [
            t
            for t in self._standin.received
            if (t.provider, t.phone, _day(t)) == (self.name, asked["PhoneNumber"], asked["SendDate"])
            and asked.get("BizId", t.provider_id) == t.provider_id
        ]
        size, page = int(asked["PageSize"]), int(asked["CurrentPage"])
        shown = [_detail(t) for t in taken[(page - 1) * size : page * size]]
        return _said("OK", TotalCount=str(len(taken)), SmsSendDetailDTOs={"SmsSendDetailDTO": shown})

    def reports(self, settled: "list[Taken]") -> Any:
        """The body of SmsReport."""
        return [
            {
                "phone_number": t.phone,
                "send_time": _time(t.at),
                "report_time": _time(t.at + 3),
                "success": t.status == "delivered",
                "err_code": t.code,
                "err_msg": "用户接收成功",
                "sms_size": "1",
                "biz_id": t.provider_id,
                "out_id": t.attempt,
            }
            for t in settled
        ]


def _signature(request: web.Request, body: bytes, signed: str) -> str:
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed.split(";"))
    pairs = sorted(request.query.items())
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    hashed = hashlib.sha256(body).hexdigest()
    canonical = f"{request.method}\n{request.path}\n{query}\n{headers}\n{signed}\n{hashed}"
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(KEY_SECRET.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def _said(code: str, status: int = 200, **more: Any) -> web.Response:
    return web.json_response({"Code": code, "Message": code, "RequestId": "8906582E"} | more, status=status)


def _detail(taken: "Taken") -> dict[str, Any]:
    shown = {"PhoneNum": taken.phone, "SendStatus": STATUS[taken.status], "TemplateCode": taken.template}
    return shown | {"OutId": taken.attempt, "ErrCode": taken.code, "Content": "【健康服务】您有一条新消息"}


def _day(taken: "Taken") -> str:
    return datetime.fromtimestamp(taken.at, SHANGHAI).strftime("%Y%m%d")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
