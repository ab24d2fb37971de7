"""A broadcast without I/O: whom it is for, how it moves from state to state, at which pace, and how far it has come."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hub.accounts.admin import Membership
from hub.accounts.model import Role
from hub.notices.notice_class import CLASSES
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

State = Literal["draft", "running", "paused", "done", "cancelled"]
Move = Literal["start", "pause", "resume", "cancel"]
BroadcastClass = Literal["marketing", "system"]

# What staff may do when. What is done can still be cancelled: its notices may be waiting for the morning.
MOVES: dict[Move, dict[State, State]] = {
    "start": {"draft": "running"},
    "pause": {"running": "paused"},
    "resume": {"paused": "running"},
    "cancel": dict.fromkeys(("draft", "running", "paused", "done"), "cancelled"),
}
PAST: dict[Move, str] = {"start": "started", "pause": "paused", "resume": "resumed", "cancel": "cancelled"}

CHUNK = 500  # users in one transaction: some 50 ms, so that nothing that waits for one of its rows waits longer
CATCH_UP = timedelta(seconds=2)  # a pace is kept over this time, though workers are woken only once a second
LONGEST_AHEAD = timedelta(days=366)

Users = Annotated[list[str], Meta(min_length=1, max_length=1000)]
Moment = Annotated[datetime, Meta(tz=True)]


class Segment(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Who is meant: all of these conditions hold. Without any it is everyone."""

    roles: Annotated[list[Role], Meta(min_length=1)] | None = None
    membership_levels: Annotated[list[Membership], Meta(min_length=1)] | None = None
    users: Users | None = None
    registered_after: Moment | None = None
    registered_before: Moment | None = None

    @property
    def is_list(self) -> bool:
        """Only these people, at most a thousand, whatever else must hold."""
        return self.users is not None


class Progress(msgspec.Struct, frozen=True):
    """What the rate and the time left are computed from."""

    state: State
    estimated: int
    looked_at: int
    busy_s: float
    per_s: int | None


def check_segment(segment: Segment) -> None:
    """What the types cannot say. Raises `Refusal` naming the field."""
    after, before = segment.registered_after, segment.registered_before
    if after is not None and before is not None and after >= before:
        raise Refusal(ErrorCode.INVALID, fields={"segment.registeredBefore": "broadcast_nobody"})
    seen: set[str] = set()
    for position, user in enumerate(segment.users or ()):
        if not is_id(user) or user in seen:
            reason = "members_twice" if user in seen else "members_unknown"
            raise Refusal(ErrorCode.INVALID, fields={f"segment.users[{position}]": reason})
        seen.add(user)


def check_start(starts_at: datetime | None, now: datetime) -> None:
    """A start that is planned lies ahead. Raises `Refusal`."""
    if starts_at is not None and not now < starts_at <= now + LONGEST_AHEAD:
        raise Refusal(ErrorCode.INVALID, fields={"startsAt": "broadcast_starts_at"})


def needs_admin(class_: str, segment: Segment) -> bool:
    """Whether starting one is more than staff may: people who never agreed to it, and more than somebody has named."""
    return CLASSES[class_].consent is None and not segment.is_list


def described(broadcast: str, class_: str, segment: Segment) -> str:
    """For the audit: what it is, and whom it is for. Of people who are named, how many: the row has their ids."""
    meant: dict[str, object] = msgspec.to_builtins(segment)
    if segment.users is not None:
        meant["users"] = len(segment.users)
    return f"{broadcast} {class_} {msgspec.json.encode(meant).decode()}"


def moved(state: State, move: Move) -> State:
    """The state after the move; any other move is a conflict and changes nothing. Raises `Refusal`."""
    after = MOVES[move].get(state)
    if after is None:
        raise Refusal(ErrorCode.CONFLICT, fields={"state": f"broadcast_is_{state}"})
    return after


def chunk_of(per_s: int | None) -> int:
    """How many are looked at in one transaction: at most what a second is good for."""
    return CHUNK if per_s is None else min(CHUNK, per_s)


def due_after(due: datetime, now: datetime, reached: int, per_s: int | None) -> datetime:
    """When the next chunk is due, after one that was due at `due` reached so many."""
    if per_s is None:
        return now
    return max(due, now - CATCH_UP) + timedelta(seconds=reached / per_s)


def per_second(progress: Progress) -> float | None:
    """People looked at in a second of work, or the pace if that is slower; None while nothing was measured."""
    if progress.looked_at == 0 or progress.busy_s <= 0:
        return None
    measured = progress.looked_at / progress.busy_s
    return min(measured, progress.per_s) if progress.per_s is not None else measured


def seconds_left(progress: Progress) -> int | None:
    """Until everybody was looked at, while it goes on like this; None when that cannot be known."""
    if progress.state in ("done", "cancelled"):
        return 0
    rate = per_second(progress)
    if progress.state != "running" or rate is None:
        return None
    return -(-max(0, progress.estimated - progress.looked_at) // max(1, round(rate)))
