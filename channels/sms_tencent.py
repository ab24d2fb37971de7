"""SMS through Tencent Cloud: SendSms and PullSmsSendStatusByPhoneNumber of SMS 2021-01-11. Its receipts are decoded in `sms_receipt`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

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
from channels.tencent_signature import Call, headers_of
from channels.transport import NotSent, Reply, Transport, Unanswered
from hub.platform import settings
from hub.platform.clock import Clock

SERVICE, VERSION = "sms", "2021-01-11"
REGION = "ap-guangzhou"  # must be named; it carries messages to all of mainland China
MAINLAND = "+86"
BEFORE = timedelta(minutes=1)  # our clock may be ahead of Tencent's
LIMIT = 100  # the most one call gives

_BUSY = Rule(verdict=Verdict.RETRY, detail="too many calls", retry_after_s=5.0, pauses=True)
_UNCLEAR = Rule(verdict=Verdict.UNKNOWN, detail="Tencent failed inside")
_FULL = Rule(verdict=Verdict.REFUSED, detail="this phone got its most for now")


def _ours(detail: str) -> Rule:
    return Rule(verdict=Verdict.DEAD, detail=detail, alarm=True)


# cloud.tencent.com/document/api/382/59177 (SMS) and /52075 (all APIs); families without their dot.
# A limit of the whole account is DEAD, not RETRY: it lasts until midnight or longer, and the next provider has none.
RULES: dict[str, Rule] = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": _FULL,
    "LimitExceeded.PhoneNumberOneHourLimit": _FULL,
    "LimitExceeded.PhoneNumberDailyLimit": _FULL,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": _FULL,
    # 频率限制策略: the frequency rules that are set in the console, which are counted for each phone.
    "LimitExceeded.DeliveryFrequencyLimit": _FULL,
    "LimitExceeded.AppDailyLimit": _ours("the application's messages of today are used up"),
    "LimitExceeded.AppMainlandChinaDailyLimit": _ours("the application's messages of today are used up"),
    "LimitExceeded.DailyLimit": _ours("the account's messages of today are used up"),
    "LimitExceeded": Rule(verdict=Verdict.RETRY, detail="a limit", retry_after_s=60.0),
    "RequestLimitExceeded": _BUSY,
    "FailedOperation.PhoneNumberInBlacklist": Rule(verdict=Verdict.REFUSED, detail="the phone wants no messages"),
    "FailedOperation.PhoneNumberParseFail": Rule(verdict=Verdict.GONE, detail="no such number"),
    "InvalidParameterValue.IncorrectPhoneNumber": Rule(verdict=Verdict.GONE, detail="no such number"),
    "FailedOperation.ContainSensitiveWord": Rule(verdict=Verdict.DEAD, detail="a forbidden word"),
    "InvalidParameter.DirtyWordFound": Rule(verdict=Verdict.DEAD, detail="a forbidden word"),
    "InvalidParameterValue.ContentLengthLimit": Rule(verdict=Verdict.DEAD, detail="too long"),
    "InvalidParameterValue.TemplateParameterLengthLimit": Rule(verdict=Verdict.DEAD, detail="a field is too long"),
    "InvalidParameterValue.TemplateParameterFormatError": Rule(verdict=Verdict.DEAD, detail="a field is not a code"),
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": Rule(
        verdict=Verdict.DEAD, detail="a field holds an address"
    ),
    "FailedOperation.MarketingSendTimeConstraint": Rule(
        verdict=Verdict.RETRY, detail="marketing only from 8 to 22", retry_after_s=3600.0
    ),
    "FailedOperation.TemplateIncorrectOrUnapproved": _ours("the template is not approved"),
    "FailedOperation.TemplateUnapprovedOrNotExist": _ours("the template is not approved"),
    "FailedOperation.TemplateIdNotExist": _ours("no such template"),
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": _ours("the fields do not fit the template"),
    "FailedOperation.SignatureIncorrectOrUnapproved": _ours("the signature is not approved"),
    "FailedOperation.InsufficientBalanceInSmsPackage": _ours("the balance is used up"),
    "FailedOperation": _ours("refused"),
    "InvalidParameterValue.SdkAppIdNotExist": _ours("no such SmsSdkAppId"),
    "InvalidParameterValue": _ours("the call is not understood"),
    "InvalidParameter": _ours("the call is not understood"),
    "MissingParameter": _ours("the call is not understood"),
    "UnauthorizedOperation.ServiceSuspendDueToArrears": _ours("the balance is used up"),
    "UnauthorizedOperation": _ours("the key may not send"),
    "UnsupportedOperation": _ours("not for this kind of number"),
    "AuthFailure.SignatureExpire": _ours("our clock is wrong"),
    "AuthFailure": _ours("the key is wrong"),
    "InternalError.RequestTimeException": _ours("our clock is wrong"),
    "InternalError.SigVerificationFail": _ours("the key is wrong"),
    "InternalError.SigFieldMissing": _ours("the key is wrong"),
    "InternalError.RestApiInterfaceNotExist": _ours("the call is not understood"),
    # Timeout, SendAndRecvFail, ParseBackendResponseFail: it was on its way to the carrier.
    "InternalError": _UNCLEAR,
    "ServiceUnavailable": _UNCLEAR,
}


class Failure(msgspec.Struct, frozen=True, rename="pascal"):
    code: str


class SendStatus(msgspec.Struct, frozen=True, rename="pascal"):
    """Of one number; the message as a whole has none."""

    code: str
    serial_no: str = ""


class PullStatus(msgspec.Struct, frozen=True, rename="pascal"):
    """Of one message. Its phone is not read."""

    serial_no: str = ""
    session_context: str = ""
    report_status: str = ""  # SUCCESS or FAIL; only there when the carrier has answered
    description: str = ""


class Answer(msgspec.Struct, frozen=True, rename="pascal"):
    error: Failure | None = None
    send_status_set: list[SendStatus] = []
    pull_sms_send_status_set: list[PullStatus] = []


class Envelope(msgspec.Struct, frozen=True, rename="pascal"):
    response: Answer


class TencentSms:
    """Built by `sms.open_sms`."""

    name = "sms"
    provider = "tencent"
    receipt_s = RECEIPT_S

    def __init__(self, chosen: settings.Sms, transport: Transport, clock: Clock) -> None:
        self._settings = chosen
        self._transport = transport
        self._clock = clock
        self._base_url = chosen.tencent_base_url.rstrip("/")
        self._bucket = Bucket("sms:tencent", chosen.per_s)

    def may_repeat(self, message: Message) -> bool:
        """Never: Tencent counts messages of a phone, but does not know a repetition."""
        return False

    def bucket(self, message: Message) -> Bucket:
        return self._bucket

    async def send(self, message: Message) -> Outcome:
        """A lost answer and 5xx are `unknown`, because Tencent would send a repetition as another message."""
        if not PHONE.fullmatch(message.address.value):
            return DECLINED
        template = template_of(message.content.template, self.provider)
        if not template:
            return NO_TEMPLATE
        asked = {
            "PhoneNumberSet": [MAINLAND + message.address.value],
            "SmsSdkAppId": self._settings.tencent_app_id,
            "SignName": self._settings.sign_name,
            "TemplateId": template,
            "TemplateParamSet": list(message.content.fields.values()),
            "SessionContext": message.attempt,
        }
        try:
            reply = await self._call("SendSms", asked)
        except NotSent as error:
            return Outcome(verdict=Verdict.RETRY, code=str(error), retry_after_s=5.0)
        except Unanswered as error:
            return Outcome(verdict=Verdict.UNKNOWN, code=str(error))
        return _told(reply)

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        """By SerialNo where the answer gave one; else by the attempt, which Tencent keeps as SessionContext."""
        if not PHONE.fullmatch(message.address.value):
            return None
        asked = {
            "BeginTime": int((sent_at - BEFORE).timestamp()),
            "EndTime": int((max(self._clock.now(), sent_at) + BEFORE).timestamp()),
            "Offset": 0,
            "Limit": LIMIT,
            "PhoneNumber": MAINLAND + message.address.value,
            "SmsSdkAppId": self._settings.tencent_app_id,
        }
        try:
            reply = await self._call("PullSmsSendStatusByPhoneNumber", asked)
            found = msgspec.json.decode(reply.body, type=Envelope).response.pull_sms_send_status_set
        except (NotSent, Unanswered, msgspec.MsgspecError):
            return None
        ours = [
            s for s in found if (s.serial_no == provider_id if provider_id else s.session_context == message.attempt)
        ]
        return _settled(ours[0]) if ours else None

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        return False

    async def _call(self, action: str, asked: Mapping[str, object]) -> Reply:
        body = msgspec.json.encode(asked)
        call = Call(urlsplit(self._base_url).netloc, SERVICE, action, VERSION, REGION, body)
        chosen = self._settings
        headers = headers_of(call, chosen.tencent_secret_id, chosen.tencent_secret_key, self._clock.now())
        return await self._transport.post(f"{self._base_url}/", body, headers)


def _told(reply: Reply) -> Outcome:
    """HTTP 200 says nothing: an error of the call is in `Error`, one of the number in its `SendStatus`."""
    decided = judge_status(reply)
    if decided is not None:
        return decided
    try:
        answer = msgspec.json.decode(reply.body, type=Envelope).response
    except msgspec.MsgspecError:
        return unreadable(reply)
    if answer.error is not None:
        return judge(RULES, answer.error.code)
    if not answer.send_status_set:
        return unreadable(reply)
    sent = answer.send_status_set[0]
    if sent.code == "Ok":
        return Outcome(verdict=Verdict.ACCEPTED, provider_id=sent.serial_no)
    return judge(RULES, sent.code)


def _settled(status: PullStatus) -> Outcome | None:
    if status.report_status not in ("SUCCESS", "FAIL"):
        return None
    verdict = Verdict.DELIVERED if status.report_status == "SUCCESS" else Verdict.DEAD
    return Outcome(verdict=verdict, provider_id=status.serial_no, code=status.description)
