"""What the SMS providers tell afterwards: their receipts as one struct, and the address that only they know."""

import base64
import hmac
from typing import Annotated

import msgspec
from msgspec import Meta

from channels.sms import PROVIDERS
from hub.platform.error import ErrorCode, Refusal

MOST_RECEIPTS = 1000  # in one call; Aliyun sends up to some hundred

# What a provider wants to hear; anything else, and it sends the same receipts again.
TAKEN: dict[str, bytes] = {"aliyun": b'{"code":0,"msg":"OK"}', "tencent": b'{"result":0,"errmsg":"OK"}'}


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message. `attempt` is the one that `Message` bore, where the provider gives it back."""

    provider: str
    provider_id: str
    attempt: str | None
    delivered: bool
    code: str


class AliyunReport(msgspec.Struct, frozen=True):
    """SmsReport over HTTP (help.aliyun.com/zh/sms/developer-reference/smsreport-2). Its phone number is not read."""

    success: bool
    err_code: str = ""
    biz_id: str = ""
    out_id: str | None = None


class TencentReport(msgspec.Struct, frozen=True):
    """短信下发状态通知 (tencentcloud.com/document/product/382/43547). `session_context` comes only where Tencent switched it on."""

    sid: str
    report_status: str
    errmsg: str = ""
    session_context: str | None = None
    ext: str | None = None


AliyunReports = Annotated[list[AliyunReport], Meta(max_length=MOST_RECEIPTS)]
TencentReports = Annotated[list[TencentReport], Meta(max_length=MOST_RECEIPTS)]


def decode_receipts(provider: str, body: bytes) -> list[Receipt]:
    """The receipts of one callback, in their order. Raises `Refusal` when it is not what this provider sends."""
    try:
        if provider == "aliyun":
            return [_aliyun(r) for r in msgspec.json.decode(body, type=AliyunReports, strict=False)]
        if provider == "tencent":
            return [_tencent(r) for r in msgspec.json.decode(body, type=TencentReports, strict=False)]
    except msgspec.MsgspecError:
        # Not chained: its text may quote what came.
        raise Refusal(ErrorCode.MALFORMED) from None
    raise Refusal(ErrorCode.NOT_FOUND)


def _aliyun(report: AliyunReport) -> Receipt:
    return Receipt(
        provider="aliyun",
        provider_id=report.biz_id,
        attempt=report.out_id or None,
        delivered=report.success,
        code=report.err_code,
    )


def _tencent(report: TencentReport) -> Receipt:
    return Receipt(
        provider="tencent",
        provider_id=report.sid,
        attempt=report.session_context or report.ext or None,
        delivered=report.report_status == "SUCCESS",
        code=report.errmsg,
    )


def callback_token(key: str, provider: str) -> str:
    """The part of the callback's address that stands for a signature: neither Aliyun nor Tencent signs what it tells."""
    digest = hmac.digest(key.encode(), f"sms receipt {provider}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_callback(key: str, provider: str, token: str) -> bool:
    """Whether `token` belongs to this provider's address, in constant time; without a key nothing does."""
    if not key or provider not in PROVIDERS:
        return False
    return hmac.compare_digest(callback_token(key, provider).encode(), token.encode())
