"""Tencent's side of the SMS stand-in: TC3 verified from the request itself, its clock, its answers and its receipts."""

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aiohttp import web

if TYPE_CHECKING:
    from tests.standins.sms import SmsStandin, Taken

SECRET_ID, SECRET_KEY, APP_ID, SIGN_NAME = "AKID-test", "tencent-secret", "1400006666", "健康服务"
CLOCK_S = 5 * 60
SHANGHAI = ZoneInfo("Asia/Shanghai")
ADDRESS = re.compile(r"\+861\d{10}")
_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/]+)/([^/]+)/([^/]+)/tc3_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


class Tencent:
    """SendSms and PullSmsSendStatusByPhoneNumber. HTTP 200 whatever happened."""

    name = "tencent"

    def __init__(self, standin: "SmsStandin") -> None:
        self._standin = standin

    def action(self, request: web.Request) -> str:
        return request.headers["x-tc-action"]

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        refusal = self._refusal(request, body)
        if refusal:
            return _failed(refusal)
        asked = json.loads(body)
        if asked.get("SmsSdkAppId") != APP_ID:
            return _failed("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        if self.action(request) == "SendSms":
            return _said(SendStatusSet=[self._send(asked, phone) for phone in asked["PhoneNumberSet"]])
        return self._pull(asked)

    def busy(self) -> web.Response:
        return _failed("RequestLimitExceeded")

    def _refusal(self, request: web.Request, body: bytes) -> str:
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return "AuthFailure.InvalidAuthorization"
        if found[1] != SECRET_ID:
            return "AuthFailure.SecretIdNotFound"
        at = int(request.headers.get("x-tc-timestamp", "0"))
        if abs(self._standin.now() - at) > CLOCK_S:
            return "AuthFailure.SignatureExpire"
        if found[2] != datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d"):
            return "AuthFailure.SignatureFailure"
        fits = hmac.compare_digest(found[5], _signature(request, body, found[2], found[3], found[4]))
        if not fits or not {"content-type", "host"} <= set(found[4].split(";")):
            return "AuthFailure.SignatureFailure"
        return "" if request.headers.get("x-tc-region") else "MissingParameter"

    def _send(self, asked: dict[str, Any], phone: str) -> dict[str, Any]:
        code = self._standin.code_for(self.name, phone.removeprefix("+86")) or _fault(asked, phone)
        shown = {"PhoneNumber": phone, "Fee": 0, "SerialNo": "", "IsoCode": "CN", "SessionContext": ""}
        if code:
            return shown | {"Code": code, "Message": code}
        attempt, fields = asked.get("SessionContext", ""), asked.get("TemplateParamSet", [])
        taken = self._standin.take(self.name, phone.removeprefix("+86"), attempt, asked["TemplateId"], fields)
        done = {"Code": "Ok", "Message": "send success", "Fee": 1, "SerialNo": taken.provider_id}
        return shown | done | {"SessionContext": attempt}

    def _pull(self, asked: dict[str, Any]) -> web.Response:
        if asked["Offset"] != 0 or not 0 < asked["Limit"] <= 100:
            return _failed("InvalidParameterValue.LimitVerifyFail")
        # Only what the carrier has answered.
        found = [
            _status(t)
            for t in self._standin.received
            if (t.provider, f"+86{t.phone}") == (self.name, asked["PhoneNumber"])
            and asked["BeginTime"] <= t.at <= asked["EndTime"]
            and t.status != "waiting"
        ]
        return _said(PullSmsSendStatusSet=found[: asked["Limit"]])

    def reports(self, settled: "list[Taken]") -> Any:
        """The body of the status push."""
        return [
            {
                "user_receive_time": datetime.fromtimestamp(t.at, SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
                "nationcode": "86",
                "mobile": t.phone,
                "report_status": "SUCCESS" if t.status == "delivered" else "FAIL",
                "errmsg": t.code,
                "description": "用户短信送达成功",
                "sid": t.provider_id,
            }
            for t in settled
        ]


def _fault(asked: dict[str, Any], phone: str) -> str:
    if not ADDRESS.fullmatch(phone):
        return "InvalidParameterValue.IncorrectPhoneNumber"
    if asked.get("SignName") != SIGN_NAME:
        return "FailedOperation.SignatureIncorrectOrUnapproved"
    return "" if str(asked.get("TemplateId", "")).isdigit() else "FailedOperation.TemplateIncorrectOrUnapproved"


def _signature(request: web.Request, body: bytes, day: str, service: str, signed: str) -> str:
    headers = "".join(f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in signed.split(";"))
    hashed = hashlib.sha256(body).hexdigest()
    canonical = f"{request.method}\n{request.path}\n{request.query_string}\n{headers}\n{signed}\n{hashed}"
    scope = f"{day}/{service}/tc3_request"
    timestamp = request.headers["x-tc-timestamp"]
    to_sign = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("TC3" + SECRET_KEY).encode()
    for part in (day, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _said(**answer: Any) -> web.Response:
    return web.json_response({"Response": answer | {"RequestId": "ed93f3cb"}})


def _failed(code: str) -> web.Response:
    return _said(Error={"Code": code, "Message": "失败"})


def _status(taken: "Taken") -> dict[str, Any]:
    return {
        "UserReceiveTime": int(taken.at),
        "CountryCode": "86",
        "SubscriberNumber": taken.phone,
        "PhoneNumber": f"+86{taken.phone}",
        "SerialNo": taken.provider_id,
        "ReportStatus": "SUCCESS" if taken.status == "delivered" else "FAIL",
        "Description": taken.code,
        "SessionContext": taken.attempt,
    }
