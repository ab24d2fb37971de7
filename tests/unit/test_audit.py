"""Seals and links of the audit chain, and the walk over it, without a database."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.identifier import new_id
from hub.security.audit import CHAINS, Head, Row, chain_of, link, seal
from hub.security.audit_check import Broken, Fault, Finding, Link, Outcome, Walk, described, note, noted

KEY = b"k" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
HEADS = {chain: Head(chain, bytes([chain]) * 32 if chain else b"") for chain in range(CHAINS)}


def row(action: str = "health.read", seen: Head | None = None) -> Row:
    seen = seen or Head()
    return Row(
        chain=3,
        id=new_id(),
        at=NOW,
        actor=new_id(),
        person=new_id(),
        action=action,
        subject="blood_pressure",
        request_id="req_1",
        seen_number=seen.number,
        seen_hash=seen.hash,
    )


def chain(length: int) -> list[Link]:
    """As the hub writes it: each row has seen the head before it."""
    links, at = [], Head()
    for _ in range(length):
        written = row(seen=at)
        sealed = seal(KEY, written)
        seen = at.hash if at.number else None
        at = Head(at.number + 1, link(at.hash, sealed))
        links.append(Link(number=at.number, row=written, seal=sealed, hash=at.hash, seen=seen))
    return links


def fault_of(links: list[Link], head: Head | None = None, noted: Head | None = None) -> tuple[int, Fault] | None:
    walk = Walk(KEY, noted)
    try:
        for each in links:
            walk.follow(each)
        walk.end(head or walk.at, walk.at.number)
    except Broken as broken:
        return broken.number, broken.fault
    return None


@given(st.integers(0, 8))
def test_a_chain_as_it_was_written_is_whole(length: int) -> None:
    """Of any length, none included."""
    assert fault_of(chain(length)) is None


@given(st.integers(2, 8), st.data())
def test_any_other_order_and_any_gap_shows(length: int, data: st.DataObject) -> None:
    """Whichever rows change places or are left out: nothing passes but the chain itself."""
    links = chain(length)
    places = data.draw(st.lists(st.integers(0, length - 1), unique=True, max_size=length))
    if places == list(range(length)):
        return
    shuffled = [msgspec.structs.replace(links[place], number=number) for number, place in enumerate(places, 1)]

    assert fault_of(shuffled, Head(length, links[-1].hash)) is not None


@pytest.mark.parametrize("field", Row.__struct_fields__)
def test_every_field_is_under_the_seal(field: str) -> None:
    """Whichever is changed, the seal is another; and with another key, too."""
    written = row()
    others: dict[type, object] = {int: 7, str: "x", bytes: b"x", datetime: NOW + timedelta(microseconds=1)}
    changed = msgspec.structs.replace(written, **{field: others[type(getattr(written, field))]})

    assert seal(KEY, changed) != seal(KEY, written)
    assert seal(b"o" * 32, written) != seal(KEY, written)


def test_fields_cannot_be_shifted_into_each_other() -> None:
    """What moves from one text to the next is another row."""
    written = row()
    shifted = msgspec.structs.replace(written, action="health.readb", subject="lood_pressure")

    assert seal(KEY, shifted) != seal(KEY, written)


def test_a_seal_does_not_depend_on_the_zone() -> None:
    """PostgreSQL answers in the session's zone; the moment is the same."""
    written = row()
    shanghai = msgspec.structs.replace(written, at=NOW.astimezone(timezone(timedelta(hours=8))))

    assert seal(KEY, shanghai) == seal(KEY, written)


def test_a_row_that_claims_to_have_seen_itself_or_later_is_refused() -> None:
    """Nobody sees ahead."""
    links = chain(3)
    ahead = row(seen=Head(3, links[2].hash))
    sealed = seal(KEY, ahead)
    forged = Link(number=3, row=ahead, seal=sealed, hash=link(links[1].hash, sealed), seen=links[2].hash)

    assert fault_of([*links[:2], forged]) == (3, Fault.REWRITTEN)


def test_a_noted_head_must_be_in_the_chain() -> None:
    """At its number, with its hash."""
    links = chain(3)

    assert fault_of(links, noted=Head(2, links[1].hash)) is None
    assert fault_of(links, noted=Head()) is None
    assert fault_of(links, noted=Head(2, links[2].hash)) == (2, Fault.UNNOTED)
    assert fault_of(links, noted=Head(4, links[2].hash)) == (3, Fault.UNNOTED)


def test_notes_come_back_as_they_were_written() -> None:
    """Chains without a row, too."""
    assert noted(note(HEADS)) == HEADS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        note(HEADS).partition("\n")[2],
        note(HEADS).replace("1 1 ", "1 one ", 1),
        note(HEADS) + "16 1 " + "0" * 64,
        note(HEADS)[:-2],
        "{}",
    ],
)
def test_notes_that_are_cut_or_none_are_refused(text: str) -> None:
    """They would prove nothing."""
    with pytest.raises(ValueError, match=r"chains|audit heads"):
        noted(text)


def test_people_are_spread_over_all_chains() -> None:
    """The same person always in the same one."""
    people = [new_id() for _ in range(500)]

    assert {chain_of(person) for person in people} == set(range(CHAINS))
    assert chain_of(people[0]) == chain_of(people[0])


def test_the_outcome_is_readable() -> None:
    """One line, or one for each broken chain."""
    assert described(Outcome(12, [])) == "the audit is whole: 12 rows in 16 chains"
    assert described(Outcome(12, [Finding(3, 7, Fault.CHANGED)])).splitlines() == [
        "chain 3, row 7: the row was changed, or was not written by the hub",
        "the audit does not verify: 1 of 16 chains are broken",
    ]
