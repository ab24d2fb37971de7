"""Who may act for whom, by both sides' will: the struct as one of the two sees it, and the rules of asking and answering.

A relation that was asked for by phone does not look whether anybody has that phone: who asked sees nothing of the other
side until it is accepted, so that asking is no way to find out who is registered.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from hub.accounts.model import checked_phone
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

Kind = Literal["family", "caregiver"]
State = Literal["asked", "active", "declined", "ended"]
Shown = Literal["asked", "active", "declined", "ended", "expired"]
Direction = Literal["for_me", "for_them"]  # for_me: the other may act for me; for_them: I may act for the other

LONGEST = timedelta(days=3653)


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A relation as `viewer` sees it, who is one of the two."""

    id: str
    viewer: str
    kind: Kind
    state: State
    asked_by: str
    asked_phone: str | None
    person: str | None
    actor: str | None
    asked_at: datetime
    answered_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    other_name: str | None

    @property
    def asked_by_me(self) -> bool:
        return self.asked_by == self.viewer

    @property
    def other(self) -> str | None:
        """The other of the two; None where somebody was asked by phone and has not answered."""
        asked = self.actor if self.person == self.asked_by else self.person
        return asked if self.asked_by_me else self.asked_by

    @property
    def direction(self) -> Direction:
        asker_is_person = self.person == self.asked_by
        return "for_me" if asker_is_person == self.asked_by_me else "for_them"

    @property
    def other_is_shown(self) -> bool:
        """Who asked by phone learns who it is from the acceptance only."""
        was_active = self.state == "active" or (self.state == "ended" and self.answered_at is not None)
        return was_active or not self.asked_by_me or self.asked_phone is None

    def shown_state(self, now: datetime) -> Shown:
        over = self.expires_at is not None and self.expires_at <= now
        return "expired" if over and self.state in ("asked", "active") else self.state


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants of another, who is named by id or by phone."""

    user: str | None
    phone: str | None
    kind: Kind
    direction: Direction
    expires_at: datetime | None


def check_asking(asking: Asking, asker: str, asker_phone: str | None, now: datetime) -> None:
    """Refused naming the field."""
    if (asking.user is None) == (asking.phone is None):
        raise Refusal(ErrorCode.INVALID, fields={"userPhone": "relation_whom", "userId": "relation_whom"})
    if asking.phone is not None and checked_phone(asking.phone, "userPhone") == asker_phone:
        raise Refusal(ErrorCode.INVALID, fields={"userPhone": "relation_self"})
    if asking.user == asker:
        raise Refusal(ErrorCode.INVALID, fields={"userId": "relation_self"})
    if asking.user is not None and not is_id(asking.user):
        raise unknown_user()
    if asking.expires_at is not None and not now < asking.expires_at <= now + LONGEST:
        raise Refusal(ErrorCode.INVALID, fields={"expiresAt": "relation_expiry"})


def unknown_user() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, fields={"userId": "members_unknown"})


def is_repeated(existing: Relation, asking: Asking) -> bool:
    """Whether this was asked before, just so; otherwise it is refused as a conflict."""
    same = (existing.kind, existing.direction, existing.expires_at) == (
        asking.kind,
        asking.direction,
        asking.expires_at,
    )
    return same and existing.asked_by_me


def check_answer(relation: Relation, wanted: Literal["active", "declined"], now: datetime) -> bool:
    """Whether there is anything to do. Only who was asked may answer, once, and while it is not too late."""
    if relation.asked_by_me:
        raise Refusal(ErrorCode.FORBIDDEN, "relation_not_asked")
    shown = relation.shown_state(now)
    if shown == wanted:
        return False
    if shown != "asked":
        raise Refusal(ErrorCode.CONFLICT, f"relation_is_{shown}")
    return True
