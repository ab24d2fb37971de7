"""What each answer of a push service means."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.port import Outcome, Pause, Scope, Verdict
from channels.transport import Reply
from channels.webpush_answer import MISTRUST_S, MOST_PAUSE_S, MOST_RETRY_AFTER_S, RETRY_AFTER_S, outcome_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def outcome(
    status: int, body: bytes = b"", *, is_proven: bool = False, is_doubted: bool = False, **headers: str
) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return outcome_of(Reply(status, named, body), NOW, is_proven=is_proven, is_doubted=is_doubted)


@pytest.mark.parametrize(
    ("status", "verdict", "alarm"),
    [
        (200, Verdict.ACCEPTED, False),
        (201, Verdict.ACCEPTED, False),
        (202, Verdict.ACCEPTED, False),
        (301, Verdict.DEAD, True),
        (307, Verdict.DEAD, True),
        (400, Verdict.DEAD, True),
        (401, Verdict.DEAD, True),
        (403, Verdict.DEAD, True),
        (404, Verdict.GONE, False),
        (405, Verdict.DEAD, True),
        (406, Verdict.RETRY, False),
        (408, Verdict.RETRY, False),
        (410, Verdict.GONE, False),
        (413, Verdict.DEAD, True),
        (429, Verdict.RETRY, False),
        (500, Verdict.RETRY, False),
        (502, Verdict.RETRY, False),
        (503, Verdict.RETRY, False),
    ],
)
def test_each_status_has_its_verdict(status: int, verdict: Verdict, alarm: bool) -> None:
    """Only 404 and 410 end a subscription; a refusal of our signature never does."""
    found = outcome(status)

    assert (found.verdict, found.alarm, found.code) == (verdict, alarm, str(status))
    assert found.detail or verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Friday, 02-Jan-26 03:05:05 GMT", 60.0),
        ("Fri Jan  2 03:05:05 2026", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("9999999999", MOST_RETRY_AFTER_S),
        ("", RETRY_AFTER_S),
        ("soon", RETRY_AFTER_S),
        ("-5", RETRY_AFTER_S),
        ("1e3", RETRY_AFTER_S),
    ],
)
@pytest.mark.parametrize("status", [429, 406])
def test_a_limit_says_how_long_to_wait(status: int, value: str, seconds: float) -> None:
    """RFC 9110, section 10.2.3: seconds or a date, of three forms. The whole service waits, but not for long: it may mean one."""
    found = outcome(status, retry_after=value)

    assert found.retry_after_s == seconds
    assert found.pause == (Pause(Scope.PROVIDER, min(seconds, MOST_PAUSE_S)) if seconds else None)


def test_a_service_in_trouble_may_say_how_long_and_is_not_paused() -> None:
    """Breakers are for that."""
    assert outcome(503, retry_after="7").retry_after_s == 7.0
    assert outcome(503).retry_after_s is None
    assert outcome(503, retry_after="7").pause is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_signature_pauses_only_when_many_were_and_none_was_taken(status: int) -> None:
    """One subscription made for another site's key must not stop everybody's."""
    unproven, doubted = outcome(status), outcome(status, is_doubted=True)
    proven = outcome(status, is_proven=True)

    assert (unproven.pause, unproven.alarm) == (None, True)
    assert (doubted.pause, doubted.alarm) == (Pause(Scope.PROVIDER, MISTRUST_S), True)
    assert (proven.pause, proven.alarm, proven.verdict) == (None, False, Verdict.DEAD)


def test_the_word_of_the_service_is_kept_when_it_is_one() -> None:
    """Mozilla's number and Apple's reason; never a text, which may quote the address."""
    assert outcome(400, b'{"code":400,"errno":110,"message":"https://updates.push"}').code == "400/110"
    assert outcome(403, b'{"reason":"BadJwtToken"}').code == "403/BadJwtToken"
    for body in (b'{"reason":"see https://web.push.apple.com/x"}', b"<html>", b"[]", b"\xff", b'{"a":' + b"[" * 60000):
        assert outcome(400, body).code == "400"


def test_the_id_is_the_service_s_own() -> None:
    assert outcome(201, location="https://updates.push.services.mozilla.com/m/gAAAA").provider_id == "gAAAA"
    assert outcome(201, apns_id="F3A1").provider_id == "F3A1"
    assert outcome(201).provider_id == ""
    assert outcome(410, location="https://x.cn/m/1").provider_id == ""


@given(status=st.integers(200, 599), body=st.binary(max_size=60), value=st.text(max_size=40), is_proven=st.booleans())
def test_no_answer_raises(status: int, body: bytes, value: str, is_proven: bool) -> None:
    """Whatever a service says becomes an outcome, with a time to wait that is sane."""
    found = outcome(status, body, is_proven=is_proven, retry_after=value)

    assert 0 <= (found.retry_after_s or 0) <= MOST_RETRY_AFTER_S
