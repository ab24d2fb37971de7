"""What to do next with a notice: the one place that decides who is sent what, when a ladder goes on, and how it ends.

Pure: everything known about the notice goes in with the time, what follows from it comes out. It is asked when a worker has
claimed the notice, and again when its calls have come back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from hub.notices.decision import Case, Decision, Mark
from hub.notices.model import Attempt, AttemptState, State
from hub.notices.quiet import quiet_until
from hub.notices.rung import go_on, inquire, is_repeated, start

WITHDRAWABLE = frozenset({"webpush", "wecom"})
HELD = timedelta(seconds=30)  # until a notice whose broadcast is held is looked at again


def decide(case: Case, now: datetime) -> Decision:
    """What is to be done at `now`."""
    lost, case = _lost(case, now)
    decision = _decide(case, now)
    decision.marks = [
        mark for mark in lost if mark.attempt not in {each.attempt for each in decision.marks}
    ] + decision.marks
    return decision


def _decide(case: Case, now: datetime) -> Decision:
    if case.notice.state is not State.OPEN:
        return _end(
            case, case.notice.state, ""
        )  # it was read, for example: nothing may stay half done, or go on showing
    if ending := _ending(case, now):
        return _end(case, *ending)
    if case.notice.held:
        return _quiet(case, now, now + HELD)
    hold = quiet_until(case.person.quiet, case.class_.quiet, case.person.timezone, now)
    if hold is not None:
        if hold < case.notice.expires_at:
            return _quiet(case, now, hold)
        state, reason = _expiry(case)
        return _end(case, *((State.SUPPRESSED, "quiet") if state is State.EXPIRED else (state, reason)))
    return _climb(case, now)


def _ending(case: Case, now: datetime) -> tuple[State, str] | None:
    """Why nothing more is to be sent."""
    notice, person = case.notice, case.person
    if not person.active:
        return State.SUPPRESSED, "account"
    if notice.conversation is not None:
        if notice.upto_seq is not None and person.read_seq >= notice.upto_seq:
            return State.SEEN, "read"
        if not person.member:
            return State.SUPERSEDED, "left"
        if person.unread == 0:
            return State.SUPERSEDED, "recalled"
        if notice.derived and person.muted:
            return State.SUPPRESSED, "muted"
    if now >= notice.expires_at:
        return _expiry(case)
    if case.class_.consent is not None and case.class_.consent not in person.consents:
        return State.SUPPRESSED, "consent"
    if person.preference.off and not case.class_.mandatory:
        return State.SUPPRESSED, "preference"
    if case.is_received and all(step.unless == "delivered" for step in case.class_.ladder):
        return State.DELIVERED, ""
    return None


def _quiet(case: Case, now: datetime, until: datetime) -> Decision:
    """Nothing is sent; but asking what became of a message disturbs nobody."""
    decision = Decision(next_at=until)
    for each in _latest(case.attempts):
        if each.state is AttemptState.UNKNOWN and not is_repeated(case, each, now):
            inquire(decision, each, now)
    return decision


def _expiry(case: Case) -> tuple[State, str]:
    """Too late for anything more; what was sent before decides."""
    sent = [each for each in case.attempts if each.sent_at is not None]
    if not sent and not case.is_received:
        return State.EXPIRED, "too_late"
    return _outcome(case, _latest(case.attempts))


def _outcome(case: Case, attempts: Sequence[Attempt]) -> tuple[State, str]:
    """How a notice ends whose ladder has nothing left."""
    states = {each.state for each in attempts}
    if case.is_received:
        return State.DELIVERED, ""
    if states & {AttemptState.ACCEPTED, AttemptState.UNKNOWN}:
        return State.UNCONFIRMED, "no_receipt"
    codes = [each.code for each in attempts if each.code]
    if states <= {AttemptState.SUPPRESSED, AttemptState.SUPERSEDED}:
        return State.SUPPRESSED, codes[-1] if codes else "no_ladder"
    return State.FAILED, codes[-1] if codes else "refused"


def _end(case: Case, state: State, reason: str) -> Decision:
    decision = Decision(end=state, reason=reason)
    left = AttemptState.EXPIRED if reason == "too_late" or state is State.EXPIRED else AttemptState.SUPERSEDED
    decision.marks += [
        Mark(attempt=each.id, state=left, code=state.value)
        for each in _latest(case.attempts)
        if each.state is AttemptState.RETRY
    ]
    if state in (State.SEEN, State.SUPERSEDED):
        decision.withdraws = _showing(case.attempts)
    return decision


def _lost(case: Case, now: datetime) -> tuple[list[Mark], Case]:
    """Calls whose worker died: whether they reached the provider, nobody knows. Also the case with them marked so."""
    receipt_s = {(name, way.provider): way.receipt_s for name, ways in case.ways.items() for way in ways}
    marks, attempts = [], []
    for each in case.attempts:
        if each.state is AttemptState.LEASED:
            until = (each.sent_at or now) + timedelta(seconds=receipt_s.get((each.channel, each.provider), 0))
            marks.append(
                Mark(attempt=each.id, state=AttemptState.UNKNOWN, code="worker_lost", next_at=now, receipt_until=until)
            )
            each = msgspec.structs.replace(
                each, state=AttemptState.UNKNOWN, code="worker_lost", next_at=now, receipt_until=until
            )
        attempts.append(each)
    return marks, msgspec.structs.replace(case, attempts=attempts)


def _showing(attempts: Sequence[Attempt]) -> list[Attempt]:
    return [
        each
        for each in attempts
        if each.channel in WITHDRAWABLE
        and each.state in (AttemptState.ACCEPTED, AttemptState.UNKNOWN)
        and each.withdrawn_at is None
    ]


def _climb(case: Case, now: datetime) -> Decision:
    decision = Decision()
    is_urgent = case.class_.lane == "urgent"
    failed = True  # an urgent ladder does not wait where all before has failed
    for number, step in enumerate(case.class_.ladder):
        rows = [each for each in case.attempts if each.step == number]
        if rows:
            failed = go_on(decision, case, step, rows, now) and failed
            continue
        due = case.notice.begins_at + timedelta(seconds=step.after_s)
        if now < due and not (is_urgent and failed and number > 0):
            decision.wait(due)
            failed = False
            continue
        failed = start(decision, case, number, step) and failed
    if decision.sends or decision.settles or decision.next_at is not None:
        decision.wait(case.notice.expires_at)
        return decision
    decision.end, decision.reason = _outcome(case, _as_marked(case, decision))
    return decision


def _as_marked(case: Case, decision: Decision) -> list[Attempt]:
    """The attempts as they are after this decision."""
    marks = {mark.attempt: mark for mark in decision.marks}
    shown = [
        msgspec.structs.replace(each, state=marks[each.id].state, code=marks[each.id].code)
        if each.id in marks
        else each
        for each in case.attempts
    ]
    noted = [
        Attempt(
            id="",
            step=note.step,
            channel=note.channel,
            provider="",
            address="",
            number=1,
            state=note.state,
            code=note.code,
        )
        for note in decision.notes
    ]
    return [*_latest(shown), *noted]


def _latest(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Without those that were followed by another call of the same provider for the same address."""
    latest: dict[tuple[int, str, str], Attempt] = {}
    for each in sorted(attempts, key=lambda attempt: attempt.number):
        latest[each.step, each.provider, each.address] = each
    return list(latest.values())
