"""What WeChat's and WeCom's APIs have in common: a token in the address, HTTP 200 whatever happened, an errcode.

An errcode becomes an outcome by a table (`Rule`); each provider has its own.
"""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog

from channels.port import Outcome, Pause, Scope, Verdict
from channels.transport import NotSent, Reply, Transport, Unanswered
from channels.wechat_field import KINDS
from channels.wechat_token import Fetched, Tokens
from hub.platform.clock import Clock

SHANGHAI = ZoneInfo("Asia/Shanghai")
JSON = {"Content-Type": "application/json"}
TOKEN_BAD = frozenset({40001, 40014, 42001})
BUSY_S = 5.0

# Of an errmsg only these parts are repeated: the rest may quote what was sent.
_FIELD = re.compile(rf"data\.((?:{'|'.join(KINDS)})\d{{1,3}})\.value", re.ASCII)
_REQUEST = re.compile(r"rid: ([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})(?![0-9a-f-])|hint: \[(\d{19,30})\]", re.ASCII)

log = structlog.get_logger("hub.channels.wechat")


class Answer(msgspec.Struct, frozen=True):
    """Of every call. The names are the providers'."""

    errcode: int = 0
    errmsg: str = ""


class TokenAnswer(Answer, frozen=True):
    access_token: str = ""
    expires_in: float = 0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What an errcode means. `until_midnight`: of a day that the provider counts, which begins in Shanghai."""

    verdict: Verdict
    detail: str
    retry_s: float | None = None
    until_midnight: bool = False
    pause: Scope | None = None
    pause_s: float = 60.0
    alarm: bool = False


class Refused(Exception):
    """The provider answered an errcode; there is nothing of the request in it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.errcode))
        self.answer = answer


