"""Whoever takes the money: WeChat Pay (its stand-in) in every mood, the one for development, and none."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from hub.orders.payment import Payment, Refund
from hub.orders.payment_provider import PaymentProvider, RefundReport, Rejected, Standing, Transaction, Unanswered
from hub.orders.wechatpay import open_payment_provider
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.settings import BadSettings, Settings
from tests.fake_clock import FakeClock
from tests.standins.wechatpay import (
    API_V3_KEY,
    APP_ID,
    MCH_ID,
    SIGNTEST,
    Notification,
    WechatPayStandin,
    is_signed,
    private_pem,
)

SECRET = "绝密资料"


def payment(**changed: Any) -> Payment:
    fields: dict[str, Any] = {
        "id": new_id(),
        "order_id": new_id(),
        "number": f"ORDER20260102{new_id()[-8:]}-1",
        "method": "wechat",
        "amount": Decimal("128.00"),
        "state": "created",
        "payer": "o-1",
        "prepay_id": None,
        "transaction_id": None,
        "attempts": 0,
        "created_at": datetime.now(UTC),
        "succeeded_at": None,
    }
    return Payment(**fields | changed)


def refund_of(paid: Payment) -> Refund:
    return Refund(
        id=new_id(),
        order_id=paid.order_id,
        payment_id=paid.id,
        number=f"{paid.number}-R",
        amount=paid.amount,
        reason="order_cancelled",
        state="pending",
        provider_id=None,
        error=None,
        attempts=0,
        created_at=paid.created_at,
        succeeded_at=None,
    )


def end() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=15)


def read(provider: PaymentProvider, notification: Notification) -> Transaction | RefundReport:
    return provider.read(notification.headers, notification.body, datetime.now(UTC))


def refused(provider: PaymentProvider, notification: Notification) -> ErrorCode:
    with pytest.raises(Refusal) as caught:
        read(provider, notification)
    return caught.value.code


@pytest.fixture
def standin() -> Iterator[WechatPayStandin]:
    with WechatPayStandin() as running:
        yield running


def chosen(standin: WechatPayStandin, **changed: Any) -> Settings:
    payments = msgspec.structs.replace(standin.settings(), **changed)
    return Settings(payments=payments, wechat=settings.Wechat(app_id=APP_ID))


@pytest_asyncio.fixture
async def wechat(standin: WechatPayStandin) -> AsyncIterator[PaymentProvider]:
    async with open_payment_provider(chosen(standin), SystemClock()) as provider:
        yield provider


@pytest_asyncio.fixture(params=["wechat", "development"])
async def any_provider(
    request: pytest.FixtureRequest, standin: WechatPayStandin
) -> AsyncIterator[tuple[PaymentProvider, WechatPayStandin | None]]:
    """Each adapter that takes money, and the stand-in behind it, where somebody has to pay."""
    if request.param == "wechat":
        async with open_payment_provider(chosen(standin), SystemClock()) as provider:
            yield provider, standin
    else:
        async with open_payment_provider(Settings(), SystemClock()) as provider:
            yield provider, None


async def paid_at(provider: PaymentProvider, standin: WechatPayStandin | None) -> Payment:
    """A payment that was made: at the stand-in by its payer, in development by time."""
    made = payment(created_at=datetime.now(UTC) - timedelta(seconds=2))
    prepared = msgspec.structs.replace(made, prepay_id=await provider.prepare(made, end()))
    if standin is not None:
        standin.pay(made.number)
    return prepared


async def test_payment_is_paid_and_given_back(
    any_provider: tuple[PaymentProvider, WechatPayStandin | None],
) -> None:
    """The whole way: prepared, shown to the mini-program, paid, refunded; every adapter names amount, number and reference."""
    provider, standin = any_provider
    provider.check("wechat", "o-1")
    paid = await paid_at(provider, standin)
    assert paid.prepay_id is not None
    shown = provider.request_payment(paid.prepay_id, datetime.now(UTC))
    told = await provider.query(paid)
    report = await provider.refund(refund_of(paid), paid)
    if standin is not None:
        standin.finish_refund(report.number)
    again = await provider.query_refund(refund_of(paid), paid)

    assert shown.package == f"prepay_id={paid.prepay_id}"
    assert (told.standing, told.number, told.reference) == (Standing.PAID, paid.number, paid.id)
    assert (told.amount_fen, told.currency) == (12800, "CNY")
    assert told.transaction_id
    assert (report.number, report.payment_number, report.amount_fen) == (f"{paid.number}-R", paid.number, 12800)
    assert again is not None
    assert (again.state, again.provider_id) == ("succeeded", report.provider_id)


async def test_payment_that_nobody_made_is_unpaid_and_can_be_closed(
    wechat: PaymentProvider, standin: WechatPayStandin
) -> None:
    """Not paid, then closed for ever; a number that was never sent is unknown, and so is its refund."""
    waiting, never = payment(), payment()
    await wechat.prepare(waiting, end())
    before = await wechat.query(waiting)
    await wechat.close(waiting)
    after = await wechat.query(waiting)

    assert (before.standing, after.standing) == (Standing.UNPAID, Standing.CLOSED)
    assert (await wechat.query(never)).standing == Standing.UNKNOWN
    assert await wechat.query_refund(refund_of(never), never) is None


async def test_prepared_again_is_the_same_payment(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """An answer that was lost costs nothing: the same number and content are the same payment, to the second."""
    asked, until = payment(), end()

    for _ in range(2):
        assert (await wechat.prepare(asked, until)).startswith("wx")
    assert list(standin.trades) == [asked.number]


async def test_refund_sent_again_is_the_same_refund(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """However often it is sent, the money goes back once."""
    paid = await paid_at(wechat, standin)
    first, again = [await wechat.refund(refund_of(paid), paid) for _ in range(2)]

    assert first == again
    assert len(standin.refunds) == 1


async def test_what_is_sent_says_who_pays_how_much_until_when_and_nothing_about_health(
    wechat: PaymentProvider, standin: WechatPayStandin
) -> None:
    """The JSAPI order as WeChat Pay documents it; amounts in fen, the end in Shanghai's time."""
    asked = payment()
    await wechat.prepare(asked, datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))

    assert standin.trades[asked.number].asked == {
        "appid": APP_ID,
        "mchid": MCH_ID,
        "description": f"健康服务订单 {asked.number}",
        "out_trade_no": asked.number,
        "time_expire": "2026-01-02T11:04:05+08:00",
        "attach": asked.id,
        "notify_url": "https://hub.test/api/v1/payments/wechat/notify",
        "amount": {"total": 12800, "currency": "CNY"},
        "payer": {"openid": "o-1"},
    }


