"""Uploads and downloads hold a bounded number of bytes, in all and per person."""

import pytest

from hub.messaging.attachment_transfer import Transfers
from hub.platform.error import ErrorCode, Refusal


def test_bytes_are_refused_when_the_process_holds_enough_and_accepted_when_they_are_given_back() -> None:
    """Overload is refused at once and politely, and passes (P15)."""
    transfers = Transfers(total_bytes=100, per_user=9)
    with transfers.admit("a") as first:
        first.hold(60)
        with transfers.admit("b") as second:
            second.hold(40)
            with pytest.raises(Refusal) as refused:
                second.hold(1)
        with transfers.admit("b") as third:
            third.hold(40)

    assert refused.value.code == ErrorCode.OVERLOADED
    assert refused.value.retry_after_ms
    with transfers.admit("c") as last:
        last.hold(100)


def test_one_person_is_refused_when_they_run_many_and_others_are_not() -> None:
    """Who opens many transfers hurts only themselves (P7)."""
    transfers = Transfers(total_bytes=100, per_user=2)
    with transfers.admit("a"), transfers.admit("a"):
        with pytest.raises(Refusal) as refused, transfers.admit("a"):
            pass
        with transfers.admit("b"):
            pass

    assert refused.value.code == ErrorCode.RATE_LIMITED
    with transfers.admit("a"):
        pass
