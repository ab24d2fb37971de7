"""SMS through Aliyun: SendSms and QuerySendDetails of Dysmsapi 2017-05-25. Its receipts are decoded in `sms_receipt`."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from channels.aliyun_signature import Call, canonical_query, headers_of
from channels.port import Bucket, Message, Outcome, Verdict
from channels.sms_rule import (
    DECLINED,
    NO_TEMPLATE,
    PHONE,
    RECEIPT_S,
    Rule,
    judge,
    judge_status,
    template_of,
    unreadable,
)
from channels.transport import NotSent, Reply, Transport, Unanswered
from hub.platform import settings
from hub.platform.clock import Clock

VERSION = "2017-05-25"
SHANGHAI = ZoneInfo("Asia/Shanghai")  # Aliyun's days
NEAR_MIDNIGHT = timedelta(minutes=1)  # our clock and Aliyun's may name different days
PAGE = 50  # the most QuerySendDetails gives; a phone gets 40 a day at most

_BUSY = Rule(verdict=Verdict.RETRY, detail="too many calls", retry_after_s=5.0, pauses=True)
_UNCLEAR = Rule(verdict=Verdict.UNKNOWN, detail="Aliyun failed inside")


def _ours(detail: str) -> Rule:
    return Rule(verdict=Verdict.DEAD, detail=detail, alarm=True)


# help.aliyun.com/document_detail/101346 (API errors), and the gateway's own codes; families without their dot.
# A limit of the whole account is DEAD, not RETRY: it lasts until midnight or longer, and the next provider has none.
RULES: dict[str, Rule] = {
    "isv.BUSINESS_LIMIT_CONTROL": Rule(verdict=Verdict.REFUSED, detail="this phone got its most for now"),
    "isv.MOBILE_NUMBER_ILLEGAL": Rule(verdict=Verdict.GONE, detail="no such number"),
    "isv.DAY_LIMIT_CONTROL": _ours("the account's messages of today are used up"),
    "isv.MONTH_LIMIT_CONTROL": _ours("the account's messages of this month are used up"),
    "isv.SMS_CONTENT_ILLEGAL": Rule(verdict=Verdict.DEAD, detail="forbidden content"),
    "isv.BLACK_KEY_CONTROL_LIMIT": Rule(verdict=Verdict.DEAD, detail="a forbidden word"),
    "isv.PARAM_LENGTH_LIMIT": Rule(verdict=Verdict.DEAD, detail="a field is too long"),
    "isv.PARAM_NOT_SUPPORT_URL": Rule(verdict=Verdict.DEAD, detail="a field holds an address"),
    "isv.TEMPLATE_MISSING_PARAMETERS": _ours("a field of the template is missing"),
    "isv.TEMPLATE_PARAMS_ILLEGAL": _ours("a field does not fit the template"),
    "isv.INVALID_JSON_PARAM": _ours("the fields are not understood"),
    "isv.INVALID_PARAMETERS": _ours("the call is not understood"),
    "isv.SMS_TEMPLATE_ILLEGAL": _ours("the template is not approved"),
    "isv.SMS_SIGNATURE_ILLEGAL": _ours("the signature is not approved"),
    "isv.SMS_SIGN_ILLEGAL": _ours("the signature is forbidden"),
    "isv.SIGN_STATE_ILLEGAL": _ours("the signature is not usable"),
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": _ours("the signature is for another kind of template"),
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": _ours("the template is for other countries"),
    "isv.DENY_IP_RANGE": _ours("our address is not in mainland China"),
    "isv.AMOUNT_NOT_ENOUGH": _ours("the balance is used up"),
    "isv.OUT_OF_SERVICE": _ours("the balance is used up"),
    "isv.PRODUCT_UN_SUBSCRIPT": _ours("the service is not switched on"),
    "isv.PRODUCT_UNSUBSCRIBE": _ours("the service is not switched on"),
    "isv.ACCOUNT_NOT_EXISTS": _ours("no such account"),
    "isv.ACCOUNT_ABNORMAL": _ours("the account is blocked"),
    "isp.RAM_PERMISSION_DENY": _ours("the AccessKey may not send"),
    "isp.SYSTEM_ERROR": _UNCLEAR,
    "isp.GATEWAY_ERROR": _UNCLEAR,
    "InternalError": _UNCLEAR,
    "ServiceUnavailable": _UNCLEAR,
    # It has seen this very request: something on the way repeated it, and what came of the first is not known.
    "SignatureNonceUsed": Rule(verdict=Verdict.UNKNOWN, detail="the request came twice"),
    "Throttling": _BUSY,
    "InvalidAccessKeyId": _ours("no such AccessKey"),
    "SignatureDoesNotMatch": _ours("the AccessKey's secret is wrong"),
    "IncompleteSignature": _ours("the AccessKey's secret is wrong"),
    "InvalidTimeStamp": _ours("our clock is wrong"),
    "Forbidden": _ours("the AccessKey may not send"),
}


class Sent(msgspec.Struct, frozen=True):
    """SendSms' answer, and that of the gateway where it refuses."""

    code: str = msgspec.field(name="Code")
    biz_id: str = msgspec.field(name="BizId", default="")


