"""How the ledger looks over HTTP: to staff, and to the people whom notices are for."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from hub.accounts.admin import may_see_phones
from hub.notices.ledger import Line, SocketStep, StepState, StepStory, Story, Tried
from hub.notices.model import AttemptState, State
from hub.platform.clock import rfc3339
from hub.platform.http import current_language
from hub.platform.text import TEXTS, text
from hub.security.masking import name_for
from hub.security.token import Principal


class LineView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A notice as staff see it; `reason` is a code, `why` says it. The name is masked but for admins."""

    id: str
    user: str
    name: str
    class_: str = msgspec.field(name="class")
    state: State
    reason: str
    why: str
    subject: str
    conversation: str | None
    seq: int | None
    broadcast: str | None
    created_at: str
    begins_at: str
    expires_at: str
    next_at: str | None
    delivered_at: str | None
    seen_at: str | None
    ended_at: str | None


class AttemptView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One call of a provider, or why there was none. `address` names a row, never what is in it; `aside`: which retry put it aside."""

    id: str
    provider: str
    address: str
    number: int
    state: AttemptState
    code: str
    why: str
    detail: str
    provider_id: str
    aside: int
    at: str
    sent_at: str | None
    settled_at: str | None
    next_at: str | None
    receipt_until: str | None
    withdrawn_at: str | None


class StepView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One rung of the ladder."""

    step: int
    channel: str
    state: StepState
    due_at: str | None
    reason: str
    why: str
    attempts: Sequence[AttemptView]


class SocketView(msgspec.Struct, frozen=True, rename="camel"):
    """How far it came without any provider."""

    state: str
    accepted_at: str | None
    delivered_at: str | None
    seen_at: str | None


class SeenView(msgspec.Struct, frozen=True):
    """Who saw it; `at` is null where they have read it but nobody has written down when."""

    user: str
    name: str
    at: str | None


class StoryView(msgspec.Struct, frozen=True):
    """All of one notice."""

    notice: LineView
    socket: SocketView
    steps: Sequence[StepView]
    seen: SeenView | None


class MineView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One of my notices."""

    id: str
    class_: str = msgspec.field(name="class")
    title: str
    state: State
    at: str
    conversation: str | None
    seq: int | None
    seen: bool
    seen_at: str | None


class MyNotices(msgspec.Struct, frozen=True, rename="camel"):
    """A stretch, and my inbox: `unread` is exact up to a thousand; a greater `version` is the newer count."""

    items: Sequence[MineView]
    next_cursor: str | None
    unread: int
    version: int


class Unread(msgspec.Struct, frozen=True):
    """Of my inbox, as in `MyNotices`."""

    unread: int
    version: int


def why(code: str) -> str:
    """The sentence for a reason of ours; empty for a code of a provider."""
    return text(f"notice_why_{code}", current_language()) if f"notice_why_{code}" in TEXTS else ""


def line_of(line: Line, who: Principal) -> LineView:
    return LineView(
        id=line.id,
        user=line.user,
        name=_name(line, who),
        class_=line.class_,
        state=line.state,
        reason=line.reason,
        why=why(line.reason),
        subject=line.subject,
        conversation=line.conversation,
        seq=line.upto_seq,
        broadcast=line.broadcast,
        created_at=rfc3339(line.created_at),
        begins_at=rfc3339(line.begins_at),
        expires_at=rfc3339(line.expires_at),
        next_at=_time(line.next_at),
        delivered_at=_time(line.delivered_at),
        seen_at=_time(line.seen_at),
        ended_at=_time(line.ended_at),
    )


def story_view_of(story: Story, who: Principal) -> StoryView:
    line, socket = story.line, story.socket
    is_seen = socket.state == "seen" or line.seen_at is not None
    seen = SeenView(line.user, _name(line, who), _time(line.seen_at)) if is_seen else None
    return StoryView(line_of(line, who), _socket(socket), [_step(each) for each in story.steps], seen)


def mine_of(line: Line, title: str) -> MineView:
    """`title`: of its class."""
    return MineView(
        id=line.id,
        class_=line.class_,
        title=title,
        state=line.state,
        at=rfc3339(line.created_at),
        conversation=line.conversation,
        seq=line.upto_seq,
        seen=line.seen_at is not None,
        seen_at=_time(line.seen_at),
    )


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _name(line: Line, who: Principal) -> str:
    return name_for(line.name, allowed=may_see_phones(who))


def _socket(socket: SocketStep) -> SocketView:
    return SocketView(socket.state, _time(socket.accepted_at), _time(socket.delivered_at), _time(socket.seen_at))


def _step(step: StepStory) -> StepView:
    return StepView(
        step=step.step,
        channel=step.channel,
        state=step.state,
        due_at=_time(step.due_at),
        reason=step.reason,
        why=why(step.reason),
        attempts=[_attempt(each) for each in step.attempts],
    )


def _attempt(tried: Tried) -> AttemptView:
    return AttemptView(
        id=tried.id,
        provider=tried.provider,
        address=tried.address,
        number=tried.number,
        state=tried.state,
        code=tried.code,
        why=why(tried.code),
        detail=tried.detail,
        provider_id=tried.provider_id,
        aside=tried.aside,
        at=rfc3339(tried.created_at),
        sent_at=_time(tried.sent_at),
        settled_at=_time(tried.settled_at),
        next_at=_time(tried.next_at),
        receipt_until=_time(tried.receipt_until),
        withdrawn_at=_time(tried.withdrawn_at),
    )
