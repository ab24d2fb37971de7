"""An access token is believed only if it is ours, whole, in time, and its session not revoked."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.error import ErrorCode, Refusal
from hub.security.token import LOOK_BACK_S, Principal, RevokedSessions, issue, verify

KEY = b"k" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLAIMS = {"sub": "u", "sid": "s", "role": "patient", "iat": 0, "exp": 4_000_000_000, "iss": "hub"}


def made(**changes: object) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, KEY, algorithm="HS256")


def test_a_token_says_who_asks() -> None:
    """What was issued comes back until it expires."""
    token = issue(KEY, user="u", session="s", role="doctor", now=NOW, life_s=60)

    assert verify(KEY, token, NOW + timedelta(seconds=59)) == Principal("u", "s", "doctor", NOW.timestamp() + 60)
    with pytest.raises(Refusal) as refused:
        verify(KEY, token, NOW + timedelta(seconds=60))
    assert (refused.value.code, refused.value.text) == (ErrorCode.UNAUTHORIZED, "token_expired")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "é",
        made()[:-4] + "AAAA",
        made(iss="other"),
        made(aud="other"),
        made(sub=7),
        made(exp="soon"),
        jwt.encode(CLAIMS, b"o" * 32, algorithm="HS256"),
        jwt.encode(CLAIMS, KEY * 2, algorithm="HS512"),
        jwt.encode(CLAIMS, "", algorithm="none"),
        *(made(**{claim: None}) for claim in CLAIMS),
    ],
)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    """Forged, altered, unsigned, signed otherwise, or lacking a claim: one answer for all, which teaches nothing."""
    with pytest.raises(Refusal) as refused:
        verify(KEY, token, NOW)
    assert refused.value.code is ErrorCode.UNAUTHORIZED


@given(st.text(max_size=60))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    """Hostile input ends in a refusal, never in another error."""
    with pytest.raises(Refusal):
        verify(KEY, text, NOW)


def test_a_revoked_session_is_announced_once() -> None:
    """Polls overlap, so a session comes several times; its sockets are closed once."""
    revoked = RevokedSessions(token_life_s=100)

    assert revoked.load(["a", "b"], 0) == {"a", "b"}
    assert revoked.load(["b", "c"], 1) == {"c"}
    assert "a" in revoked
    assert "d" not in revoked


def test_a_session_revoked_here_is_refused_at_once_and_still_announced() -> None:
    """This node does not wait for its own poll, and the poll still closes the sockets."""
    revoked = RevokedSessions(token_life_s=100)
    revoked.add("a", 0)

    assert "a" in revoked
    assert revoked.load(["a"], 1) == {"a"}
    assert revoked.load(["a"], 2) == set()


def test_a_revocation_is_forgotten_when_no_token_can_name_it() -> None:
    """The set does not grow for ever."""
    revoked = RevokedSessions(token_life_s=100)
    revoked.load(["a"], 0)
    revoked.load(["b"], 50)
    revoked.load([], 101 + LOOK_BACK_S)

    assert "a" not in revoked
    assert "b" in revoked
