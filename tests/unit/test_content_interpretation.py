"""The rules around interpretations: what is taken, when somebody is asked again, and when nobody is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.content.interpretation import DATA_BYTES, check_data, code_of, due_again
from hub.content.interpreter import Breaker
from hub.platform.error import ErrorCode, Refusal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def nested(depth: int) -> Any:
    return {"层": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("字" * (DATA_BYTES // 3 + 1), "report_too_long"),
        ({"x": "y" * DATA_BYTES}, "report_too_long"),
        ("", "report_empty"),
        (" \n　", "report_empty"),
        ({}, "report_empty"),
        ({"": None}, "report_empty"),
        ("a\x00", "report_nul"),
        ({"a\x00": 1}, "report_nul"),
        ({"a": [{"b": "\x00"}]}, "report_nul"),
        (nested(8), "report_too_deep"),
    ],
)
def test_what_is_no_report_is_refused(data: Any, why: str) -> None:
    """Naming the field and why."""
    with pytest.raises(Refusal) as refused:
        check_data(data)

    assert (refused.value.code, refused.value.fields) == (ErrorCode.INVALID, {"originalData": why})


@pytest.mark.parametrize(
    "data", ["白细胞 11.2", "\\u0000", {"白细胞": 11.2}, {"x": 0}, nested(7), "字" * (DATA_BYTES // 3 - 1)]
)
def test_what_may_be_one_is_taken(data: Any) -> None:
    """Of any form, up to the limits."""
    check_data(data)


def test_only_a_kind_is_stored_in_the_clear() -> None:
    """Never what somebody wrote."""
    assert [code_of(each) for each in ("血常规", "lipids", "HIV检测")] == ["blood_routine", "lipids", "other"]


def test_the_outside_is_asked_again_later_and_not_for_ever() -> None:
    """With growing pauses, up to the tries of the settings."""
    assert due_again(1, 3, NOW) == NOW + timedelta(seconds=5)
    assert due_again(2, 3, NOW) == NOW + timedelta(seconds=10)
    assert due_again(3, 3, NOW) is None


def test_a_breaker_lets_one_try_after_each_pause() -> None:
    """Closed again by a success only; failures that are not in a row do not open it."""
    breaker = Breaker(failures=2, pause_s=10)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(1)
    assert breaker.may_call(1)
    breaker.failed(2)

    assert [breaker.may_call(at) for at in (2, 11.9, 12, 12, 21.9, 22)] == [False, False, True, False, False, True]
    breaker.failed(23)
    assert [breaker.may_call(at) for at in (32.9, 33)] == [False, True]
    breaker.succeeded()
    assert [breaker.may_call(34), breaker.may_call(34)] == [True, True]
