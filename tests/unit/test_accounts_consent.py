"""What people may agree to, as data, and where somebody stands."""

from datetime import UTC, datetime

import pytest

from hub.accounts.consent import AI_EXTERNAL, MARKETING, PURPOSES, Decision, check_version, checked_purpose, standings
from hub.platform.error import ErrorCode, Refusal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_every_purpose_has_a_version_and_a_title_in_both_languages() -> None:
    """And is found by its code."""
    for code, purpose in PURPOSES.items():
        assert purpose.code == code
        assert purpose.version
        assert purpose.title_zh != purpose.title_en


def test_who_decided_nothing_stands_nowhere() -> None:
    """Every purpose is there all the same."""
    found = standings([])

    assert [standing.purpose for standing in found] == list(PURPOSES.values())
    assert [standing.held for standing in found] == [None] * len(PURPOSES)


def test_what_is_held_is_what_was_not_withdrawn() -> None:
    """Each purpose with its own history; a purpose that there is no more is left out."""
    ended = Decision(AI_EXTERNAL, "1", NOW, NOW, False)
    held = Decision(AI_EXTERNAL, "2", NOW, None, False)
    refused = Decision(MARKETING, "1", None, NOW, False)
    found = {
        standing.purpose.code: standing
        for standing in standings([held, ended, refused, Decision("old", "1", NOW, None, True)])
    }

    assert (found[AI_EXTERNAL].held, found[AI_EXTERNAL].history) == (held, [held, ended])
    assert (found[MARKETING].held, found[MARKETING].history) == (None, [refused])
    assert "old" not in found


def test_what_is_no_purpose_and_no_version_of_today_is_refused() -> None:
    """A purpose is not found; a version names its field."""
    with pytest.raises(Refusal) as unknown:
        checked_purpose("world_peace")
    with pytest.raises(Refusal) as old:
        check_version(PURPOSES[MARKETING], "0")
    check_version(checked_purpose(MARKETING), PURPOSES[MARKETING].version)

    assert unknown.value.code is ErrorCode.NOT_FOUND
    assert set(old.value.fields) == {"version"}