async def test_native_payment_is_a_code_that_wechat_scans(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """Without a payer: whoever scans pays."""
    asked = payment(method="wechat_native", payer=None)
    wechat.check("wechat_native", None)

    assert (await wechat.prepare(asked, end())).startswith("weixin://wxpay/")
    assert "payer" not in standin.trades[asked.number].asked


async def test_mini_program_gets_what_request_payment_verifies(wechat: PaymentProvider) -> None:
    """paySign is over app, time, nonce and package, in this order, by the merchant's key."""
    shown = wechat.request_payment("wx123", datetime(2026, 1, 2, tzinfo=UTC))

    assert (shown.time_stamp, shown.package, shown.sign_type) == ("1767312000", "prepay_id=wx123", "RSA")
    assert is_signed("merchant", shown.pay_sign, APP_ID, shown.time_stamp, shown.nonce_str, shown.package)
    assert len(shown.nonce_str) == 32
    assert shown.nonce_str != wechat.request_payment("wx123", datetime(2026, 1, 2, tzinfo=UTC)).nonce_str


async def test_mini_program_payment_needs_a_payer(wechat: PaymentProvider) -> None:
    """Who signed in by phone has no openid, and is told which other way there is."""
    with pytest.raises(Refusal) as caught:
        wechat.check("wechat", None)
    assert caught.value.fields == {"method": "payment_needs_wechat"}


Call = Callable[[PaymentProvider], Awaitable[object]]


async def calls_of(wechat: PaymentProvider, standin: WechatPayStandin) -> dict[str, Call]:
    """Each call, in a place where it would succeed."""
    paid = await paid_at(wechat, standin)
    refunded = await paid_at(wechat, standin)
    await wechat.refund(refund_of(refunded), refunded)
    waiting = payment()
    await wechat.prepare(waiting, end())
    return {
        "prepare": lambda provider: provider.prepare(payment(), end()),
        "query": lambda provider: provider.query(paid),
        "close": lambda provider: provider.close(waiting),
        "refund": lambda provider: provider.refund(refund_of(paid), paid),
        "query_refund": lambda provider: provider.query_refund(refund_of(refunded), refunded),
    }


OPS = ("prepare", "query", "close", "refund", "query_refund")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("mood", ["busy", "cut", "lost", "forged", "garbage"])
async def test_wechat_pay_in_trouble_leaves_it_unknown(
    wechat: PaymentProvider, standin: WechatPayStandin, op: str, mood: str
) -> None:
    """A fault, a lost question, a lost answer, a signature that is not its own, nonsense: never taken for an answer."""
    call = (await calls_of(wechat, standin))[op]
    standin.moods[op] = mood

    if (op, mood) == ("close", "garbage"):
        await call(wechat)  # nothing is read in the answer to a close
        return
    with pytest.raises(Unanswered):
        await call(wechat)


@pytest.mark.parametrize(
    ("op", "mood"),
    # The answer to a close has no content that could come in drops.
    [(op, mood) for op in OPS for mood in ("silent", "drip") if (op, mood) != ("close", "drip")],
)
async def test_calls_end_in_time(wechat: PaymentProvider, standin: WechatPayStandin, op: str, mood: str) -> None:
    """Without an answer, and with one that comes in drops: the limit is for the whole call, not for each byte."""
    call = (await calls_of(wechat, standin))[op]
    standin.moods[op] = mood
    async with open_payment_provider(chosen(standin, timeout_s=0.3), SystemClock()) as hurried:
        with pytest.raises(Unanswered):
            await call(hurried)


async def test_wechat_pay_that_is_not_there_leaves_it_unknown(standin: WechatPayStandin) -> None:
    """A refused connection says nothing about the payment."""
    with WechatPayStandin() as gone:
        away = chosen(gone)
    async with open_payment_provider(away, SystemClock()) as provider:
        with pytest.raises(Unanswered):
            await provider.query(payment())


async def test_a_refusal_is_told_by_its_code(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """Nothing happened, and why; a paid order cannot be closed."""
    paid = await paid_at(wechat, standin)
    with pytest.raises(Rejected) as closing:
        await wechat.close(paid)
    standin.moods["refund"] = "NOT_ENOUGH"
    with pytest.raises(Rejected) as refunding:
        await wechat.refund(refund_of(paid), paid)

    assert (closing.value.code, refunding.value.code) == ("ORDERPAID", "NOT_ENOUGH")


async def test_our_own_bad_signature_says_nothing_about_the_payment(standin: WechatPayStandin) -> None:
    """A wrong key of ours must not look like a refused refund."""
    async with open_payment_provider(chosen(standin, private_key=private_pem("other")), SystemClock()) as provider:
        for call in (provider.query(payment()), provider.refund(refund_of(payment()), payment())):
            with pytest.raises(Unanswered):
                await call


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("NOTPAY", Standing.UNPAID),
        ("USERPAYING", Standing.UNPAID),
        ("CLOSED", Standing.CLOSED),
        ("PAYERROR", Standing.FAILED),
        ("REVOKED", Standing.FAILED),
        ("REFUND", Standing.RETURNED),
    ],
)
async def test_every_trade_state_has_a_meaning(
    wechat: PaymentProvider, standin: WechatPayStandin, state: str, standing: Standing
) -> None:
    """As WeChat Pay names them."""
    asked = payment()
    await wechat.prepare(asked, end())
    standin.trades[asked.number].state = state

    assert (await wechat.query(asked)).standing == standing


