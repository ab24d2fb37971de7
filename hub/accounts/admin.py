"""What staff may see and admins may change of an account: the structs and the rules. No I/O."""

from datetime import datetime
from typing import Literal

import msgspec

from hub.accounts.model import Role, checked_name
from hub.platform.error import ErrorCode, Refusal
from hub.security.token import Principal

Status = Literal["active", "inactive", "suspended"]
Membership = Literal["basic", "professional", "premium"]

READERS = ("staff", "admin")
WRITERS = ("admin",)


class Account(msgspec.Struct, frozen=True):
    id: str
    phone: str | None
    name: str
    avatar: str
    role: Role
    membership_level: Membership
    status: Status
    created_at: datetime


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is None stays as it is."""

    status: Status | None = None
    membership_level: Membership | None = None
    role: Role | None = None
    name: str | None = None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """`q` is a whole phone number, or how a name begins."""

    role: Role | None = None
    status: Status | None = None
    q: str | None = None


def check_reader(who: Principal) -> None:
    if who.role not in READERS:
        raise Refusal(ErrorCode.FORBIDDEN)


def check_writer(who: Principal) -> None:
    if who.role not in WRITERS:
        raise Refusal(ErrorCode.FORBIDDEN)


def may_see_phones(who: Principal) -> bool:
    return who.role in WRITERS


def differences(account: Account, change: Change, who: Principal) -> dict[str, str]:
    """Column → new value, of what the change makes different. Refused where an admin would lock themself out."""
    wanted: dict[str, str | None] = msgspec.structs.asdict(change)
    if change.name is not None:
        wanted["name"] = checked_name(change.name)
    changed = {
        column: value for column, value in wanted.items() if value is not None and value != getattr(account, column)
    }
    if account.id == who.user and not changed.keys().isdisjoint(("status", "role")):
        raise Refusal(ErrorCode.FORBIDDEN, "admin_self")
    return changed


def ends_sessions(changed: dict[str, str]) -> bool:
    """Who is not active may not stay signed in; and the role is in the token."""
    return "role" in changed or changed.get("status", "active") != "active"


def described(changed: dict[str, str]) -> str:
    """For the audit: what it is now; a name is only said to be another."""
    return " ".join(column if column == "name" else f"{column}={value}" for column, value in sorted(changed.items()))
