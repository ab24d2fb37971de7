"""What providers tell us: verified first, then read, then applied, in one transaction. What does not fit is refused and leaves a line.

Refusals tell nothing of the content, neither in the answer nor in the log. A provider that is refused, or not answered in time,
tells again; being told again changes nothing.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from channels import wechat_event, wecom_event
from channels.sms import PROVIDERS
from channels.sms_receipt import callback_token, decode_receipts, is_callback
from channels.wechat import RECEIPT_S
from channels.wechat_crypto import Forged, MessageCrypt
from channels.wechat_event import Accepted, Rejected, Sent, Told
from channels.wechat_xml import Unreadable
from channels.wecom import BUTTON, HAVE_IT
from channels.wecom_event import Pressed
from hub.notices import callback_store, quota_store, receipt_store
from hub.notices.acknowledgement import acknowledge
from hub.notices.quota import changes, codes_of
from hub.notices.receipt import WEIXIN, Word, is_plain, is_refused, rejected, word_of_sms, word_of_wechat
from hub.notices.template_book import TemplateBook
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import BadSettings, Settings

ANSWER_S = 4.0  # WeChat and WeCom wait for 5 s, and then tell again
LEAST_KEY = 32  # characters of sms.callback_key
SUCCESS = b"success"

_ECHO = re.compile(rb"[A-Za-z0-9_+/=.-]{1,2048}")

log = structlog.get_logger("hub.callback")


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """The query of a callback of WeChat's or WeCom's."""

    signature: str
    msg_signature: str
    timestamp: str
    nonce: str
    echostr: str


class Callbacks:
    """One per process. Raises `BadSettings` where a key can never open anything."""

    def __init__(self, chosen: Settings, database: Database, templates: TemplateBook, clock: Clock) -> None:
        self._database = database
        self._templates = templates
        self._clock = clock
        self._sms_key = _sms_key(chosen)
        wechat, wecom, window_s = chosen.wechat_message, chosen.wecom, chosen.notices.callback_window_s
        self._wechat = self._wecom = None
        if wechat.token and chosen.wechat.app_id:
            if not wechat.aes_key:
                # A signature of plain mode says nothing of the body: whoever has seen one could say anything with it.
                raise BadSettings(
                    "wechat_message.aes_key: needed with wechat_message.token; choose 安全模式 in the console"
                )
            self._wechat = _crypt("wechat_message", wechat.token, wechat.aes_key, chosen.wechat.app_id, window_s)
        if wecom.token and wecom.aes_key and wecom.corp_id:
            self._wecom = _crypt("wecom", wecom.token, wecom.aes_key, wecom.corp_id, window_s)

    # WeChat

    def prove_wechat(self, signed: Signed) -> bytes:
        """The console asks whether this address is ours: the answer is what it sent."""
        with _guarded(WEIXIN):
            _configured(self._wechat).check(signed.signature, signed.timestamp, signed.nonce, self._now())
            return _echo(signed.echostr.encode())

    async def told_by_wechat(self, signed: Signed, body: bytes) -> bytes:
        """Somebody accepted or rejected messages, or a message was sent."""
        crypt = _configured(self._wechat)
        with _guarded(WEIXIN):
            opened = crypt.open_body(signed.msg_signature, signed.timestamp, signed.nonce, body, self._now())
            told = _checked(wechat_event.decode(opened))
        async with asyncio.timeout(ANSWER_S), self._database.transaction() as connection:
            await self._take(connection, told)
        return SUCCESS

    async def _take(self, connection: AsyncConnection, told: Told) -> None:
        sent = [each for each in told.events if isinstance(each, Sent)]
        counted: list[Accepted | Rejected] = [each for each in told.events if not isinstance(each, Sent)]
        # Receipts are the same however often they are applied.
        if counted and not await callback_store.remember(connection, WEIXIN, told.id):
            return
        counted += [rejected(each) for each in sent if is_refused(each)]
        await quota_store.change(connection, changes(counted))
        await self._settle_wechat(connection, sent)

    async def _settle_wechat(self, connection: AsyncConnection, sent: Sequence[Sent]) -> None:
        if not sent:
            return
        said = [word_of_wechat(each) for each in sent]
        words = dict((await receipt_store.find(connection, WEIXIN, said)).words)
        known = {word.provider_id for word in words.values()}
        templates = await self._templates.all(connection)
        for each, word in zip(sent, said, strict=True):
            if word.provider_id and word.provider_id in known:
                continue
            codes = codes_of(templates, each.template)
            attempt = await receipt_store.find_wechat(connection, word, each.openid, codes, RECEIPT_S)
            if attempt is not None:
                words[attempt] = word
        await receipt_store.settle(connection, words)

    # WeCom

    def prove_wecom(self, signed: Signed) -> bytes:
        """As WeChat's, but what is to be answered is sealed."""
        with _guarded("qyapi"):
            crypt = _configured(self._wecom)
            sealed = (signed.msg_signature, signed.timestamp, signed.nonce, signed.echostr)
            return _echo(crypt.open(*sealed, self._now()))

    async def told_by_wecom(self, signed: Signed, body: bytes) -> bytes:
        """Somebody pressed the button of a card. The answer makes it grey; to everything else it is `success`."""
        crypt = _configured(self._wecom)
        with _guarded("qyapi"):
            opened = crypt.open_body(signed.msg_signature, signed.timestamp, signed.nonce, body, self._now())
            pressed = wecom_event.decode(opened)
            if pressed is None or pressed.button != BUTTON:
                return SUCCESS
            _check_plain(pressed.user, pressed.key)
        async with asyncio.timeout(ANSWER_S), self._database.transaction() as connection:
            language = await acknowledge(connection, pressed)
        if language is None:
            log.info("card of nobody", provider="qyapi")
            return SUCCESS
        return self._grey(crypt, pressed, HAVE_IT[language])

    def _grey(self, crypt: MessageCrypt, pressed: Pressed, shown: str) -> bytes:
        now = self._now()
        return crypt.seal_reply(wecom_event.answer(pressed, shown, now), str(int(now)), secrets.token_hex(8))

    # SMS

    def admit_sms(self, provider: str, token: str) -> None:
        """Before the body is read: whether this is the address that only the provider knows. In constant time."""
        if not self._sms_key or provider not in PROVIDERS:
            raise Refusal(ErrorCode.NOT_FOUND)
        if not is_callback(self._sms_key, provider, token):
            raise _refused(provider, "token", ErrorCode.UNAUTHORIZED)

    async def told_by_sms(self, provider: str, body: bytes) -> None:
        """Receipts of text messages. Refused as unavailable, after the others are applied, where one came too early."""
        words = self._words(provider, body)
        async with asyncio.timeout(ANSWER_S), self._database.transaction() as connection:
            found = await receipt_store.find(connection, provider, words)
            await receipt_store.settle(connection, found.words)
        if found.early:
            raise _refused(provider, "early", ErrorCode.UNAVAILABLE)

    def _words(self, provider: str, body: bytes) -> list[Word]:
        try:
            return [word_of_sms(each) for each in decode_receipts(provider, body)]
        except (ValueError, RecursionError):
            raise _refused(provider, "unreadable", ErrorCode.MALFORMED) from None

    def _now(self) -> float:
        return self._clock.now().timestamp()


