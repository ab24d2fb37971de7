"""Cursors: they come back as they went, and nothing else is one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.page import cursor_after, place_of


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])))
def test_cursor_names_the_place_it_was_made_for(at: datetime) -> None:
    """Time to the microsecond, and the id."""
    row = new_id()

    assert place_of(cursor_after(at, row)) == (at, row)


@given(st.text())
def test_anything_else_is_refused_as_a_cursor(cursor: str) -> None:
    """A refusal names the field; nothing else is raised."""
    with pytest.raises(Refusal) as refused:
        place_of(cursor)

    assert refused.value.code is ErrorCode.INVALID
    assert list(refused.value.fields) == ["cursor"]
