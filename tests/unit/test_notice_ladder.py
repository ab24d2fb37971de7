"""The rules of a ladder: who is sent what, when it goes on, and that it always ends."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.port import Address
from hub.notices.decision import Case, Decision, Way
from hub.notices.ladder import decide
from hub.notices.model import Attempt, AttemptState, ClassPreference, Notice, Person, QuietHours, State
from hub.notices.notice_class import NoticeClass, Step
from hub.notices.rung import TRIES

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
WAYS = {
    "webpush": [Way("webpush", True, 0)],
    "wechat": [Way("weixin", True, 600)],
    "sms": [Way("aliyun", False, 600), Way("tencent", False, 600)],
}
ADDRESSES = {
    "webpush": [Address(id="p1", value="e1"), Address(id="p2", value="e2")],
    "wechat": [Address(id="openid", value="o")],
    "sms": [Address(id="phone", value="13800000001")],
}
CLASS = NoticeClass(
    code="chat",
    title_zh="聊天",
    title_en="Chat",
    ladder=[Step("webpush"), Step("wechat", after_s=60, unless="read"), Step("sms", after_s=600, unless="read")],
    quiet="own",
    expires_s=3600,
)


def notice(**changed: Any) -> Notice:  # Any: fields of the struct
    return msgspec.structs.replace(
        Notice(
            id="0190c0de-0000-7000-8000-000000000001",
            user="u",
            class_="chat",
            lane="normal",
            shard=0,
            template="chat",
            values={},
            subject="",
            conversation="c",
            first_seq=5,
            upto_seq=7,
            derived=True,
            state=State.OPEN,
            begins_at=NOON,
            expires_at=NOON + timedelta(hours=1),
            delivered_at=None,
            created_at=NOON,
        ),
        **changed,
    )


def person(**changed: Any) -> Person:  # Any: fields of the struct
    return msgspec.structs.replace(
        Person(
            active=True,
            member=True,
            delivered_seq=4,
            read_seq=4,
            unread=3,
            language="zh",
            timezone="Asia/Shanghai",
            quiet=None,
            preference=ClassPreference(),
            consents=frozenset(),
            addresses=ADDRESSES,
        ),
        **changed,
    )


def case(attempts: Sequence[Attempt] = (), **changed: Any) -> Case:  # Any: parts of the case
    parts = {"notice": notice(), "class_": CLASS, "person": person(), "ways": WAYS, **changed}
    return Case(attempts=list(attempts), **parts)


def attempt(step: int, state: AttemptState, **changed: Any) -> Attempt:  # Any: fields of the struct
    channel = CLASS.ladder[step].channel
    first = Attempt(
        id=f"{step}-{changed}",
        step=step,
        channel=channel,
        provider=WAYS[channel][0].provider,
        address=ADDRESSES[channel][0].id,
        number=1,
        state=state,
        sent_at=NOON,
    )
    return msgspec.structs.replace(first, **changed)


def sent(decision: Decision) -> list[tuple[str, str, int]]:
    return [(send.provider, send.address.id, send.number) for send in decision.sends]


def test_first_step_calls_every_address_when_it_begins() -> None:
    """All devices at once; the next step waits for its time."""
    decision = decide(case(), NOON)

    assert sent(decision) == [("webpush", "p1", 1), ("webpush", "p2", 1)]
    assert decision.next_at == NOON + timedelta(seconds=60)


def test_nothing_is_sent_while_its_broadcast_is_held() -> None:
    """It is looked at again after a while; what is over is over."""
    held = notice(held=True)
    decision = decide(case(notice=held), NOON)

    assert (sent(decision), decision.end, decision.next_at) == ([], None, NOON + timedelta(seconds=30))
    assert decide(case(notice=held, person=person(read_seq=7)), NOON).end is State.SEEN
    assert decide(case(notice=held), held.expires_at).end is State.EXPIRED


def test_nothing_happens_before_it_begins() -> None:
    """The grace is over when the ladder begins, and not before."""
    decision = decide(case(notice=notice(begins_at=NOON + timedelta(seconds=10))), NOON)

    assert (decision.sends, decision.next_at) == ([], NOON + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("changed", "state", "reason"),
    [
        ({"read_seq": 7}, State.SEEN, "read"),
        ({"member": False}, State.SUPERSEDED, "left"),
        ({"unread": 0}, State.SUPERSEDED, "recalled"),
        ({"active": False}, State.SUPPRESSED, "account"),
        ({"preference": ClassPreference(off=True)}, State.SUPPRESSED, "preference"),
    ],
)
def test_ends_without_a_call_when_there_is_a_reason(changed: dict[str, Any], state: State, reason: str) -> None:
    """Each reason has its name, for whoever reads the ledger."""
    decision = decide(case(person=person(**changed)), NOON)

    assert (decision.end, decision.reason, decision.sends) == (state, reason, [])


def test_mandatory_class_cannot_be_switched_off() -> None:
    """A health alert is sent whatever was preferred."""
    mandatory = msgspec.structs.replace(CLASS, mandatory=True)
    wanted = person(preference=ClassPreference(off=True, channels_off=["webpush"]))

    assert len(decide(case(class_=mandatory, person=wanted), NOON).sends) == 2


def test_consent_that_is_missing_suppresses() -> None:
    """Marketing needs the person's own agreement, asked for at the time of sending."""
    asked = msgspec.structs.replace(CLASS, consent="marketing")

    assert decide(case(class_=asked), NOON).reason == "consent"
    assert decide(case(class_=asked, person=person(consents=frozenset({"marketing"}))), NOON).sends


