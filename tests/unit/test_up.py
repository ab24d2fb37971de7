"""What `hub up` tells its children beside the addresses."""

import msgspec
import pytest

from hub.platform.settings import Settings
from hub.up import _environment


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHONE_MINUTE", "PHONE_HOUR", "ADDRESS_HOUR"):
        monkeypatch.delenv(f"HUB__ACCOUNTS__CODES_PER_{name}", raising=False)


def test_codes_are_not_scarce_when_they_are_shown_to_the_asker() -> None:
    """Whoever tries the hub signs in again and again."""
    told = _environment(Settings())

    assert told["HUB__ACCOUNTS__CODES_PER_PHONE_MINUTE"] == "30"
    assert told["HUB__ACCOUNTS__CODES_PER_PHONE_HOUR"] == "200"
    assert told["HUB__ACCOUNTS__CODES_PER_ADDRESS_HOUR"] == "2000"


def test_a_limit_stays_when_somebody_chose_it() -> None:
    """Only defaults are widened."""
    settings = msgspec.convert({"accounts": {"codes_per_phone_hour": 7}}, Settings)
    told = _environment(settings)

    assert "HUB__ACCOUNTS__CODES_PER_PHONE_HOUR" not in told
    assert "HUB__ACCOUNTS__CODES_PER_PHONE_MINUTE" in told
