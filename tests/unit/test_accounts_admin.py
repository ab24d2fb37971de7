"""What an admin may change of an account, and what follows from it."""

from datetime import UTC, datetime

import msgspec
import pytest

from hub.accounts.admin import Account, Change, check_reader, check_writer, described, differences, ends_sessions
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.token import Principal

ADMIN = Principal(new_id(), new_id(), "admin", 0.0)
ACCOUNT = Account(new_id(), "13800138000", "张三", "", "patient", "basic", "active", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "changed", "ends"),
    [
        (Change(), {}, False),
        (Change(status="active", role="patient", membership_level="basic", name=" 张三 "), {}, False),
        (Change(membership_level="premium"), {"membership_level": "premium"}, False),
        (Change(name="李四"), {"name": "李四"}, False),
        (Change(role="doctor"), {"role": "doctor"}, True),
        (Change(status="suspended"), {"status": "suspended"}, True),
        (Change(status="inactive"), {"status": "inactive"}, True),
    ],
)
def test_only_what_differs_is_changed(change: Change, changed: dict[str, str], ends: bool) -> None:
    """Sessions end with a role, and with being active."""
    assert differences(ACCOUNT, change, ADMIN) == changed
    assert ends_sessions(changed) is ends


def test_becoming_active_again_ends_nothing() -> None:
    """There is nothing to end."""
    suspended = msgspec.structs.replace(ACCOUNT, status="suspended")

    assert not ends_sessions(differences(suspended, Change(status="active"), ADMIN))


def test_an_admin_keeps_their_own_status_and_role() -> None:
    """What stays the same is no change; a name may be another."""
    own = msgspec.structs.replace(ACCOUNT, id=ADMIN.user, role="admin")
    for change in (Change(status="suspended"), Change(status="inactive"), Change(role="staff")):
        with pytest.raises(Refusal) as caught:
            differences(own, change, ADMIN)
        assert (caught.value.code, caught.value.text) == (ErrorCode.FORBIDDEN, "admin_self")

    assert differences(own, Change(status="active", name="李四"), ADMIN) == {"name": "李四"}


def test_the_audit_says_what_it_is_now_but_no_name() -> None:
    """In one order."""
    assert described({"status": "suspended", "name": "李四", "role": "staff"}) == "name role=staff status=suspended"


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("patient", False, False),
        ("companion", False, False),
        ("doctor", False, False),
        ("staff", True, False),
        ("admin", True, True),
    ],
)
def test_staff_read_and_admins_write(role: str, reads: bool, writes: bool) -> None:
    """Nobody else."""
    who = Principal(new_id(), new_id(), role, 0.0)
    for check, allowed in ((check_reader, reads), (check_writer, writes)):
        if allowed:
            check(who)
            continue
        with pytest.raises(Refusal):
            check(who)
