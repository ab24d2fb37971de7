"""What is taken as an address, and what its owner sees of it."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.notices.address import (
    CODE_TRIES,
    EmailCode,
    Held,
    Kind,
    checked_email,
    checked_wecom,
    code_fits,
    code_hash,
    masked,
)
from hub.platform.error import Refusal

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = b"k" * 32


@pytest.mark.parametrize("email", [" Li.Ming+1@Mail.Example.COM ", "a@b.cn", "o'hara@example.com"])
def test_a_mailbox_is_kept_in_lower_case(email: str) -> None:
    """Two that differ in case only are one."""
    assert checked_email(email) == email.strip().lower()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@b",
        "@b.cn",
        "a@b..cn",
        ".a@b.cn",
        "a..b@b.cn",
        "a@-b.cn",
        "a,b@b.cn",
        "<a@b.cn>",
        "a@b.cn\r\nx",
        "a" * 250 + "@b.cn",
    ],
)
def test_what_a_mail_server_could_take_for_something_else_is_none(email: str) -> None:
    """Nor is what no server would take."""
    with pytest.raises(Refusal) as refused:
        checked_email(email)

    assert refused.value.fields == {"email": "email_invalid"}


@pytest.mark.parametrize("user_id", ["", "a|b", "@all", "张三", "a" * 65, "a b", "zhang\n"])
def test_a_name_at_wecom_reaches_one_member(user_id: str) -> None:
    """`@all` would be everybody, and `|` two."""
    with pytest.raises(Refusal) as refused:
        checked_wecom(user_id)

    assert refused.value.fields == {"userId": "wecom_user_invalid"}


@pytest.mark.parametrize(
    ("channel", "value", "shown"),
    [
        ("sms", "13812348000", "138****8000"),
        ("email", "li.ming@example.com", "l***@example.com"),
        ("wecom", "ZhangSan", "Z***n"),
        ("wechat", "oABCDEFGx", "o***x"),
        ("webpush", "https://fcm.googleapis.com/fcm/send/secret", "fcm.googleapis.com"),
    ],
)
def test_an_address_is_masked(channel: Kind, value: str, shown: str) -> None:
    """Enough to tell it from another."""
    assert masked(Held(id="", channel=channel, value=value, session=None, created_at=None)) == shown


def test_a_code_fits_its_person_and_mailbox_in_time() -> None:
    """And not after too many tries."""
    hashed = code_hash(KEY, "u1", "a@b.cn", "123456")

    def fits(user: str = "u1", email: str = "a@b.cn", code: str = "123456", later_s: int = 0, tries: int = 0) -> bool:
        stored = EmailCode("id", email, hashed, tries, NOW + timedelta(seconds=600))
        return code_fits(stored, KEY, user, code, NOW + timedelta(seconds=later_s))

    assert fits()
    assert fits(later_s=599, tries=CODE_TRIES - 1)
    assert not fits(user="u2")
    assert not fits(email="c@d.cn")
    assert not fits(code="123457")
    assert not fits(later_s=600)
    assert not fits(tries=CODE_TRIES)
