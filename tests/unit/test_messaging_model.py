"""What may be sent, edited and recalled, and who may do what to a conversation."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.messaging import conversation as rules
from hub.messaging import model
from hub.messaging.conversation import ALL_ROLES, Conversation, Member, Person, Role
from hub.messaging.model import EntryType, Kind, Original, Status
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.text import TEXTS

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def draft(entry_type: str, body: bytes, target: int | None = None) -> model.Draft:
    return model.draft("c", "u", "m", entry_type, body, target, 10)


def original(**changed: object) -> Original:
    whole = Original(seq=3, sender="u", type="text", created_at=NOW, recalled=False)
    return msgspec.structs.replace(whole, **changed)


def room(kind: str = Kind.GROUP, **changed: object) -> Conversation:
    whole = Conversation(
        id="c",
        kind=kind,
        title=None,
        subject=None,
        policy={},
        state="open",
        head=9,
        members_version=1,
        updated_at=NOW,
    )
    return msgspec.structs.replace(whole, **changed)


def member(user: str = "u", role: str = Role.MEMBER, to_seq: int | None = None) -> Member:
    return Member(
        user=user, role=role, from_seq=1, to_seq=to_seq, delivered_seq=0, read_seq=0, muted=False, pinned=False
    )


def test_a_body_is_kept_in_one_form_whatever_way_it_was_written() -> None:
    """A retry from another device or over HTTP has the same digest, though its spaces and key order differ."""
    one = draft("text", b'{"text":"hi","mentions":["a"]}')
    other = draft("text", b' { "mentions" : ["a"],\n "text" : "\\u0068i" } ')

    assert one.body == other.body


def test_an_upload_is_named_in_the_draft_when_the_body_carries_one() -> None:
    """The append checks it in the same transaction."""
    upload = new_id()

    assert draft("image", f'{{"attachment":"{upload}"}}'.encode()).attachment == upload
    assert draft("voice", f'{{"attachment":"{upload}","durationMs":900}}'.encode()).attachment == upload
    assert draft("text", b'{"text":"hi"}').attachment is None


@pytest.mark.parametrize(
    ("entry_type", "body", "target", "field"),
    [
        ("system", b"{}", None, "type"),
        ("edit", b"{}", 1, "type"),
        ("nonsense", b"{}", None, "type"),
        ("react", b'{"emoji":"+"}', None, "target"),
        ("text", b'{"text":"hi"}', 3, "target"),
        ("text", b'{"text":"12345678901"}', None, "body.text"),
        ("image", b'{"attachment":"no id"}', None, "body.attachment"),
    ],
)
def test_a_draft_is_refused_by_field(entry_type: str, body: bytes, target: int | None, field: str) -> None:
    """P14: people send neither system entries nor operations that have frames of their own."""
    with pytest.raises(Refusal) as refused:
        draft(entry_type, body, target)

    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize("body", [b'{"text":""}', b'{"text":1}', b'{"txt":"hi"}', b'{"text":"hi","bold":true}', b"[]"])
def test_a_body_that_is_not_of_its_type_is_refused(body: bytes) -> None:
    """P14: unknown fields too."""
    with pytest.raises(msgspec.ValidationError):
        draft("text", body)


@pytest.mark.parametrize("status", [status for status in Status if status > Status.REPEATED])
def test_every_refused_append_has_a_reason(status: Status) -> None:
    """P14."""
    assert model.refusal_of(status).code != ErrorCode.INTERNAL


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (None, ErrorCode.NOT_FOUND),
        (original(sender="v"), ErrorCode.FORBIDDEN),
        (original(type="image"), ErrorCode.CONFLICT),
        (original(recalled=True), ErrorCode.CONFLICT),
    ],
)
def test_only_ones_own_text_is_edited(target: Original | None, code: ErrorCode) -> None:
    """Whoever may fetch it: words are put in nobody's mouth."""
    model.permit_edit(original(), "u")
    with pytest.raises(Refusal) as refused:
        model.permit_edit(target, "u")

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("target", "role", "reason", "age_s", "code"),
    [
        (None, "patient", "", 0, ErrorCode.NOT_FOUND),
        (original(type="system"), "staff", "why", 0, ErrorCode.NOT_FOUND),
        (original(type="recall"), "patient", "", 0, ErrorCode.NOT_FOUND),
        (original(recalled=True), "patient", "", 0, ErrorCode.CONFLICT),
        (original(sender="v"), "doctor", "why", 0, ErrorCode.FORBIDDEN),
        (original(), "patient", "", 121, ErrorCode.TOO_LATE),
        (original(sender="v"), "staff", "  ", 0, ErrorCode.INVALID),
    ],
)
def test_a_recall_is_refused(target: Original | None, role: str, reason: str, age_s: int, code: ErrorCode) -> None:
    """Two minutes for people; staff say why."""
    with pytest.raises(Refusal) as refused:
        model.permit_recall(target, "u", role, reason, NOW + timedelta(seconds=age_s), 120)

    assert refused.value.code == code


