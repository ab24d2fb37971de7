"""What an answer of a push service means (RFC 8030; autopush's errors; Microsoft's and Apple's pages)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from channels.port import Outcome, Pause, Scope, Verdict
from channels.transport import Reply

RETRY_AFTER_S = 120.0  # autopush's own, where a service names none
MOST_RETRY_AFTER_S = 86400.0
MOST_PAUSE_S = 120.0  # for everybody of the service: a limit may be of one subscription only
MISTRUST_S = 60.0  # how long nothing is sent after a refusal of our signature; the next message is signed anew

_WORD = re.compile(r"[A-Za-z0-9]{1,40}")


class Rule(msgspec.Struct, frozen=True):
    verdict: Verdict
    detail: str
    alarm: bool = False
    pauses: bool = False


TAKEN = Rule(Verdict.ACCEPTED, "")
BUSY = Rule(Verdict.RETRY, "the push service is in trouble")
STRANGE = Rule(Verdict.DEAD, "the push service answered something unexpected", alarm=True)
UNTRUSTED = Rule(Verdict.DEAD, "the push service does not trust our signature: key, subject or clock", alarm=True)
FOREIGN = Rule(Verdict.DEAD, "the push service takes our signature, but not for this subscription")

RULES: dict[int, Rule] = {
    400: Rule(Verdict.DEAD, "the push service found a mistake in the request", alarm=True),
    401: UNTRUSTED,
    403: UNTRUSTED,
    404: Rule(Verdict.GONE, "the push service does not know the subscription"),
    406: Rule(Verdict.RETRY, "too many messages for the push service", pauses=True),  # Microsoft's word for 429
    408: BUSY,
    410: Rule(Verdict.GONE, "the subscription has ended"),
    413: Rule(Verdict.DEAD, "too long for the push service, even shortened", alarm=True),
    429: Rule(Verdict.RETRY, "too many messages for the push service", pauses=True),
}


class Said(msgspec.Struct, frozen=True):
    """Why: Mozilla's number, Apple's word."""

    errno: int | None = None
    reason: str | None = None


def outcome_of(reply: Reply, now: datetime, *, is_proven: bool = False, is_doubted: bool = False) -> Outcome:
    """`is_proven`: the service has taken this signature before, so that a refusal is about the subscription.
    `is_doubted`: it was refused for many, and taken for none, so that a refusal is about the signature.

    A pause is the push service's (the bucket of the message), and one person's strange subscription must not earn it for all.
    """
    rule = _rule(reply.status, is_proven)
    asked_s = _retry_after_s(reply.headers.get("retry-after", ""), now)
    if rule.pauses:
        asked_s = RETRY_AFTER_S if asked_s is None else asked_s
    pause_s = min(asked_s, MOST_PAUSE_S) if rule.pauses and asked_s is not None else None
    if rule is UNTRUSTED and is_doubted:
        pause_s = MISTRUST_S
    return Outcome(
        verdict=rule.verdict,
        provider_id=_provider_id(reply) if rule is TAKEN else "",
        code=_code(reply),
        detail=rule.detail,
        retry_after_s=asked_s if rule.verdict is Verdict.RETRY else None,
        pause=Pause(Scope.PROVIDER, pause_s) if pause_s else None,
        alarm=rule.alarm,
    )


def _rule(status: int, is_proven: bool) -> Rule:
    if 200 <= status < 300:  # 201 of RFC 8030; 200 and 202 are seen too
        return TAKEN
    if status >= 500:
        return BUSY
    rule = RULES.get(status, STRANGE)
    return FOREIGN if rule is UNTRUSTED and is_proven else rule


def _code(reply: Reply) -> str:
    """The status, and the service's own word if it is one: an answer may quote the address."""
    try:
        said = msgspec.json.decode(reply.body, type=Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return str(reply.status)
    word = said.reason or (str(said.errno) if said.errno is not None else "")
    return f"{reply.status}/{word}" if _WORD.fullmatch(word) else str(reply.status)


def _provider_id(reply: Reply) -> str:
    """Apple's id, or the last part of RFC 8030's Location: enough to ask about, too little to be an address."""
    return (reply.headers.get("apns-id") or reply.headers.get("location", "").rsplit("/", 1)[-1])[:128]


def _retry_after_s(value: str, now: datetime) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if re.fullmatch(r"[0-9]{1,10}", value):
        return min(float(value), MOST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), MOST_RETRY_AFTER_S)
