"""One connection as a state machine: every race of a socket is a plain call here."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.error import ErrorCode
from hub.realtime.frame import Broadcast
from hub.realtime.protocol import Fetch, Hello, Ping, Request, Typing
from hub.realtime.session import Close, Limits, Refuse, Session, State

LIMITS = Limits(frames_per_s=10.0, burst=5.0, strikes=3, unanswered=4, held_bytes=30)
HELLO, PING, TYPING = Hello(ref=1), Ping(ref=2), Typing(conversation="c")


def session(**changes: float) -> Session:
    return Session(msgspec.structs.replace(LIMITS, **changes), 0.0)


def ready() -> Session:
    found = session(burst=1000)
    assert found.receive(HELLO, 0.0) is HELLO
    assert found.resumed({}) == ([], {})
    return found


def entry(seq: int, conversation: str = "c") -> Broadcast:
    return Broadcast([b"%010d" % seq], conversation=conversation, first_seq=seq)


def fact(name: str) -> Broadcast:
    return Broadcast([name.encode()])


def test_nothing_is_done_before_hello() -> None:
    """Every other request is refused, with its ref, and the socket stays."""
    greeting = session()
    for request in (PING, TYPING, Fetch(ref=2, conversation="c")):
        effect = greeting.receive(request, 0.0)

        assert isinstance(effect, Refuse)
        assert effect.refusal.code is ErrorCode.FORBIDDEN
        assert effect.ref == (None if request is TYPING else 2)
    assert greeting.state is State.GREETING
    assert greeting.receive(HELLO, 0.0) is HELLO


def test_nothing_is_told_before_hello() -> None:
    """What comes then is read by the resume."""
    greeting = session()

    assert greeting.hold(fact("early"))
    assert greeting.receive(HELLO, 0.0) is HELLO
    assert greeting.resumed({}) == ([], {})


def test_requests_pass_while_a_resume_is_read() -> None:
    """A client may send at once; only a second hello waits for the first."""
    resuming = session()
    resuming.receive(HELLO, 0.0)
    again = resuming.receive(HELLO, 0.0)

    assert resuming.receive(PING, 0.0) is PING
    assert isinstance(again, Refuse)
    assert again.refusal.code is ErrorCode.CONFLICT


def test_facts_wait_for_the_resume_and_are_told_directly_afterwards() -> None:
    """P4: live entries are merged behind what was read."""
    resuming = session()
    resuming.receive(HELLO, 0.0)
    held = [entry(4), entry(5), fact("receipt")]
    assert all(map(resuming.hold, held))
    told, overflowed = resuming.resumed({"c": 4})

    assert (told, overflowed) == ([held[1], held[2]], {})
    assert not resuming.hold(entry(6))


def test_what_is_too_much_to_hold_becomes_a_gap() -> None:
    """P7: the bytes are bounded; the client is told from where to fetch."""
    resuming = session()
    resuming.receive(HELLO, 0.0)
    for seq in range(1, 6):
        assert resuming.hold(entry(seq))
    assert resuming.hold(entry(9, "d"))
    told, overflowed = resuming.resumed({"c": 1, "d": 20})

    assert [broadcast.first_seq for broadcast in told] == [2, 3]
    assert overflowed == {"c": 4, "d": 21}


def test_a_failed_first_hello_may_be_said_again() -> None:
    """Nothing was told, so nothing is kept."""
    resuming = session()
    resuming.receive(HELLO, 0.0)
    resuming.hold(entry(1))

    assert resuming.not_resumed() == ([], {})
    assert resuming.state is State.GREETING
    assert resuming.receive(HELLO, 0.0) is HELLO


def test_a_failed_resync_leaves_the_socket_as_it_was() -> None:
    """A hello on a socket that is ready costs nothing when it is refused: what waited is told."""
    resync = ready()
    resync.receive(HELLO, 0.0)
    waiting = [entry(1), fact("receipt")]
    assert all(map(resync.hold, waiting))

    assert resync.not_resumed() == (waiting, {})
    assert resync.state is State.READY
    assert not resync.hold(entry(2))


def test_too_many_unanswered_requests_are_refused_but_not_a_hello() -> None:
    """P7: what one socket may have in flight is bounded, and it can always compare notes."""
    busy = ready()
    busy.unanswered = LIMITS.unanswered
    effect = busy.receive(PING, 0.0)

    assert isinstance(effect, Refuse)
    assert (effect.refusal.code, effect.refusal.retry_after_ms) == (ErrorCode.RATE_LIMITED, 200)
    assert busy.receive(HELLO, 0.0) is HELLO


def test_a_flood_is_refused_and_then_costs_the_socket() -> None:
    """Each refusal says when the next frame is taken; who goes on all the same is closed."""
    flooding = session()
    flooding.receive(HELLO, 0.0)
    effects = [flooding.receive(PING, 0.0) for _ in range(8)]

    assert effects[:4] == [PING] * 4
    refusals = [effect for effect in effects[4:7] if isinstance(effect, Refuse)]
    assert [(r.refusal.code, r.refusal.retry_after_ms) for r in refusals] == [(ErrorCode.RATE_LIMITED, 101)] * 3
    assert effects[7] == Close(ErrorCode.FLOOD)
    assert flooding.state is State.CLOSED


def test_who_waits_as_told_is_heard_again() -> None:
    """A frame that passes wipes the strikes."""
    flooding = session()
    now = 0.0
    for _ in range(50):
        effect = flooding.receive(HELLO, now)
        if isinstance(effect, Refuse) and effect.refusal.code is ErrorCode.RATE_LIMITED:
            now += (effect.refusal.retry_after_ms or 0) / 1000
            assert flooding.receive(PING, now) is PING

    assert flooding.state is State.RESUMING


def test_bad_frames_count_against_the_bucket() -> None:
    """Garbage is not cheaper than requests."""
    flooding = session()
    effects = [flooding.heard(None, 0.0) for _ in range(9)]

    assert effects[:5] == [None] * 5
    assert effects[8] == Close(ErrorCode.FLOOD)


frames = st.sampled_from([HELLO, PING, TYPING])
actions = st.one_of(
    st.tuples(st.just("receive"), frames, st.floats(0, 0.5, allow_nan=False)),
    st.tuples(st.just("hold"), st.sampled_from(["entry", "fact"]), st.just(0.0)),
    st.tuples(st.sampled_from(["resumed", "failed"]), st.just(None), st.just(0.0)),
)


@given(st.lists(actions, max_size=60))
def test_every_fact_is_told_once_or_named_in_a_gap(steps: list[tuple[str, object, float]]) -> None:
    """Any order of frames, facts and ends of resumes: after the first welcome nothing is lost and nothing doubled.

    The bucket never goes below nothing or over its size, and no request passes before a hello or after the end.
    """
    one, now, number = session(), 0.0, 0
    told: list[Broadcast] = []
    held: list[Broadcast] = []
    gaps: dict[str, int] = {}
    for what, what_of, pause in steps:
        now += pause
        before = one.state
        if what == "receive":
            assert isinstance(what_of, Request)
            effect = one.receive(what_of, now)
            assert effect is not what_of or before is not State.CLOSED
            assert effect is not what_of or what_of is HELLO or before is not State.GREETING
            assert 0 <= one._tokens <= LIMITS.burst
        elif what == "hold" and before is not State.CLOSED:
            number += 1
            broadcast = entry(number) if what_of == "entry" else fact(str(number))
            if not one.hold(broadcast):
                told.append(broadcast)
            elif before is State.RESUMING:
                held.append(broadcast)
        elif what in ("resumed", "failed") and before is State.RESUMING:
            released, overflowed = one.resumed({}) if what == "resumed" else one.not_resumed()
            told += released
            gaps |= overflowed
            if one.state is State.READY:
                lost = [broadcast for broadcast in held if broadcast not in told]
                # A fact that is no entry may be dropped when too much waits: digests find that.
                assert all(b.conversation is None or b.first_seq >= gaps["c"] for b in lost)
                assert not lost or sum(len(b.payloads[0]) for b in held) > LIMITS.held_bytes
            held = []

    assert len(told) == len({id(broadcast) for broadcast in told})
