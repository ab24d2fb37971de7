"""What of a person's wishes is refused, and by which name."""

import pytest

from hub.notices.model import ClassPreference, QuietHours
from hub.notices.notice_class import CLASSES
from hub.notices.preference import Preference, checked
from hub.platform.error import Refusal
from hub.platform.text import TEXTS


def faults(**wanted: object) -> dict[str, str]:
    with pytest.raises(Refusal) as refused:
        checked(Preference(**wanted), CLASSES)  # type: ignore[arg-type]
    assert set(refused.value.fields.values()) <= set(TEXTS)
    return refused.value.fields


def test_everything_that_is_wrong_is_named() -> None:
    """At once, so that a person mends it at once."""
    wanted = {"nope": ClassPreference(off=True), "chat": ClassPreference(channels_off=["fax"])}
    found = faults(timezone="Mars/Olympus", quiet=QuietHours(from_="24:00", to="7:00"), classes=wanted)

    assert found == {
        "timezone": "timezone_unknown",
        "quiet.from": "time_of_day_invalid",
        "quiet.to": "time_of_day_invalid",
        "classes.nope": "notice_class_unknown",
        "classes.chat.channelsOff": "notice_channel_unknown",
    }


@pytest.mark.parametrize("clock", ["", "7:00", "07:60", "24:00", "07:00:00", "０７:00", "07:00\n"])
def test_only_a_time_of_day_is_one(clock: str) -> None:
    """Two digits, a colon, two digits."""
    assert faults(quiet=QuietHours(from_="22:00", to=clock)) == {"quiet.to": "time_of_day_invalid"}


def test_hours_that_end_as_they_begin_are_refused() -> None:
    """Nobody could tell whether that is always or never."""
    assert faults(quiet=QuietHours(from_="08:00", to="08:00")) == {"quiet.to": "quiet_same"}


@pytest.mark.parametrize(
    "chosen",
    [ClassPreference(off=True), ClassPreference(channels_off=["webpush", "wecom", "wechat", "sms", "email"])],
)
def test_a_mandatory_class_cannot_be_switched_off(chosen: ClassPreference) -> None:
    """Nor by switching off each of its channels; some of them may be."""
    some = {"health_alert": ClassPreference(channels_off=["email"])}

    assert faults(classes={"health_alert": chosen}) == {"classes.health_alert": "notice_class_mandatory"}
    assert checked(Preference(classes=some), CLASSES).classes == some


def test_what_says_nothing_is_not_kept() -> None:
    """And channels come once, in one order."""
    wanted = {"order": ClassPreference(), "chat": ClassPreference(channels_off=["sms", "webpush", "sms"])}

    assert checked(Preference(classes=wanted), CLASSES).classes == {
        "chat": ClassPreference(channels_off=["webpush", "sms"])
    }
