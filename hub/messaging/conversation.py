"""A conversation and its members without I/O: what they are, how they are shown, and who may do what to them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from hub.messaging.model import STAFF_ROLES, Entry, Kind
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

TITLE_CHARS = 100


class Role(StrEnum):
    """A member's place in a conversation; not to be confused with the role of an account."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    READER = "reader"


class State(StrEnum):
    OPEN = "open"
    READ_ONLY = "read_only"


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A row as stored: the title is sealed."""

    id: str
    kind: str
    title: bytes | None
    subject: str | None
    policy: dict[str, Any]  # Any: JSON; the one key known here is `history`
    state: str
    head: int
    members_version: int
    updated_at: datetime

    def seals_for(self, sender: str | None) -> str:
        """Whose key seals: the patient's in care, one's own in the inbox, else the author's; the conversation's own for
        system entries."""
        if self.kind in (Kind.CARE, Kind.INBOX) and self.subject is not None:
            return self.subject
        return sender or self.id


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One person's place. They see the entries `from_seq` to `to_seq`; no `to_seq` while they are in."""

    user: str
    role: str
    from_seq: int
    to_seq: int | None
    delivered_seq: int
    read_seq: int
    muted: bool
    pinned: bool

    @property
    def active(self) -> bool:
        return self.to_seq is None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who could become a member; `known`: shares a conversation with who is asking."""

    id: str
    role: str
    known: bool


class MemberView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A member as the other members see them."""

    user: str
    name: str
    avatar: str
    role: str
    delivered_seq: int
    read_seq: int
    from_seq: int


class Summary(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A conversation in the list of one member. A direct one is titled with the other's name.

    `unread`: others' entries after `read_seq`. `last_entry`: the newest that is no operation, as it reads now.
    """

    id: str
    kind: str
    title: str
    state: str
    head: int
    unread: int
    read_seq: int
    delivered_seq: int
    from_seq: int
    role: str
    muted: bool
    pinned: bool
    member_count: int
    members_version: int
    updated_at: str
    last_entry: Entry | None


class Detail(Summary, frozen=True, rename="camel", kw_only=True):
    """One conversation, with everybody who is in it."""

    members: Sequence[MemberView]


ALL_ROLES = frozenset({"patient", "companion", "doctor", "staff", "admin"})
CARE_ROLES = frozenset({"patient", "companion", "doctor", "staff"})
STAFF_ONLY = frozenset({"staff"})

# Role of who asks → whom they may address at any time, and whom once they share a conversation.
REACH: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "patient": (STAFF_ONLY, CARE_ROLES),
    "companion": (STAFF_ONLY, CARE_ROLES),
    "doctor": (ALL_ROLES, ALL_ROLES),
    "staff": (ALL_ROLES, ALL_ROLES),
    "admin": (ALL_ROLES, ALL_ROLES),
}

# What people start themselves, and who may; the other kinds are opened by code.
CREATORS: dict[str, frozenset[str]] = {
    Kind.DIRECT: ALL_ROLES,
    Kind.GROUP: frozenset({"doctor", "staff", "admin"}),
}

RANK: dict[str, int] = {Role.READER: 0, Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}
HUB_STAFF_RANK = 3


def may_create(kind: str, role: str) -> bool:
    return role in CREATORS.get(kind, frozenset())


def may_reach(role: str, other: Person) -> bool:
    """Whether somebody with this account role may bring `other` into a conversation."""
    always, once_known = REACH.get(role, (frozenset[str](), frozenset[str]()))
    return other.role in (once_known if other.known else always)


def rank(member: Member | None, role: str) -> int:
    """How far somebody's word goes in a conversation; hub staff need not be members to manage it."""
    if role in STAFF_ROLES:
        return HUB_STAFF_RANK
    return RANK[member.role] if member is not None and member.active else -1


def permit_seen(member: Member | None) -> Member:
    """A conversation one is not in does not exist. Raises `Refusal`."""
    if member is None or not member.active:
        raise not_found()
    return member


def permit_known(member: Member | None, role: str) -> None:
    """Only its members, and hub staff for managing it, learn that a conversation exists. Raises `Refusal`."""
    if rank(member, role) < 0:
        raise not_found()


def permit_manage(conversation: Conversation, member: Member | None, role: str) -> int:
    """Members and title of a group: its owner, its admins and hub staff. Answers the rank; raises `Refusal`."""
    permit_known(member, role)
    standing = rank(member, role)
    if conversation.kind != Kind.GROUP or standing < RANK[Role.ADMIN]:
        raise Refusal(ErrorCode.FORBIDDEN)
    return standing


def permit_remove(standing: int, removed: Collection[Member]) -> None:
    """Only who stands below oneself. Raises `Refusal`."""
    if any(RANK[member.role] >= standing for member in removed):
        raise Refusal(ErrorCode.FORBIDDEN, fields={"members": "members_rank"})


def permit_leave(conversation: Conversation, member: Member | None) -> Member:
    """Out of a group one may walk; care follows its order, and a direct one has always two. Raises `Refusal`."""
    leaving = permit_seen(member)
    if conversation.kind != Kind.GROUP:
        raise Refusal(ErrorCode.FORBIDDEN)
    return leaving


def permit_role(standing: int, target: Member | None, role: str) -> Member:
    """The owner and hub staff give roles; ownership is handed over, never just taken away. Raises `Refusal`."""
    if standing < RANK[Role.OWNER]:
        raise Refusal(ErrorCode.FORBIDDEN)
    if target is None or not target.active:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"user": "members_not_in"})
    if target.role == Role.OWNER and role != Role.OWNER:
        raise Refusal(ErrorCode.CONFLICT, fields={"role": "members_owner"})
    return target


