"""A claimed notice on its way through a worker: what the rules want, the calls for it, and what is written down afterwards. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from channels.port import Channel, Message
from hub.notices.decision import Case, Decision, Mark, Send
from hub.notices.ladder import decide
from hub.notices.message import Writer
from hub.notices.model import Attempt, AttemptState, Person
from hub.notices.notice_class import NoticeClass
from hub.notices.outcome import Call, applied
from hub.notices.record import Result, Told
from hub.notices.store import Claimed
from hub.platform.identifier import is_id, new_id

LEAVE = timedelta(seconds=30)  # to a process of a newer version, while a rollout goes on


@dataclass(slots=True)
class Plan:
    """A claimed notice on its way through."""

    claimed: Claimed
    case: Case
    decision: Decision
    writer: Writer
    began: float = 0.0
    """The worker's monotonic time at the claim: times that are written down go on from the database's."""
    is_slow: bool = False
    """It takes so long that its place was given to another."""
    is_left: bool = False
    """Nothing is decided here: a newer process will."""
    calls: list[tuple[Send, Message, Channel]] = field(default_factory=list)
    held: set[tuple[int, str, str]] = field(default_factory=set)
    """Step, provider and address of those that a limit keeps back."""
    held_until: datetime | None = None
    """A provider's limit keeps some of its calls back until then."""

    def hold(self, send: Send, seconds: float) -> None:
        """A limit keeps this call back for so long; whatever else is due meanwhile is not kept back with it."""
        until = self.claimed.now + timedelta(seconds=seconds)
        self.held_until = min(self.held_until or until, until)
        self.held.add(place_of(send))


def plan_of(
    claimed: Claimed, classes: Mapping[str, NoticeClass], writer: Writer, texts_per_day: int, began: float
) -> Plan:
    """What is to be done with it now. One of a class or template that only a newer version knows is given back, until it expires."""
    person = _with_quota(claimed, writer)
    case = Case(
        notice=claimed.notice,
        class_=classes.get(claimed.notice.class_, classes["system"]),
        person=person,
        attempts=claimed.attempts,
        ways=writer.ways(claimed.notice, person),
        texts_per_day=texts_per_day,
    )
    is_known = claimed.notice.class_ in classes and writer.knows(claimed.notice.template)
    if is_known or claimed.now >= claimed.notice.expires_at:
        return Plan(claimed, case, decide(case, claimed.now), writer, began)
    return Plan(claimed, case, Decision(next_at=claimed.now + LEAVE), writer, began, is_left=True)


def _with_quota(claimed: Claimed, writer: Writer) -> Person:
    """Whom it is for, with what is left of WeChat's quota for the template that this notice would use."""
    person = claimed.person
    template = writer.template(claimed.notice, person, "wechat")
    addresses = person.addresses.get("wechat")
    if not addresses or template is None or template.provider_template in writer.long_term:
        return person
    left = addresses[0].extra.get(f"quota:{template.provider_template}", "0")
    bound = [msgspec.structs.replace(addresses[0], extra={"remaining": left})]
    return msgspec.structs.replace(person, addresses={**person.addresses, "wechat": bound})


def message_of(plan: Plan, send: Send) -> Message | None:
    claimed = plan.claimed
    return plan.writer.write(
        claimed.notice, plan.case.person, send.channel, send.address, step=send.step, attempt=new_id(), now=claimed.now
    )


def rewritten(plan: Plan, attempt: Attempt) -> tuple[Channel, Message] | None:
    """The message of an earlier attempt, as far as it can still be told."""
    channel = plan.writer.channel(attempt.provider)
    addresses = plan.case.person.addresses.get(attempt.channel, [])
    address = next((each for each in addresses if each.id == attempt.address), None)
    if channel is None or address is None:
        return None
    message = plan.writer.write(
        plan.claimed.notice,
        plan.case.person,
        attempt.channel,
        address,
        step=attempt.step,
        attempt=attempt.id,
        now=plan.claimed.now,
    )
    return None if message is None else (channel, message)


def place_of(send: Send) -> tuple[int, str, str]:
    return send.step, send.provider, send.address.id


def quota_of(send: Send, message: Message) -> tuple[str, str] | None:
    is_counted = send.channel == "wechat" and "remaining" in send.address.extra
    return (send.address.value, message.content.template) if is_counted else None


def call_of(plan: Plan, send: Send, message: Message, channel: Channel, sent_at: datetime) -> Call:
    attempt = Attempt(
        id=message.attempt,
        step=send.step,
        channel=send.channel,
        provider=send.provider,
        address=send.address.id,
        number=send.number,
        state=AttemptState.LEASED,
        sent_at=sent_at,
    )
    return Call(
        attempt=attempt,
        repeats=channel.may_repeat(message),
        receipt_s=channel.receipt_s,
        address_row=is_id(send.address.id),
        quota=quota_of(send, message),
        after_unknown=any(
            (each.step, each.provider, each.address) == place_of(send) and each.state is AttemptState.UNKNOWN
            for each in plan.case.attempts
        ),
    )


def result_of(plan: Plan, calls: Sequence[Call], told: Sequence[Told]) -> Result:
    """What is written down: the calls, and what the rules make of the notice now that they have come back."""
    notice, decision = plan.claimed.notice, plan.decision
    after = decision
    marks, notes = list(decision.marks), list(decision.notes)
    if decision.end is None and not plan.is_left:
        after = _after(plan, calls, told)
        marks += [mark for mark in after.marks if mark.attempt not in {each.attempt for each in marks}]
        notes += after.notes
    fresh = bool(after.settles) or any(place_of(each) not in plan.held for each in after.sends)
    next_at = None if fresh else after.next_at  # of the next step, or of the end
    if plan.held_until is not None and not fresh:
        next_at = min(next_at or plan.held_until, plan.held_until)
    settled = {each.attempt for each in told}
    return Result(
        notice=notice.id,
        class_=notice.class_,
        lease=plan.claimed.lease,
        claimed_at=plan.claimed.now,
        upto_seq=notice.upto_seq or 0,
        begun=bool(calls or notes or plan.case.attempts),
        end=after.end,
        reason=after.reason,
        next_at=next_at,
        told=told,
        notes=notes,
        marks=[mark for mark in marks if mark.attempt not in settled],
    )


def _after(plan: Plan, calls: Sequence[Call], told: Sequence[Told]) -> Decision:
    by_id = {each.attempt: each for each in told}
    marks = {mark.attempt: mark for mark in plan.decision.marks}
    earlier = [_as_known(each, by_id, marks) for each in plan.case.attempts]
    made = [applied(call.attempt, by_id[call.attempt.id]) for call in calls]
    noted = [
        Attempt(
            id=f"note-{note.step}",
            step=note.step,
            channel=note.channel,
            provider="",
            address="",
            number=1,
            state=note.state,
            code=note.code,
        )
        for note in plan.decision.notes
    ]
    case = msgspec.structs.replace(plan.case, attempts=[*earlier, *made, *noted])
    return decide(case, max((each.sent_at for each in made if each.sent_at), default=plan.claimed.now))


def _as_known(attempt: Attempt, told: dict[str, Told], marks: dict[str, Mark]) -> Attempt:
    if attempt.id in told:
        return applied(attempt, told[attempt.id])
    mark = marks.get(attempt.id)
    if mark is None:
        return attempt
    return msgspec.structs.replace(
        attempt, state=mark.state, code=mark.code, next_at=mark.next_at, receipt_until=mark.receipt_until
    )
