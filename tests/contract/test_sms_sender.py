"""Every SMS sender: takes a code, shows it to nobody who should not see it, and logs no full phone number."""

import pytest
from structlog.testing import capture_logs

from hub.accounts.sms import SmsSender, build_sender
from hub.platform.settings import BadSettings

PHONE = "13800138000"


@pytest.fixture(params=["development"])
def sender(request: pytest.FixtureRequest) -> SmsSender:
    return build_sender(request.param)


async def test_a_code_is_taken_and_the_phone_stays_out_of_the_log(sender: SmsSender) -> None:
    """Whatever the sender does, a full number is nowhere in the log."""
    with capture_logs() as logs:
        shown = await sender.send_code(PHONE, "123456")

    assert shown in (None, "123456")
    assert PHONE not in str(logs)


async def test_the_development_sender_shows_the_code() -> None:
    """In development the code is in the log and in the answer."""
    with capture_logs() as logs:
        shown = await build_sender("development").send_code(PHONE, "123456")

    assert shown == "123456"
    assert {"development_sms_sender", "sms_code"} == {entry["event"] for entry in logs}
    assert logs[1]["code"] == "123456"
    assert logs[1]["phone"] == "138****8000"


def test_an_unknown_sender_stops_the_start() -> None:
    """A misspelt name must not fall back to showing codes to everybody."""
    with pytest.raises(BadSettings, match=r"accounts\.sms_sender.*aliyun"):
        build_sender("aliyun")
