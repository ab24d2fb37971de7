"""Open-loop arrivals and percentiles."""

import math

import pytest

from bench.pace import Pace, percentile


def test_late_calls_send_what_was_due_when_the_generator_was_held_up() -> None:
    """Each message keeps the moment it was due, and none is skipped: the delay is measured, not hidden."""
    sent: list[float] = []
    pace = Pace(100.0, 5.0, sent.append)
    next_s = pace(15.0)

    assert sent[0] == 5.0
    assert sent == sorted(sent)
    assert sent[-1] <= 15.0 < next_s
    assert 850 < len(sent) < 1150


def test_nothing_is_sent_when_nothing_is_due() -> None:
    """The answer is when to come back."""
    sent: list[float] = []

    assert Pace(100.0, 5.0, sent.append)(4.9) == 5.0
    assert sent == []


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 2), (0.75, 3), (0.76, 4), (0.99, 4), (1.0, 4)])
def test_a_percentile_is_a_measured_value_when_between_two(share: float, expected: float) -> None:
    """Nearest rank, no interpolation."""
    assert percentile([3, 1, 4, 2], share) == expected


def test_a_percentile_is_not_a_number_when_nothing_was_measured() -> None:
    """No value is not zero."""
    assert math.isnan(percentile([], 0.5))
