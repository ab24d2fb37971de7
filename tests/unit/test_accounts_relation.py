"""The rules of asking and answering who may act for whom, and what each side sees."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hub.accounts.relation import (
    LONGEST,
    Asking,
    Direction,
    Relation,
    Shown,
    State,
    check_answer,
    check_asking,
    is_repeated,
)
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
ME, OTHER = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
PHONE = "13800138000"


def relation(viewer: str = ME, asker: str = ME, state: State = "asked", **changes: Any) -> Relation:
    made = Relation(
        id=new_id(),
        viewer=viewer,
        kind="family",
        state=state,
        asked_by=asker,
        asked_phone=None,
        person=OTHER,
        actor=ME,
        asked_at=NOW,
        answered_at=None,
        expires_at=None,
        ended_at=None,
        other_name="李小四",
    )
    return msgspec.structs.replace(made, **changes)


def asking(**changes: Any) -> Asking:
    made = Asking(user=OTHER, phone=None, kind="family", direction="for_them", expires_at=None)
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("asker", "viewer", "direction"),
    [(ME, ME, "for_them"), (ME, OTHER, "for_me"), (OTHER, ME, "for_them"), (OTHER, OTHER, "for_me")],
)
def test_each_side_sees_the_direction_from_its_own(asker: str, viewer: str, direction: Direction) -> None:
    """I act for the other, whoever asked."""
    seen = relation(viewer, asker)

    assert (seen.direction, seen.other) == (direction, OTHER if viewer == ME else ME)


@pytest.mark.parametrize(("side", "direction"), [("actor", "for_me"), ("person", "for_them")])
def test_who_was_asked_by_phone_is_nobody_yet(side: str, direction: Direction) -> None:
    """The side that is not filled in."""
    sides: dict[str, Any] = {"person": ME, "actor": ME} | {side: None}
    seen = relation(asked_phone=PHONE, **sides)

    assert (seen.other, seen.direction, seen.other_is_shown) == (None, direction, False)


@pytest.mark.parametrize(
    ("state", "answered", "shown"),
    [
        ("asked", False, False),
        ("declined", True, False),
        ("ended", False, False),
        ("active", True, True),
        ("ended", True, True),
    ],
)
def test_the_asker_by_phone_learns_who_it_is_from_the_acceptance(state: State, answered: bool, shown: bool) -> None:
    """A refusal and a request that was taken back tell nothing."""
    seen = relation(state=state, asked_phone=PHONE, answered_at=NOW if answered else None)

    assert seen.other_is_shown is shown
    assert msgspec.structs.replace(seen, viewer=OTHER).other_is_shown
    assert msgspec.structs.replace(seen, asked_phone=None).other_is_shown


@pytest.mark.parametrize("state", ["asked", "active", "declined", "ended"])
def test_what_is_open_or_granted_expires(state: State) -> None:
    """At its time, not after it; what is over stays what it was."""
    over: Shown = "expired" if state in ("asked", "active") else state

    assert relation(state=state, expires_at=NOW + HOUR).shown_state(NOW) == state
    assert relation(state=state, expires_at=NOW).shown_state(NOW) == over


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"user": None}, {"userPhone", "userId"}),
        ({"phone": PHONE}, {"userPhone", "userId"}),
        ({"user": None, "phone": "12345"}, {"userPhone"}),
        ({"user": None, "phone": "13900139000"}, {"userPhone"}),
        ({"user": ME}, {"userId"}),
        ({"user": "李四"}, {"userId"}),
        ({"expires_at": NOW}, {"expiresAt"}),
        ({"expires_at": NOW + LONGEST + timedelta(microseconds=1)}, {"expiresAt"}),
    ],
)
def test_what_cannot_be_asked_is_refused_naming_the_field(changes: dict[str, Any], fields: set[str]) -> None:
    """Oneself, nobody, both ways of naming somebody, and a time that is over or too far."""
    with pytest.raises(Refusal) as caught:
        check_asking(asking(**changes), ME, "13900139000", NOW)

    assert set(caught.value.fields) == fields


@pytest.mark.parametrize("changes", [{}, {"user": None, "phone": PHONE}, {"expires_at": NOW + LONGEST}])
def test_what_can_be_asked_passes(changes: dict[str, Any]) -> None:
    """By id or by phone, for ever or up to ten years."""
    check_asking(asking(**changes), ME, None, NOW)


def test_a_wish_is_repeated_only_if_it_is_the_same() -> None:
    """By the same person, of the same kind, until the same time."""
    assert is_repeated(relation(), asking())
    assert not is_repeated(relation(asker=OTHER), asking())
    assert not is_repeated(relation(), asking(kind="caregiver"))
    assert not is_repeated(relation(), asking(expires_at=NOW + HOUR))


@pytest.mark.parametrize(
    ("state", "expires", "accepting", "declining"),
    [
        ("asked", HOUR, True, True),
        ("asked", timedelta(), "relation_is_expired", "relation_is_expired"),
        ("active", HOUR, False, "relation_is_active"),
        ("active", timedelta(), "relation_is_expired", "relation_is_expired"),
        ("declined", HOUR, "relation_is_declined", False),
        ("ended", HOUR, "relation_is_ended", "relation_is_ended"),
    ],
)
def test_an_answer_is_given_once(
    state: State, expires: timedelta, accepting: bool | str, declining: bool | str
) -> None:
    """True: to be done; False: done already; else the conflict that names the state."""
    seen = relation(asker=OTHER, state=state, expires_at=NOW + expires)

    for wanted, expected in (("active", accepting), ("declined", declining)):
        if isinstance(expected, bool):
            assert check_answer(seen, wanted, NOW) is expected  # type: ignore[arg-type]  # of the tuple above
            continue
        with pytest.raises(Refusal) as caught:
            check_answer(seen, wanted, NOW)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.text) == (ErrorCode.CONFLICT, expected)


@pytest.mark.parametrize("state", ["asked", "active", "declined", "ended"])
def test_who_asked_may_not_answer(state: State) -> None:
    """Whatever became of it."""
    with pytest.raises(Refusal) as caught:
        check_answer(relation(state=state), "active", NOW)

    assert caught.value.code is ErrorCode.FORBIDDEN