def test_a_recall_is_possible_in_time_and_for_staff_always() -> None:
    """The window includes its last second."""
    model.permit_recall(original(), "u", "patient", "", NOW + timedelta(seconds=120), 120)
    model.permit_recall(original(sender="v"), "u", "staff", "隐私", NOW + timedelta(days=400), 120)


def test_patients_reach_staff_and_whom_they_know_only() -> None:
    """Nobody can write to every doctor of the house; nobody writes to an administrator."""
    strangers = {other: rules.may_reach("patient", Person(id="x", role=other, known=False)) for other in ALL_ROLES}
    known = {other: rules.may_reach("patient", Person(id="x", role=other, known=True)) for other in ALL_ROLES}

    assert [role for role, may in strangers.items() if may] == ["staff"]
    assert sorted(role for role, may in known.items() if not may) == ["admin"]


@pytest.mark.parametrize("role", ["doctor", "staff", "admin"])
def test_the_house_reaches_everybody_and_makes_groups(role: str) -> None:
    """They begin the talk with a patient."""
    assert all(rules.may_reach(role, Person(id="x", role=other, known=False)) for other in ALL_ROLES)
    assert rules.may_create(Kind.GROUP, role)


@pytest.mark.parametrize("kind", [Kind.CARE, Kind.INBOX, Kind.BROADCAST, "nonsense"])
def test_other_kinds_are_opened_by_code_alone(kind: str) -> None:
    """Care follows an order, an inbox a person."""
    assert not any(rules.may_create(kind, role) for role in ALL_ROLES)
    assert not rules.may_create(Kind.GROUP, "patient")
    assert not rules.may_create(Kind.GROUP, "companion")


@pytest.mark.parametrize(
    ("kind", "who", "role", "code"),
    [
        (Kind.GROUP, None, "doctor", ErrorCode.NOT_FOUND),
        (Kind.GROUP, member(to_seq=4), "doctor", ErrorCode.NOT_FOUND),
        (Kind.GROUP, member(), "doctor", ErrorCode.FORBIDDEN),
        (Kind.CARE, member(role=Role.OWNER), "doctor", ErrorCode.FORBIDDEN),
        (Kind.CARE, None, "admin", ErrorCode.FORBIDDEN),
        (Kind.DIRECT, member(), "staff", ErrorCode.FORBIDDEN),
    ],
)
def test_members_are_not_managed_by(kind: Kind, who: Member | None, role: str, code: ErrorCode) -> None:
    """To a stranger the conversation does not exist; care belongs to its order."""
    with pytest.raises(Refusal) as refused:
        rules.permit_manage(room(kind), who, role)

    assert refused.value.code == code


def test_one_removes_those_below_oneself() -> None:
    """Admins do not remove each other or the owner; hub staff may."""
    owner, admin, plain = member("a", Role.OWNER), member("b", Role.ADMIN), member("c")
    rules.permit_remove(rules.rank(owner, "doctor"), [admin, plain])
    rules.permit_remove(rules.rank(None, "staff"), [owner])
    rules.permit_remove(rules.rank(admin, "patient"), [plain])
    for removed in (admin, owner):
        with pytest.raises(Refusal):
            rules.permit_remove(rules.rank(admin, "patient"), [removed])