def test_device_that_received_it_is_enough_for_some_steps_and_not_for_others() -> None:
    """`unless` says what each step waits for."""
    received = person(delivered_seq=7)
    decision = decide(case(person=received), NOON + timedelta(seconds=61))

    assert [(note.step, note.state, note.code) for note in decision.notes] == [
        (0, AttemptState.SUPERSEDED, "delivered")
    ]
    assert sent(decision) == [("weixin", "openid", 1)]
    only = msgspec.structs.replace(CLASS, ladder=[Step("webpush"), Step("sms")])
    assert decide(case(class_=only, person=received), NOON).end is State.DELIVERED


def test_quiet_hours_hold_it_and_a_clinical_class_does_not_wait() -> None:
    """The person's own hours; what would be of no use afterwards is not sent at all."""
    night = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
    own = person(quiet=QuietHours(from_="22:00", to="07:00"))
    later = notice(begins_at=night, expires_at=night + timedelta(hours=10))

    assert decide(case(notice=later, person=own), night).next_at == datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
    short = notice(begins_at=night, expires_at=night + timedelta(hours=1))
    assert decide(case(notice=short, person=own), night).reason == "quiet"
    clinical = msgspec.structs.replace(CLASS, quiet="ignore")
    assert decide(case(class_=clinical, notice=short, person=own), night).sends


def test_retry_waits_for_its_time_and_counts() -> None:
    """A call that was certainly not taken is made again, not for ever."""
    again = NOON + timedelta(seconds=5)
    first = attempt(0, AttemptState.RETRY, next_at=again)
    other = attempt(0, AttemptState.ACCEPTED, address="p2")

    assert decide(case([first, other]), NOON).next_at == again
    assert sent(decide(case([first, other]), again)) == [("webpush", "p1", 2)]
    last = msgspec.structs.replace(first, number=TRIES)
    assert [(mark.state, mark.code) for mark in decide(case([last, other]), again).marks] == [
        (AttemptState.DEAD, "tries")
    ]


def test_unknown_is_repeated_only_where_the_provider_tells_a_repetition() -> None:
    """P8."""
    late = NOON + timedelta(seconds=700)
    push = attempt(0, AttemptState.UNKNOWN, next_at=late)
    sms = attempt(2, AttemptState.UNKNOWN, next_at=late, receipt_until=late + timedelta(seconds=500))
    others = [attempt(0, AttemptState.ACCEPTED, address="p2"), attempt(1, AttemptState.ACCEPTED)]
    decision = decide(case([push, *others, sms]), late)

    assert sent(decision) == [("webpush", "p1", 2)]
    assert decision.settles == [sms]


def test_only_a_definite_no_fails_over() -> None:
    """A second provider might reach somebody twice where the first may have reached them."""
    late = NOON + timedelta(seconds=700)
    before = [
        attempt(0, AttemptState.ACCEPTED),
        attempt(0, AttemptState.ACCEPTED, address="p2"),
        attempt(1, AttemptState.REFUSED),
    ]

    assert sent(decide(case([*before, attempt(2, AttemptState.DEAD)]), late)) == [("tencent", "phone", 1)]
    assert sent(decide(case([*before, attempt(2, AttemptState.UNKNOWN, receipt_until=NOON)]), late)) == []
    both = [attempt(2, AttemptState.DEAD), attempt(2, AttemptState.DEAD, provider="tencent")]
    assert sent(decide(case([*before, *both]), late)) == []


def test_urgent_ladder_does_not_wait_where_all_before_has_failed() -> None:
    """P11's spirit: an alert that cannot be pushed goes to the next channel at once; an ordinary message has time."""
    urgent = msgspec.structs.replace(CLASS, lane="urgent")
    nobody = person(addresses={"sms": ADDRESSES["sms"]})

    assert sent(decide(case(class_=urgent, person=nobody), NOON)) == [("aliyun", "phone", 1)]
    assert sent(decide(case(person=nobody), NOON)) == []