class Detail(msgspec.Struct, frozen=True):
    """One message in the answer of QuerySendDetails; its content and phone are not read."""

    status: int = msgspec.field(name="SendStatus", default=1)  # 1: no receipt yet, 2: failed, 3: arrived
    code: str = msgspec.field(name="ErrCode", default="")
    out_id: str = msgspec.field(name="OutId", default="")


class Found(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="Code")
    details: dict[str, list[Detail]] = msgspec.field(name="SmsSendDetailDTOs", default_factory=dict)


class AliyunSms:
    """Built by `sms.open_sms`."""

    name = "sms"
    provider = "aliyun"
    receipt_s = RECEIPT_S

    def __init__(self, chosen: settings.Sms, transport: Transport, clock: Clock) -> None:
        self._settings = chosen
        self._transport = transport
        self._clock = clock
        self._base_url = chosen.aliyun_base_url.rstrip("/")
        self._bucket = Bucket("sms:aliyun", chosen.per_s)

    def may_repeat(self, message: Message) -> bool:
        """Never: "不支持幂等…请您做好幂等控制" (help.aliyun.com/document_detail/55284)."""
        return False

    def bucket(self, message: Message) -> Bucket:
        return self._bucket

    async def send(self, message: Message) -> Outcome:
        """A lost answer and 5xx are `unknown`, because Aliyun would send a repetition as another message."""
        if not PHONE.fullmatch(message.address.value):
            return DECLINED
        template = template_of(message.content.template, self.provider)
        if not template:
            return NO_TEMPLATE
        parameters = {
            "PhoneNumbers": message.address.value,
            "SignName": self._settings.sign_name,
            "TemplateCode": template,
            "TemplateParam": msgspec.json.encode(message.content.fields).decode(),
            "OutId": message.attempt,
        }
        try:
            reply = await self._call("SendSms", parameters)
        except NotSent as error:
            return Outcome(verdict=Verdict.RETRY, code=str(error), retry_after_s=5.0)
        except Unanswered as error:
            return Outcome(verdict=Verdict.UNKNOWN, code=str(error))
        return _told(reply)

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """By BizId where the answer gave one; else by the attempt, which Aliyun keeps as OutId."""
        if not PHONE.fullmatch(message.address.value):
            return None
        for day in _days(sent_at):
            for detail in await self._details(message.address.value, day, provider_id):
                if detail.out_id == message.attempt or (provider_id and not detail.out_id):
                    return _settled(detail, provider_id)
        return None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        return False

    async def _details(self, phone: str, day: str, biz_id: str) -> list[Detail]:
        parameters = {"PhoneNumber": phone, "SendDate": day, "PageSize": str(PAGE), "CurrentPage": "1"}
        try:
            reply = await self._call("QuerySendDetails", parameters | ({"BizId": biz_id} if biz_id else {}))
            found = msgspec.json.decode(reply.body, type=Found, strict=False)
        except (NotSent, Unanswered, msgspec.MsgspecError):
            return []
        return found.details.get("SmsSendDetailDTO", []) if found.code == "OK" else []

    async def _call(self, action: str, parameters: Mapping[str, str]) -> Reply:
        call = Call(urlsplit(self._base_url).netloc, action, VERSION, parameters)
        chosen, nonce = self._settings, secrets.token_hex(16)
        headers = headers_of(call, chosen.aliyun_key_id, chosen.aliyun_key_secret, self._clock.now(), nonce)
        return await self._transport.post(f"{self._base_url}/?{canonical_query(parameters)}", b"", headers)


def _told(reply: Reply) -> Outcome:
    decided = judge_status(reply)
    if decided is not None:
        return decided
    try:
        sent = msgspec.json.decode(reply.body, type=Sent)
    except msgspec.MsgspecError:
        return unreadable(reply)
    if sent.code == "OK":
        return Outcome(verdict=Verdict.ACCEPTED, provider_id=sent.biz_id)
    return judge(RULES, sent.code)


def _settled(detail: Detail, provider_id: str) -> Outcome | None:
    if detail.status not in (2, 3):
        return None
    verdict = Verdict.DELIVERED if detail.status == 3 else Verdict.DEAD
    return Outcome(verdict=verdict, provider_id=provider_id, code=detail.code)


def _days(sent_at: datetime) -> list[str]:
    """The day of the sending as Aliyun writes it; near midnight both."""
    local = sent_at.astimezone(SHANGHAI)
    return sorted({(local + shift).strftime("%Y%m%d") for shift in (-NEAR_MIDNIGHT, NEAR_MIDNIGHT)})