# What shows that it is not the provider who speaks, or not to us; everything else is malformed.
_CODES = {"signature": ErrorCode.UNAUTHORIZED, "stale": ErrorCode.UNAUTHORIZED, "receiver": ErrorCode.FORBIDDEN}


@contextmanager
def _guarded(provider: str) -> Iterator[None]:
    """Whatever a body can do to those who open and read it becomes a refusal."""
    try:
        yield
    except Forged as forged:
        reason = str(forged)
        raise _refused(provider, reason, _CODES.get(reason, ErrorCode.MALFORMED)) from None
    except (Unreadable, ValueError, RecursionError):
        raise _refused(provider, "unreadable", ErrorCode.MALFORMED) from None


def _refused(provider: str, reason: str, code: ErrorCode) -> Refusal:
    log.info("callback refused", provider=provider, reason=reason)
    return Refusal(code)


def _configured(crypt: MessageCrypt | None) -> MessageCrypt:
    if crypt is None:
        raise Refusal(ErrorCode.NOT_FOUND)
    return crypt


def _checked(told: Told) -> Told:
    for each in told.events:
        _check_plain(each.openid, each.template, each.msgid if isinstance(each, Sent) else "")
    return told


def _check_plain(*ids: str) -> None:
    if not all(map(is_plain, ids)):
        raise Unreadable("ids")


def _echo(content: bytes) -> bytes:
    """Only what a console sends: nothing that a browser would take for a page."""
    if not _ECHO.fullmatch(content):
        raise Unreadable("echo")
    return content


def _crypt(section: str, token: str, aes_key: str, receiver: str, window_s: int) -> MessageCrypt:
    try:
        return MessageCrypt(token, aes_key, receiver, window_s)
    except ValueError as error:
        raise BadSettings(f"{section}.aes_key: {error}") from None


def _sms_key(chosen: Settings) -> str:
    """It is all that a receipt is trusted for, and whoever has seen an address can try keys against it: none that is guessed."""
    key = chosen.sms.callback_key
    if key and len(key) < LEAST_KEY:
        raise BadSettings(f"sms.callback_key: needs at least {LEAST_KEY} characters")
    return key


def addresses(chosen: Settings) -> dict[str, str]:
    """Where each provider is to send what it knows: those that are configured. Without `notices.public_url`, the path alone."""
    base = f"{chosen.notices.public_url.rstrip('/')}/api/v1/callbacks"
    found = {}
    if chosen.wechat.app_id and chosen.wechat_message.token:
        found["wechat"] = f"{base}/wechat"
    if chosen.wecom.corp_id and chosen.wecom.token:
        found["wecom"] = f"{base}/wecom"
    if key := _sms_key(chosen):
        for provider in chosen.sms.providers.split():
            found[provider] = f"{base}/sms/{provider}/{callback_token(key, provider)}"
    return found