class Failed(Exception):
    """The call ended without an errcode; `outcome` says what is known of it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


A = TypeVar("A", bound=Answer)


class Api:
    """Calls with a token. With a bad one it asks for another, once, if there is time left."""

    def __init__(self, transport: Transport, tokens: Tokens, base_url: str, timeout_s: float, clock: Clock) -> None:
        self._transport = transport
        self._tokens = tokens
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._clock = clock

    async def ask(self, path: str, content: bytes, shape: type[A]) -> A:
        """The answer, of errcode 0. Raises `Refused` and `Failed`."""
        begun = self._clock.monotonic()
        token = await self._token()
        answer = await self._ask(path, content, shape, token)
        if answer.errcode in TOKEN_BAD:
            await self._tokens.drop(token)
            if self._clock.monotonic() - begun < self._timeout_s / 2:
                answer = await self._ask(path, content, shape, await self._token())
        if answer.errcode:
            raise Refused(answer)
        return answer

    async def _token(self) -> str:
        try:
            return await self._tokens.get()
        except (NotSent, Unanswered, TimeoutError) as error:
            # Whatever became of the asking for a token, the message was not sent.
            raise Failed(_retry("token", f"no token: {type(error).__name__}")) from None

    async def _ask(self, path: str, content: bytes, shape: type[A], token: str) -> A:
        try:
            reply = await self._transport.post(f"{self._base_url}{path}?access_token={token}", content, JSON)
        except NotSent as error:
            raise Failed(_retry("", f"not sent: {error}")) from None
        except Unanswered as error:
            raise Failed(_unknown("", f"no answer: {error}")) from None
        return decoded(reply, shape)


def decoded(reply: Reply, shape: type[A]) -> A:
    """The answer of HTTP 200. Raises `Failed` where nobody knows what became of the call, or it never reached the API."""
    if reply.status == 429:
        raise Failed(_retry("http429", "too many requests"))
    if reply.status >= 500:
        raise Failed(_unknown(f"http{reply.status}", "the provider is in trouble"))
    if reply.status != 200:
        raise Failed(Outcome(verdict=Verdict.DEAD, code=f"http{reply.status}", detail="not the API", alarm=True))
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Failed(_unknown("http200", "an answer that cannot be read")) from None


def fetched(reply: Reply, now: datetime) -> Fetched:
    """The token in an answer. Raises `Failed`: whatever happened, no message was sent."""
    try:
        answer = decoded(reply, TokenAnswer)
    except Failed as failed:
        if failed.outcome.verdict is not Verdict.UNKNOWN:
            raise
        raise Failed(_retry(failed.outcome.code, f"no token: {failed.outcome.detail}")) from None
    if answer.errcode or not answer.access_token:
        log.warning("token_refused", errcode=answer.errcode)
        raise Failed(outcome_of(answer, TOKEN_RULES, now, NO_TOKEN))
    return Fetched(answer.access_token, answer.expires_in)


def outcome_of(answer: Answer, rules: Mapping[int, Rule], now: datetime, unknown: Rule | None = None) -> Outcome:
    """What an errcode means; an unknown one is dead, because nobody knows what a repetition would do."""
    rule = rules.get(answer.errcode, unknown or UNKNOWN_CODE)
    wait_s = seconds_to_midnight(now) if rule.until_midnight else rule.retry_s
    pause_s = wait_s if rule.until_midnight and wait_s else rule.pause_s
    return Outcome(
        verdict=rule.verdict,
        code=str(answer.errcode),
        detail=" ".join((rule.detail, *_parts(answer.errmsg))),
        retry_after_s=wait_s,
        pause=Pause(rule.pause, pause_s) if rule.pause else None,
        alarm=rule.alarm,
    )


def seconds_to_midnight(now: datetime) -> float:
    """Until the providers count a new day."""
    here = now.astimezone(SHANGHAI)
    midnight = datetime.combine(here.date() + timedelta(days=1), time(), SHANGHAI)
    return (midnight - here).total_seconds()


def _parts(errmsg: str) -> list[str]:
    field, request = _FIELD.search(errmsg), _REQUEST.search(errmsg)
    return [*([field[1]] if field else []), *([f"({request[1] or request[2]})"] if request else [])]


def _retry(code: str, detail: str) -> Outcome:
    return Outcome(verdict=Verdict.RETRY, code=code, detail=detail, retry_after_s=BUSY_S)


def _unknown(code: str, detail: str) -> Outcome:
    return Outcome(verdict=Verdict.UNKNOWN, code=code, detail=detail)


UNKNOWN_CODE = Rule(verdict=Verdict.DEAD, detail="unknown errcode", alarm=True)

# What both providers say of tokens, credentials and limits.
SHARED_RULES: dict[int, Rule] = {
    -1: Rule(verdict=Verdict.RETRY, detail="busy", retry_s=BUSY_S),
    **{
        code: Rule(verdict=Verdict.RETRY, detail="a fresh token was refused, too", retry_s=30.0, alarm=True)
        for code in TOKEN_BAD
    },
    40013: Rule(verdict=Verdict.DEAD, detail="app id or corp id", pause=Scope.PROVIDER, alarm=True),
    40125: Rule(verdict=Verdict.DEAD, detail="secret", pause=Scope.PROVIDER, alarm=True),
    40164: Rule(verdict=Verdict.RETRY, detail="our address is not allowed", retry_s=60.0, pause=Scope.PROVIDER, alarm=True),
    45009: Rule(verdict=Verdict.RETRY, detail="limit of the day", until_midnight=True, pause=Scope.PROVIDER, alarm=True),
    45011: Rule(verdict=Verdict.RETRY, detail="limit of the minute", retry_s=60.0, pause=Scope.PROVIDER),
    48001: Rule(verdict=Verdict.DEAD, detail="the account may not use this", pause=Scope.PROVIDER, alarm=True),
}  # fmt: skip

# When a token is asked for, 40001 speaks of the secret.
NO_TOKEN = Rule(verdict=Verdict.RETRY, detail="no token", retry_s=60.0, pause=Scope.PROVIDER, alarm=True)
TOKEN_RULES: dict[int, Rule] = SHARED_RULES | {0: NO_TOKEN, 40001: SHARED_RULES[40125]}