@pytest.mark.parametrize(
    ("states", "state", "reason"),
    [
        ((AttemptState.ACCEPTED, AttemptState.DEAD, AttemptState.REFUSED), State.UNCONFIRMED, "no_receipt"),
        ((AttemptState.DEAD, AttemptState.DELIVERED, AttemptState.ACCEPTED), State.DELIVERED, ""),
        ((AttemptState.GONE, AttemptState.REFUSED, AttemptState.GONE), State.FAILED, "x2"),
        ((AttemptState.UNKNOWN, AttemptState.GONE, AttemptState.GONE), State.UNCONFIRMED, "no_receipt"),
    ],
)
def test_ends_as_its_attempts_ended_when_the_ladder_is_done(
    states: Sequence[AttemptState], state: State, reason: str
) -> None:
    """Delivered beats handed over, handed over beats failed."""
    one = person(addresses={name: addresses[:1] for name, addresses in ADDRESSES.items()})
    ways = {**WAYS, "webpush": [Way("webpush", False, 0)], "sms": WAYS["sms"][:1]}
    attempts = [attempt(step, each, code=f"x{step}") for step, each in enumerate(states)]
    decision = decide(case(attempts, person=one, ways=ways), NOON + timedelta(seconds=1300))

    assert (decision.end, decision.reason) == (state, reason)


def test_seen_notice_closes_what_is_showing() -> None:
    """Web push and WeCom can be taken back; a retry that waits is superseded, a call that is out is unknown."""
    attempts = [
        attempt(0, AttemptState.ACCEPTED),
        attempt(0, AttemptState.RETRY, address="p2"),
        attempt(1, AttemptState.LEASED),
    ]
    decision = decide(case(attempts, notice=notice(state=State.SEEN)), NOON)

    assert [each.address for each in decision.withdraws] == ["p1"]
    assert [mark.state for mark in decision.marks] == [AttemptState.UNKNOWN, AttemptState.SUPERSEDED]
    assert (decision.end, decision.next_at) == (State.SEEN, None)


class World:
    """A notice and everything that can happen to it, with time that moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.attempts: list[Attempt] = []
        self.seen = False
        self.log: list[tuple[datetime, str, str, int]] = []

    def step(self, outcomes: Sequence[AttemptState]) -> Decision:
        known = person(read_seq=7 if self.seen else 4)
        decision = decide(case(self.attempts, person=known), self.now)
        marks = {mark.attempt: mark for mark in decision.marks}
        self.attempts = [
            msgspec.structs.replace(
                each,
                state=marks[each.id].state,
                next_at=marks[each.id].next_at,
                receipt_until=marks[each.id].receipt_until or each.receipt_until,
            )
            if each.id in marks
            else each
            for each in self.attempts
        ]
        for note in decision.notes:
            self.attempts.append(
                Attempt(
                    id=f"n{len(self.attempts)}",
                    step=note.step,
                    channel=note.channel,
                    provider="",
                    address="",
                    number=1,
                    state=note.state,
                )
            )
        for number, send in enumerate(decision.sends):
            assert not self.seen
            assert self.now < NOON + timedelta(hours=1)
            state = outcomes[number % len(outcomes)]
            self.log.append((self.now, send.provider, send.address.id, send.number))
            self.attempts.append(
                Attempt(
                    id=f"s{len(self.attempts)}",
                    step=send.step,
                    channel=send.channel,
                    provider=send.provider,
                    address=send.address.id,
                    number=send.number,
                    state=state,
                    sent_at=self.now,
                    next_at=self.now + timedelta(seconds=20)
                    if state in (AttemptState.RETRY, AttemptState.UNKNOWN)
                    else None,
                    receipt_until=self.now + timedelta(seconds=100) if send.channel != "webpush" else None,
                )
            )
        return decision


OUTCOMES = st.lists(
    st.sampled_from(
        [
            AttemptState.ACCEPTED,
            AttemptState.DELIVERED,
            AttemptState.RETRY,
            AttemptState.UNKNOWN,
            AttemptState.REFUSED,
            AttemptState.GONE,
            AttemptState.DEAD,
            AttemptState.LEASED,
        ]
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(OUTCOMES, min_size=1, max_size=12), st.one_of(st.none(), st.integers(0, 40)))
def test_every_notice_ends_and_nobody_is_reached_twice_by_chance(
    rounds: list[list[AttemptState]], seen_at: int | None
) -> None:
    """P8: whatever providers answer and whenever workers die, it ends; never a call after the reading; an unknown SMS stays one."""
    world = World()
    for turn in range(200):
        if turn == seen_at:
            world.seen = True
        decision = world.step(rounds[turn % len(rounds)])
        if decision.end is not None:
            break
        waits = [each.next_at for each in world.attempts if each.next_at and each.next_at > world.now]
        world.now = max(
            min([*waits, decision.next_at or world.now + timedelta(seconds=1)]), world.now + timedelta(seconds=1)
        )
    else:
        raise AssertionError("it never ended")

    for provider in ("aliyun", "tencent"):
        calls = [each for each in world.attempts if each.provider == provider]
        followed = [each for each in calls if any(other.number > each.number for other in calls)]
        assert all(each.state is AttemptState.RETRY for each in followed)
    keys = [(each.step, each.provider, each.address, each.number) for each in world.attempts]
    assert len(keys) == len(set(keys))
