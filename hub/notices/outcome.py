"""From what a channel answered to what is written down of the attempt. No I/O."""

import random
from datetime import datetime, timedelta

import msgspec

from channels.port import Outcome, Verdict
from channels.word import code_of, id_of
from hub.notices.model import Attempt, AttemptState
from hub.notices.record import Told

FIRST_S = 2.0
FACTOR = 3
LONGEST_S = 300.0
ASK_S = 30.0  # how soon a provider is asked what became of a message whose answer was lost


_NOT_TAKEN = (Verdict.RETRY, Verdict.DEAD, Verdict.GONE)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it was made. `quota`: openid and template of WeChat's quota that it spent."""

    attempt: Attempt
    repeats: bool
    receipt_s: float
    address_row: bool
    after_unknown: bool = False
    """It repeats a call whose answer was lost."""
    quota: tuple[str, str] | None = None


def told_of(call: Call, outcome: Outcome, now: datetime) -> Told:
    """What is known of the attempt from now on."""
    attempt, verdict = call.attempt, outcome.verdict
    if verdict is Verdict.REFUSED and call.after_unknown:
        # WeChat's 43101 after a call whose answer was lost: that one took the last of the quota, so it was taken.
        verdict = Verdict.ACCEPTED
    next_at = receipt_until = None
    if verdict is Verdict.RETRY or (verdict is Verdict.UNKNOWN and call.repeats):
        next_at = now + timedelta(seconds=pause_s(attempt.number, outcome.retry_after_s))
    elif verdict is Verdict.UNKNOWN:
        next_at = now + timedelta(seconds=ASK_S)
    if verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN) and call.receipt_s:
        receipt_until = now + timedelta(seconds=call.receipt_s)
    return Told(
        attempt=attempt.id,
        channel=attempt.channel,
        provider=attempt.provider,
        state=AttemptState(verdict.value),
        code=code_of(outcome.code),
        detail=outcome.detail,
        provider_id=id_of(outcome.provider_id),
        next_at=next_at,
        receipt_until=receipt_until,
        gone_address=attempt.address if verdict is Verdict.GONE and call.address_row else None,
        refund=call.quota if verdict in _NOT_TAKEN else None,
        exhausted=call.quota if outcome.verdict is Verdict.REFUSED else None,
    )


def applied(attempt: Attempt, told: Told) -> Attempt:
    """The attempt as it is written down."""
    return msgspec.structs.replace(
        attempt,
        state=told.state,
        code=told.code,
        provider_id=told.provider_id or attempt.provider_id,
        next_at=told.next_at,
        receipt_until=told.receipt_until or attempt.receipt_until,
    )


def pause_s(number: int, asked_s: float | None) -> float:
    """Seconds before the next call, after the `number`-th: growing, with jitter, never sooner than the provider asks."""
    grown = min(FIRST_S * float(FACTOR ** (number - 1)), LONGEST_S)
    return max(asked_s or 0.0, grown * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
