"""WeChat Pay v3, as a direct merchant in public-key mode. wechatpayv3 signs, verifies and decrypts; what it lacks is here."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog
from wechatpayv3.async_ import AsyncWeChatPay, WeChatPayType  # wechatpayv3's own WeChatPayType is another enum

from hub.orders.payment import CURRENCY, Method, Payment, Refund, fen
from hub.orders.payment_development import DevelopmentPay, NoPay
from hub.orders.payment_provider import (
    PaymentProvider,
    RefundReport,
    Rejected,
    RequestPayment,
    Standing,
    Transaction,
    Unanswered,
)
from hub.orders.wechatpay_message import (
    Envelope,
    Failed,
    Prepared,
    RefundMessage,
    RefundNotice,
    TransactionMessage,
)
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import BadSettings, Settings

FRESH_S = 300.0  # a notification is signed when it is sent; an older one was kept by somebody
KEY_BYTES = 32  # of the APIv3 key
SHANGHAI = ZoneInfo("Asia/Shanghai")
# What the payer reads on the bill, and WeChat with them: nothing about the service, which may tell of an illness.
DESCRIPTION = "健康服务订单"
REFUND_REASON = "订单退款"
# Old and new spelling of "there is no such order (refund)".
MISSING = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})

log = structlog.get_logger("hub.wechatpay")

T = TypeVar("T")
Answered = Awaitable[tuple[int, str | bytes]]


class WechatPay:
    """Open it with `open_payment_provider`."""

    def __init__(self, client: AsyncWeChatPay, chosen: settings.Payments, app_id: str) -> None:
        self._client = client
        self._settings = chosen
        self._app_id = app_id

    def check(self, method: Method, payer: str | None) -> None:
        if method == "wechat" and not payer:
            raise Refusal(ErrorCode.INVALID, fields={"method": "payment_needs_wechat"})

    async def prepare(self, payment: Payment, ends_at: datetime) -> str:
        native = payment.method == "wechat_native"
        call = self._client.pay(
            description=f"{DESCRIPTION} {payment.number}",
            out_trade_no=payment.number,
            amount={"total": fen(payment.amount), "currency": CURRENCY},
            payer=None if native else {"openid": payment.payer},
            time_expire=ends_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
            attach=payment.id,
            pay_type=WeChatPayType.NATIVE if native else WeChatPayType.JSAPI,
        )
        prepared = _decoded(await self._ask(call), Prepared)
        found = prepared.code_url if native else prepared.prepay_id
        if not found:
            raise Unanswered
        return found

    def request_payment(self, prepay_id: str, now: datetime) -> RequestPayment:
        time_stamp, nonce, package = str(int(now.timestamp())), secrets.token_hex(16), f"prepay_id={prepay_id}"
        signature = self._client.sign([self._app_id, time_stamp, nonce, package])
        return RequestPayment(time_stamp, nonce, package, "RSA", signature)

    async def query(self, payment: Payment) -> Transaction:
        try:
            content = await self._ask(self._client.query(out_trade_no=payment.number))
        except Rejected as rejected:
            if rejected.code not in MISSING:
                raise Unanswered from None
            return Transaction(number=payment.number, standing=Standing.UNKNOWN)
        message = _decoded(content, TransactionMessage)
        if not self._is_ours(message) or message.out_trade_no != payment.number:
            log.error("an answer about another payment", payment=payment.id)
            raise Unanswered
        return message.told()

    async def close(self, payment: Payment) -> None:
        await self._ask(self._client.close(payment.number))

    async def refund(self, refund: Refund, payment: Payment) -> RefundReport:
        call = self._client.refund(
            out_refund_no=refund.number,
            out_trade_no=payment.number,
            amount={"refund": fen(refund.amount), "total": fen(payment.amount), "currency": CURRENCY},
            reason=REFUND_REASON,
        )
        return _decoded(await self._ask(call), RefundMessage).told()

    async def query_refund(self, refund: Refund, payment: Payment) -> RefundReport | None:
        try:
            content = await self._ask(self._client.query_refund(refund.number))
        except Rejected as rejected:
            if rejected.code not in MISSING:
                raise Unanswered from None
            return None
        return _decoded(content, RefundMessage).told()

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Transaction | RefundReport:
        plain = self._opened({name.lower(): value for name, value in headers.items()}, body, now)
        try:
            if msgspec.json.decode(body, type=Envelope).event_type == "TRANSACTION.SUCCESS":
                return self._read_transaction(plain)
            return self._read_refund(plain)
        except msgspec.MsgspecError as error:
            # Its text would quote the content.
            raise Refusal(ErrorCode.INVALID, fields={"resource": "notification_invalid"}) from error

    def _opened(self, headers: Mapping[str, str], body: bytes, now: datetime) -> bytes:
        """The decrypted resource of a notification that is signed by WeChat Pay's own key, now."""
        # The library knows neither an age nor that one key is enough.
        is_fresh = abs(_timestamp(headers) - now.timestamp()) <= FRESH_S
        if not is_fresh or headers.get("wechatpay-serial") != self._settings.public_key_id:
            raise Refusal(ErrorCode.UNAUTHORIZED, "notification_forged")
        try:
            plain = self._client.decrypt_callback(headers, body)
        except (
            Exception
        ) as error:  # the library raises bare Exception, and whatever strange input makes its parsers raise
            raise Refusal(ErrorCode.UNAUTHORIZED, "notification_forged") from error
        if not plain:
            raise Refusal(ErrorCode.UNAUTHORIZED, "notification_forged")
        return str(plain).encode()

    def _read_transaction(self, plain: bytes) -> Transaction:
        message = msgspec.json.decode(plain, type=TransactionMessage)
        if not self._is_ours(message) or message.trade_state != "SUCCESS":
            raise Refusal(ErrorCode.CONFLICT, "notification_mismatch")
        return message.told()

    def _read_refund(self, plain: bytes) -> RefundReport:
        message = msgspec.json.decode(plain, type=RefundNotice)
        if message.mchid != self._settings.mch_id:
            raise Refusal(ErrorCode.CONFLICT, "notification_mismatch")
        return message.told()

    def _is_ours(self, message: TransactionMessage) -> bool:
        return (message.mchid, message.appid) == (self._settings.mch_id, self._app_id)

    async def _ask(self, call: Answered) -> str | bytes:
        """The content of a 2xx answer whose signature the library has verified."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):  # httpx's own limits are for each step, not for all
                status, content = await call
        except Exception as error:  # httpx's errors, and the library's bare Exception for a signature that is wrong
            # Addresses are in httpx's texts; the library's say what it missed.
            said = str(error) if type(error) is Exception else ""
            log.warning("wechat pay did not answer", error=type(error).__name__, said=said)
            raise Unanswered from None
        if status in (200, 204):
            return content
        code = _code(content)
        log.warning("wechat pay refused", status=status, code=code)
        # 202: it is being worked on. 401: our signature, so our settings or clock are wrong, which says nothing of the payment.
        if status in (202, 401, 429) or status >= 500:
            raise Unanswered
        raise Rejected(code)


def _decoded(content: str | bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError:
        log.error("wechat pay answered something else", expected=shape.__name__)
        raise Unanswered from None


def _code(content: str | bytes) -> str:
    try:
        return msgspec.json.decode(content, type=Failed).code[:64]
    except msgspec.MsgspecError:
        return ""


def _timestamp(headers: Mapping[str, str]) -> float:
    text = headers.get("wechatpay-timestamp", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0.0


@asynccontextmanager
async def open_payment_provider(chosen: Settings, clock: Clock) -> AsyncIterator[PaymentProvider]:
    """WeChat Pay if a merchant is configured; else the one for development if codes are shown to whoever asks, too."""
    if chosen.payments.mch_id:
        # At info httpx logs each address, and that holds the order's number.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        async with _client(chosen) as client:
            yield WechatPay(client, chosen.payments, chosen.wechat.app_id)
    else:
        yield _without_merchant(chosen.accounts.sms_sender, clock)


def _without_merchant(sms_sender: str, clock: Clock) -> PaymentProvider:
    if sms_sender != "development":
        return NoPay()
    log.warning("development_payments", meaning="whoever asks to pay has paid; not for real users")
    return DevelopmentPay(clock)


def _client(chosen: Settings) -> AsyncWeChatPay:
    payments = chosen.payments
    _check_complete(chosen)
    try:
        client = AsyncWeChatPay(
            wechatpay_type=WeChatPayType.JSAPI,
            mchid=payments.mch_id,
            private_key=_pem("private_key", payments.private_key),
            cert_serial_no=payments.serial_no,
            appid=chosen.wechat.app_id,
            apiv3_key=payments.api_v3_key,
            notify_url=payments.notify_url,
            timeout=(payments.timeout_s, payments.timeout_s),
            public_key=_pem("public_key", payments.public_key),
            public_key_id=payments.public_key_id,
        )
    except Exception as error:  # the library's bare Exception; its text does not hold the key
        raise BadSettings(f"payments: {error}") from None
    client._core._gate_way = payments.base_url.rstrip("/")  # no public way
    return client


def _check_complete(chosen: Settings) -> None:
    payments = chosen.payments
    for name in ("serial_no", "private_key", "api_v3_key", "public_key", "public_key_id", "notify_url"):
        if not getattr(payments, name):
            raise BadSettings(f"payments.{name}: needed because payments.mch_id is set")
    if not chosen.wechat.app_id:
        raise BadSettings("wechat.app_id: needed because payments.mch_id is set")
    if len(payments.api_v3_key.encode()) != KEY_BYTES:
        raise BadSettings(f"payments.api_v3_key: must be {KEY_BYTES} bytes")


def _pem(name: str, value: str) -> str:
    """The key itself, or the content of the file that is named."""
    if value.startswith("-----BEGIN"):
        return value
    try:
        return Path(value).read_text(encoding="ascii")
    except (OSError, ValueError):
        raise BadSettings(f"payments.{name}: neither a PEM nor a file that can be read") from None