def test_ownership_is_given_and_not_taken_away() -> None:
    """A group has always one owner."""
    owner_rank, admin_rank = (
        rules.rank(member(role=Role.OWNER), "doctor"),
        rules.rank(member(role=Role.ADMIN), "doctor"),
    )
    rules.permit_role(owner_rank, member("v"), Role.OWNER)
    with pytest.raises(Refusal) as demoted:
        rules.permit_role(owner_rank, member(role=Role.OWNER), Role.MEMBER)
    with pytest.raises(Refusal) as admins:
        rules.permit_role(admin_rank, member("v"), Role.ADMIN)

    assert (demoted.value.code, admins.value.code) == (ErrorCode.CONFLICT, ErrorCode.FORBIDDEN)


def test_the_longest_serving_admin_inherits_else_the_longest_serving_member() -> None:
    """Members come in the order in which they joined."""
    plain, admin, later = member("a"), member("b", Role.ADMIN), member("c", Role.ADMIN)

    assert rules.heir([plain, admin, later]) == admin
    assert rules.heir([plain, member("d")]) == plain
    assert rules.heir([plain, member("o", Role.OWNER)]) is None
    assert rules.heir([]) is None


def test_new_members_see_from_their_joining_on_and_all_in_care() -> None:
    """P5; the policy of a conversation may say otherwise."""
    assert rules.sees_from(room(Kind.GROUP), 8) == 8
    assert rules.sees_from(room(Kind.GROUP, policy={"history": "all"}), 8) == 1
    assert rules.sees_from(room(Kind.CARE), 8) == 1
    assert rules.sees_from(room(Kind.CARE, policy={"history": "join"}), 8) == 8


def test_bodies_are_sealed_for_the_patient_in_care_and_for_the_author_elsewhere() -> None:
    """P12: destroying one person's key erases what is theirs."""
    care = room(Kind.CARE, subject="p")

    assert [care.seals_for("u"), care.seals_for(None)] == ["p", "p"]
    assert [room().seals_for("u"), room().seals_for(None)] == ["u", "c"]


@pytest.mark.parametrize(
    ("names", "field"),
    [([], "members"), (["x"], "members[0]"), (["A", "A"], "members[1]"), (["A", "' OR 1=1"], "members[1]")],
)
def test_named_members_are_checked_by_position(names: list[str], field: str) -> None:
    """P14: what cannot be an id never reaches the database."""
    one = new_id()
    with pytest.raises(Refusal) as refused:
        rules.named_once([one if name == "A" else name for name in names])

    assert list(refused.value.fields) == [field]


@given(st.integers(1, 12), st.integers(0, 11))
def test_the_asker_is_dropped_from_those_named(count: int, position: int) -> None:
    """Naming oneself is no mistake: one is in anyway."""
    others = [new_id() for _ in range(count)]
    me = new_id()

    assert rules.others_named([*others[:position], me, *others[position:]], me) == others


def test_people_out_of_reach_or_unknown_are_named() -> None:
    """P14: with their position in the request."""
    known, stranger = Person(id="a", role="doctor", known=True), Person(id="b", role="doctor", known=False)
    rules.check_people(["a"], ["a"], [known], "patient")
    with pytest.raises(Refusal) as unknown:
        rules.check_people(["me", "a", "z"], ["a", "z"], [known], "patient")
    with pytest.raises(Refusal) as barred:
        rules.check_people(["a", "b"], ["a", "b"], [known, stranger], "patient")

    assert unknown.value.fields == {"members[2]": "members_unknown"}
    assert barred.value.fields == {"members[1]": "members_out_of_reach"}
    assert barred.value.code == ErrorCode.FORBIDDEN
    assert {"members_unknown", "members_out_of_reach"} <= TEXTS.keys()


def test_a_direct_conversation_is_the_same_whoever_starts_it() -> None:
    assert rules.direct_key("b", "a") == rules.direct_key("a", "b")


def test_recallable_types_are_those_that_carry_something() -> None:
    """Edit and recall have no way back; react and pin can be taken back."""
    recallable = []
    for kind in EntryType:
        try:
            model.permit_recall(original(type=kind), "u", "patient", "", NOW, 120)
        except Refusal:
            continue
        recallable.append(kind)

    assert set(EntryType) - set(recallable) == {EntryType.SYSTEM, EntryType.EDIT, EntryType.RECALL}
