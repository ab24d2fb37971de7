"""What the end of a connection means for coming back."""

import pytest

from clients.terminal.link import Course, course_after_close, course_after_refusal
from hub.platform.error import RULES


@pytest.mark.parametrize(
    ("code", "course"),
    [
        (None, Course.COME_BACK),
        (1000, Course.COME_BACK),
        (1006, Course.COME_BACK),
        (1013, Course.COME_BACK),
        (4000, Course.COME_BACK),
        (4401, Course.SIGN_IN),
        (4499, Course.COME_BACK),
        (4500, Course.STOP),
        (4999, Course.STOP),
    ],
)
def test_close_code_decides(code: int | None, course: Course) -> None:
    """4000-4499 come back, 4500-4999 do not."""
    assert course_after_close(code) is course


def test_every_close_code_of_the_table_has_the_course_that_its_retry_says() -> None:
    """The client and the error table agree."""
    for code, rule in RULES.items():
        if rule.close is not None and rule.close >= 4000:
            expected = Course.SIGN_IN if code == "unauthorized" else Course.COME_BACK if rule.retry else Course.STOP
            assert course_after_close(rule.close) is expected


@pytest.mark.parametrize(
    ("status", "course"),
    [
        (400, Course.STOP),
        (401, Course.SIGN_IN),
        (403, Course.STOP),
        (404, Course.STOP),
        (429, Course.COME_BACK),
        (500, Course.COME_BACK),
        (502, Course.COME_BACK),
        (503, Course.COME_BACK),
    ],
)
def test_refused_upgrade_decides(status: int, course: Course) -> None:
    """Overload passes; a wrong request does not get better."""
    assert course_after_refusal(status) is course