@pytest.mark.parametrize("changed", [{"mchid": "1900000002"}, {"appid": "wx-other"}, {"out_trade_no": "ORDER-other-1"}])
async def test_an_answer_about_another_merchants_payment_is_none(
    wechat: PaymentProvider, standin: WechatPayStandin, changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed answer must be about what was asked."""
    paid = await paid_at(wechat, standin)
    answered = standin._transaction(paid.number) | changed
    monkeypatch.setattr(standin, "_transaction", lambda _number: answered)

    with pytest.raises(Unanswered):
        await wechat.query(paid)


# Notifications


async def test_notification_of_a_payment_is_read(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """The same as a query would answer; whatever case a server gives to header names."""
    paid = await paid_at(wechat, standin)
    sent = standin.paid(paid.number)
    upper = Notification({name.upper(): value for name, value in sent.headers.items()}, sent.body)

    assert read(wechat, sent) == read(wechat, upper) == await wechat.query(paid)


@pytest.mark.parametrize(
    ("status", "state", "error"),
    [("SUCCESS", "succeeded", ""), ("ABNORMAL", "failed", "ABNORMAL"), ("CLOSED", "failed", "CLOSED")],
)
async def test_notification_of_a_refund_is_read(
    wechat: PaymentProvider, standin: WechatPayStandin, status: str, state: str, error: str
) -> None:
    """The number, the payment's number, the amount, and how it ended."""
    paid = await paid_at(wechat, standin)
    report = await wechat.refund(refund_of(paid), paid)
    standin.finish_refund(report.number, status)
    told = read(wechat, standin.refunded(report.number))

    assert isinstance(told, RefundReport)
    assert (told.state, told.error, told.provider_id) == (state, error, report.provider_id)
    assert (told.number, told.payment_number, told.amount_fen) == (report.number, paid.number, 12800)


FORGERIES: dict[str, Any] = {
    "signed by somebody else": lambda s: s.notification("TRANSACTION.SUCCESS", {}, owner="stranger"),
    "signed by the merchant": lambda s: s.notification("TRANSACTION.SUCCESS", {}, owner="merchant"),
    "too old": lambda s: s.notification("TRANSACTION.SUCCESS", {}, age_s=301),
    "from the future": lambda s: s.notification("TRANSACTION.SUCCESS", {}, age_s=-301),
    "another key": lambda s: s.notification("TRANSACTION.SUCCESS", {}, serial="PUB_KEY_ID_OTHER"),
    "a certificate": lambda s: s.notification("TRANSACTION.SUCCESS", {}, serial="5157F09EFDC096DE15EBE81A47057A72"),
    "a probe": lambda s: s.notification("TRANSACTION.SUCCESS", {}, signature=SIGNTEST),
    "no signature": lambda s: s.notification("TRANSACTION.SUCCESS", {}, signature=""),
    "not base64": lambda s: s.notification("TRANSACTION.SUCCESS", {}, signature="签名"),
    "another algorithm": lambda s: s.notification("TRANSACTION.SUCCESS", {}, signature_type="WECHATPAY2-SM2-WITH-SM3"),
    "another time than signed": lambda s: s.notification("TRANSACTION.SUCCESS", {}, timestamp=str(int(s.now()) - 1)),
    "no time": lambda s: s.notification("TRANSACTION.SUCCESS", {}, timestamp="soon"),
    "an endless time": lambda s: s.notification("TRANSACTION.SUCCESS", {}, timestamp="9" * 400),
    "another nonce than signed": lambda s: s.notification("TRANSACTION.SUCCESS", {}, nonce="0" * 32),
    "sealed with another key": lambda s: s.notification("TRANSACTION.SUCCESS", {}, api_key="x" * 32),
    "signed, and no JSON": lambda s: s.signed(b"{"),
    "signed, and no text": lambda s: s.signed(b"\xff\xfe"),
    "signed, and empty": lambda s: s.signed(b""),
    "signed, and a list": lambda s: s.signed(b"[]"),
    "signed, and deep": lambda s: s.signed(b"[" * 50_000),
    "signed, and not sealed": lambda s: s.signed(b'{"event_type": "TRANSACTION.SUCCESS", "resource_type": "plain"}'),
    "signed, and sealed in another way": lambda s: s.signed(
        b'{"resource_type": "encrypt-resource", "resource": {"algorithm": "ROT13", "nonce": "n", "ciphertext": "c"}}'
    ),
    "signed, and a nonce that is none": lambda s: s.signed(
        b'{"resource_type": "encrypt-resource", "resource":'
        b' {"algorithm": "AEAD_AES_256_GCM", "nonce": "n", "ciphertext": "QUFB", "associated_data": ""}}'
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_notification_is_refused_unless_it_is_wechat_pays_own_and_fresh(
    wechat: PaymentProvider, standin: WechatPayStandin, forgery: Any
) -> None:
    """Whatever is wrong with it, it is unauthorized, and nothing of it is believed."""
    assert refused(wechat, forgery(standin)) == ErrorCode.UNAUTHORIZED


async def test_notification_is_refused_when_a_byte_of_it_was_changed(
    wechat: PaymentProvider, standin: WechatPayStandin
) -> None:
    """The signature is over the raw bytes: even a space that means nothing counts."""
    paid = await paid_at(wechat, standin)
    sent = standin.paid(paid.number)

    for body in (sent.body + b" ", sent.body.replace(b'": "', b'":"', 1), sent.body.replace(b"SUCCESS", b"success")):
        assert refused(wechat, Notification(sent.headers, body)) == ErrorCode.UNAUTHORIZED


async def test_notification_without_headers_is_refused(wechat: PaymentProvider, standin: WechatPayStandin) -> None:
    """Anybody can post anything there."""
    assert refused(wechat, Notification({}, b"{}")) == ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize(
    ("event", "resource", "code"),
    [
        ("TRANSACTION.SUCCESS", {"mchid": "1900000002"}, ErrorCode.CONFLICT),
        ("TRANSACTION.SUCCESS", {"appid": "wx-other"}, ErrorCode.CONFLICT),
        ("TRANSACTION.SUCCESS", {"trade_state": "NOTPAY"}, ErrorCode.CONFLICT),
        ("TRANSACTION.SUCCESS", {"trade_state": "NEW"}, ErrorCode.INVALID),
        ("TRANSACTION.SUCCESS", {"amount": {"total": "12800"}}, ErrorCode.INVALID),
        ("TRANSACTION.SUCCESS", {"out_trade_no": None}, ErrorCode.INVALID),
        ("PAYSCORE.USER_PAID", {}, ErrorCode.INVALID),
        ("REFUND.SUCCESS", {}, ErrorCode.INVALID),
    ],
)
async def test_signed_notification_is_refused_when_it_is_not_meant_for_us(
    wechat: PaymentProvider, standin: WechatPayStandin, event: str, resource: dict[str, Any], code: ErrorCode
) -> None:
    """Another merchant's, another app's, another kind, another shape."""
    paid = await paid_at(wechat, standin)
    content = standin._transaction(paid.number) | resource

    assert refused(wechat, standin.notification(event, content)) == code


async def test_refund_notification_of_another_merchant_is_refused(
    wechat: PaymentProvider, standin: WechatPayStandin
) -> None:
    """The merchant is checked in refunds, too."""
    paid = await paid_at(wechat, standin)
    report = await wechat.refund(refund_of(paid), paid)
    standin.finish_refund(report.number)

    assert refused(wechat, standin.refunded(report.number, mchid="1900000002")) == ErrorCode.CONFLICT


async def test_nothing_of_a_notification_or_a_key_reaches_a_log(
    wechat: PaymentProvider, standin: WechatPayStandin, caplog: pytest.LogCaptureFixture
) -> None:
    """The library would log plaintext, and HTTP clients like to log addresses."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.INFO)  # its debug lines are switched off where logging is configured
    paid = await paid_at(wechat, standin)
    read(wechat, standin.paid(paid.number, attach=SECRET))
    refused(wechat, standin.paid(paid.number, amount=SECRET))
    standin.moods["query"] = "busy"
    with pytest.raises(Unanswered):
        await wechat.query(paid)

    for secret in (SECRET, API_V3_KEY, paid.number, "PRIVATE"):
        assert secret not in caplog.text


# Settings


@pytest.mark.parametrize(
    "name", ["serial_no", "private_key", "api_v3_key", "public_key", "public_key_id", "notify_url"]
)
async def test_a_merchant_without_all_of_its_keys_does_not_start(standin: WechatPayStandin, name: str) -> None:
    """The missing setting is named."""
    with pytest.raises(BadSettings, match=rf"payments\.{name}: needed"):
        async with open_payment_provider(chosen(standin, **{name: ""}), SystemClock()):
            pass


async def test_a_merchant_without_an_app_does_not_start(standin: WechatPayStandin) -> None:
    """Payments belong to the mini-program."""
    with pytest.raises(BadSettings, match=r"wechat\.app_id: needed"):
        async with open_payment_provider(Settings(payments=standin.settings()), SystemClock()):
            pass


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"api_v3_key": "short"}, r"payments\.api_v3_key: must be 32 bytes"),
        ({"private_key": "/nowhere/key.pem"}, r"payments\.private_key: neither a PEM nor a file"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----"}, "payments: failed to load"),
    ],
)
async def test_a_key_that_is_none_does_not_start(standin: WechatPayStandin, changed: dict[str, str], said: str) -> None:
    """In one line, which names the setting and not the secret."""
    with pytest.raises(BadSettings, match=said) as caught:
        async with open_payment_provider(chosen(standin, **changed), SystemClock()):
            pass
    assert "bm8=" not in str(caught.value)


async def test_keys_are_read_from_files(standin: WechatPayStandin, tmp_path: Path) -> None:
    """Outside of the repository, as deployments keep them."""
    (tmp_path / "key.pem").write_text(private_pem("merchant"))
    changed = {"private_key": str(tmp_path / "key.pem"), "base_url": f"{standin.url}/"}
    async with open_payment_provider(chosen(standin, **changed), SystemClock()) as provider:
        assert await provider.prepare(payment(), end())


async def test_development_payment_is_paid_a_second_later() -> None:
    """Until then it waits, so that a demo shows both; whoever asks next sees the same."""
    clock = FakeClock()
    made = payment(created_at=clock.now())
    async with open_payment_provider(Settings(), clock) as provider:
        provider.check("wechat", None)
        before = await provider.query(made)
        await clock.advance(1)
        after = await provider.query(made)

        with pytest.raises(Refusal) as caught:
            provider.read({}, b"{}", clock.now())
    assert (before.standing, after.standing) == (Standing.UNPAID, Standing.PAID)
    assert caught.value.code == ErrorCode.UNAVAILABLE


async def test_development_payments_are_refused_when_codes_are_really_sent() -> None:
    """With real people and no merchant nobody pays, and nothing is taken for paid."""
    real = Settings(accounts=msgspec.structs.replace(settings.Accounts(), sms_sender="aliyun"))
    async with open_payment_provider(real, SystemClock()) as provider:
        with pytest.raises(Refusal) as caught:
            provider.check("wechat", "o-1")
        for call in (provider.query(payment()), provider.close(payment())):
            with pytest.raises(Unanswered):
                await call

    assert (caught.value.code, caught.value.text) == (ErrorCode.UNAVAILABLE, "payment_unconfigured")


async def test_a_configured_merchant_is_never_replaced_by_development(standin: WechatPayStandin) -> None:
    """Also while codes are shown: real money is asked for."""
    async with open_payment_provider(chosen(standin), SystemClock()) as provider:
        assert (await provider.query(payment())).standing == Standing.UNKNOWN
    assert standin.count("query") == 1
