"""The ledger of notices: what staff, and the people they are for, are shown of them, and the rules of asking. No I/O."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from hub.notices.model import AttemptState, State
from hub.notices.notice_class import NoticeClass
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

EXPORT_DAYS = 31
_ZONE = ZoneInfo("Asia/Shanghai")  # of a date without a time

SocketState = Literal["none", "accepted", "delivered", "seen"]
StepState = Literal["taken", "skipped", "waiting", "not_reached"]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which notices; all that is named must hold."""

    user: str | None = None
    conversation: str | None = None
    broadcast: str | None = None
    state: State | None = None
    class_: str | None = None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a list: those older than `before`, and newer than `after`; with `after` alone the oldest of them."""

    after: str | None = None
    before: str | None = None
    limit: int = 20

    @property
    def is_upward(self) -> bool:
        return self.after is not None and self.before is None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as lists show it."""

    id: str
    user: str
    name: str
    class_: str
    state: State
    reason: str
    subject: str
    conversation: str | None
    upto_seq: int | None
    broadcast: str | None
    created_at: datetime
    begins_at: datetime
    expires_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None
    seen_at: datetime | None
    ended_at: datetime | None


class Lines(msgspec.Struct, frozen=True):
    """A stretch, the newest first; `following`: what to give as `before`, or as `after` of an upward one, to go on; None at the end."""

    items: Sequence[Line]
    following: str | None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `notice_attempts` as the ledger shows it. `aside`: which retry put it aside; 0: it counts."""

    notice: str
    id: str
    step: int
    channel: str
    provider: str
    address: str
    number: int
    state: AttemptState
    code: str
    detail: str
    provider_id: str
    aside: int
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    next_at: datetime | None
    receipt_until: datetime | None
    withdrawn_at: datetime | None


class SocketStep(msgspec.Struct, frozen=True):
    """How far it came over the socket, which needs no provider: by the cursors of the person in the conversation."""

    state: SocketState
    accepted_at: datetime | None
    delivered_at: datetime | None
    seen_at: datetime | None


class StepStory(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder. `reason`: the code of why it was not taken, or of how its last call ended."""

    step: int
    channel: str
    due_at: datetime | None
    state: StepState
    reason: str
    attempts: Sequence[Tried]


class Story(msgspec.Struct, frozen=True):
    """Everything that is known of one notice."""

    line: Line
    socket: SocketStep
    steps: Sequence[StepStory]


def story_of(line: Line, cursors: tuple[int, int], chosen: NoticeClass, attempts: Sequence[Tried]) -> Story:
    """`cursors`: up to where devices of the person hold the conversation, and up to where they have read it."""
    channels: dict[int, str] = {number: step.channel for number, step in enumerate(chosen.ladder)}
    channels.update({each.step: each.channel for each in attempts})  # the class may have changed since
    waits = {number: timedelta(seconds=step.after_s) for number, step in enumerate(chosen.ladder)}
    steps = [
        _step(line, number, channel, waits.get(number), [each for each in attempts if each.step == number])
        for number, channel in sorted(channels.items())
    ]
    return Story(line, _socket(line, *cursors), steps)


def _step(line: Line, number: int, channel: str, wait: timedelta | None, rows: Sequence[Tried]) -> StepStory:
    state, reason = _outcome(line, [each for each in rows if each.aside == 0])
    due_at = None if wait is None else line.begins_at + wait
    return StepStory(step=number, channel=channel, due_at=due_at, state=state, reason=reason, attempts=rows)


def _outcome(line: Line, counting: Sequence[Tried]) -> tuple[StepState, str]:
    if not counting:
        return ("waiting", "") if line.state is State.OPEN else ("not_reached", line.reason or line.state.value)
    is_taken = any(each.sent_at is not None for each in counting)
    return ("taken" if is_taken else "skipped"), counting[-1].code


def _socket(line: Line, delivered_seq: int, read_seq: int) -> SocketStep:
    if line.upto_seq is None:
        return SocketStep("none", None, None, None)
    state: SocketState = "accepted"
    if line.seen_at is not None or read_seq >= line.upto_seq:
        state = "seen"
    elif delivered_seq >= line.upto_seq:
        state = "delivered"
    return SocketStep(state, line.created_at, line.delivered_at, line.seen_at)


def check(search: Search, stretch: Stretch, classes: Collection[str]) -> None:
    """Refused with the name of everything that is wrong."""
    ids = {"user": search.user, "conversation": search.conversation, "broadcast": search.broadcast}
    faults = {name: "notice_id_invalid" for name, value in ids.items() if value is not None and not is_id(value)}
    cursors = {"after": stretch.after, "before": stretch.before}
    faults |= {name: "cursor_invalid" for name, value in cursors.items() if value is not None and not is_id(value)}
    if search.class_ is not None and search.class_ not in classes:
        faults["class"] = "notice_class_unknown"
    if faults:
        raise Refusal(ErrorCode.INVALID, fields=faults)


def described(search: Search) -> str:
    """For the audit: what was asked for. Short, for all of it was checked."""
    given = {name.rstrip("_"): value for name, value in msgspec.structs.asdict(search).items() if value is not None}
    return " ".join(f"{name}={value}" for name, value in given.items())


def state_of(name: str | None) -> State | None:
    """The state that a query names. Raises `Refusal`."""
    if name is None:
        return None
    if name not in State.__members__.values():
        raise Refusal(ErrorCode.INVALID, fields={"state": "notice_state_unknown"})
    return State(name)


class Period(msgspec.Struct, frozen=True):
    """From a moment, up to another that is not part of it."""

    since: datetime
    until: datetime


def period_of(since: str, until: str) -> Period:
    """What an export is asked for: moments in RFC 3339, or dates, which begin at midnight in China. Raises `Refusal`."""
    read = {"from": _moment(since), "to": _moment(until)}
    if faults := {name: "notice_moment_invalid" for name, moment in read.items() if moment is None}:
        raise Refusal(ErrorCode.INVALID, fields=faults)
    start, end = read["from"], read["to"]
    assert start is not None
    assert end is not None
    if end <= start:
        raise Refusal(ErrorCode.INVALID, fields={"to": "notice_period_order"})
    if end - start > timedelta(days=EXPORT_DAYS):
        raise Refusal(ErrorCode.INVALID, fields={"to": "notice_period_long"})
    return Period(start, end)


def _moment(text: str) -> datetime | None:
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(), _ZONE).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def least_id(at: datetime) -> str:
    """The smallest identifier that something made at this moment can have (RFC 9562, section 5.7: it begins with the milliseconds)."""
    text = f"{max(0, int(at.timestamp() * 1000)) << 80:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