def sees_from(conversation: Conversation, joined_at_seq: int) -> int:
    """The first entry for a new member: in care the first of all, else that of their joining; the policy may differ."""
    default = "all" if conversation.kind in (Kind.CARE, Kind.BROADCAST) else "join"
    return 1 if conversation.policy.get("history", default) == "all" else joined_at_seq


def heir(members: Sequence[Member]) -> Member | None:
    """Who owns a group that has no owner left: the first admin, else the first member, in the order given."""
    if any(member.role == Role.OWNER for member in members):
        return None
    for wanted in (Role.ADMIN, Role.MEMBER, Role.READER):
        found = next((member for member in members if member.role == wanted), None)
        if found is not None:
            return found
    return None


def named_once(members: Sequence[str]) -> list[str]:
    """The people named in a request. Raises `Refusal` for one who cannot exist or is named twice."""
    seen: set[str] = set()
    for position, user in enumerate(members):
        if not is_id(user) or user in seen:
            reason = "members_twice" if user in seen else "members_unknown"
            raise Refusal(ErrorCode.INVALID, fields={f"members[{position}]": reason})
        seen.add(user)
    if not seen:
        raise Refusal(ErrorCode.INVALID, fields={"members": "field_required"})
    return list(members)


def others_named(members: Sequence[str], actor: str) -> list[str]:
    """The same without the asker, who is in anyway."""
    others = [user for user in named_once(members) if user != actor]
    if not others:
        raise Refusal(ErrorCode.INVALID, fields={"members": "field_required"})
    return others


def check_size(count: int, limit: int) -> None:
    if count > limit:
        raise Refusal(ErrorCode.INVALID, fields={"members": f"at most {limit}"})


def checked_title(title: str | None) -> str:
    """A group has a name. Raises `Refusal`."""
    stripped = (title or "").strip()
    if not stripped or len(stripped) > TITLE_CHARS:
        raise Refusal(ErrorCode.INVALID, fields={"title": "title_invalid"})
    return stripped


def check_people(named: Sequence[str], others: Collection[str], people: Collection[Person], role: str) -> None:
    """Each of `others` must exist and be within reach; `named` is the request, for the positions. Raises `Refusal`."""
    by_id = {person.id: person for person in people}
    positions = [(position, user) for position, user in enumerate(named) if user in others]
    if unknown := [position for position, user in positions if user not in by_id]:
        raise Refusal(ErrorCode.INVALID, fields={f"members[{position}]": "members_unknown" for position in unknown})
    if barred := [position for position, user in positions if not may_reach(role, by_id[user])]:
        fields = {f"members[{position}]": "members_out_of_reach" for position in barred}
        raise Refusal(ErrorCode.FORBIDDEN, fields=fields)


def direct_key(one: str, other: str) -> str:
    """One direct conversation per pair, whoever starts it."""
    return ":".join(sorted((one, other)))


def not_found() -> Refusal:
    return Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})
