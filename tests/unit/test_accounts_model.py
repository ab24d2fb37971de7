"""The rules of codes, refresh tokens and what people may call themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.accounts.model import (
    Code,
    RefreshToken,
    Scene,
    User,
    Verdict,
    check_active,
    checked_avatar,
    checked_name,
    checked_phone,
    code_fits,
    code_hash,
    is_signed_ticket,
    judge,
    sign_ticket,
)
from hub.platform.error import ErrorCode, Refusal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PHONE = "13800138000"
KEY = b"k" * 32


def code(scene: Scene = "login", attempts: int = 0, left_s: float = 1, consumed: bool = False) -> Code:
    hashed = code_hash(KEY, PHONE, "login", "123456")
    until = NOW + timedelta(seconds=left_s)
    return Code("id", scene, hashed, attempts, until, NOW if consumed else None)


def fits(stored: Code, phone: str = PHONE, given: str = "123456", key: bytes = KEY) -> bool:
    return code_fits(stored, key, phone, given, NOW, attempts=5)


def test_a_code_fits_only_as_it_was_sent() -> None:
    """Right digits, phone and scene, in time, unused, before too many guesses."""
    assert fits(code(attempts=4))
    assert not fits(code(), given="123457")
    assert not fits(code(), phone="13800138001")
    assert not fits(code(), key=b"o" * 32)
    assert not fits(code(scene="register"))
    assert not fits(code(attempts=5))
    assert not fits(code(left_s=0))
    assert not fits(code(consumed=True))


@pytest.mark.parametrize(
    ("used_s_ago", "left_s", "revoked", "verdict"),
    [
        (None, 1, False, Verdict.FRESH),
        (None, 0, False, Verdict.EXPIRED),
        (30, 1, False, Verdict.REPEATED),
        (31, 1, False, Verdict.REUSED),
        (31, 0, False, Verdict.REUSED),
        (None, 1, True, Verdict.REVOKED),
        (31, 1, True, Verdict.REVOKED),
    ],
)
def test_a_refresh_token_is_judged(used_s_ago: int | None, left_s: int, revoked: bool, verdict: Verdict) -> None:
    """Used once and again within the grace is a lost answer; later it is a stolen token."""
    used_at = None if used_s_ago is None else NOW - timedelta(seconds=used_s_ago)
    token = RefreshToken("s", NOW + timedelta(seconds=left_s), used_at, NOW if revoked else None)

    assert judge(token, NOW, grace_s=30) is verdict


def test_a_ticket_is_believed_only_with_our_signature() -> None:
    """A made-up ticket is told without a database."""
    ticket = sign_ticket(KEY, "random")

    assert is_signed_ticket(KEY, ticket)
    assert not is_signed_ticket(b"o" * 32, ticket)
    for forged in ("", "random", "other." + ticket.partition(".")[2], ticket[:-1], "é.é"):
        assert not is_signed_ticket(KEY, forged)


@pytest.mark.parametrize("phone", ["", "12800138000", "1380013800", "138001380000", "+8613800138000", "１3800138000"])
def test_a_phone_that_is_none_is_refused_by_name(phone: str) -> None:
    """Only mainland mobile numbers, in ASCII digits."""
    with pytest.raises(Refusal) as refused:
        checked_phone(phone)
    assert refused.value.fields == {"phone": "phone_invalid"}
    assert checked_phone(PHONE) == PHONE


def test_a_name_and_an_avatar_are_checked() -> None:
    """Nothing that breaks a line, runs a script, or fills a page."""
    assert checked_name(" 张三 ") == "张三"
    assert checked_avatar("") == ""
    assert checked_avatar("https://a.example/b.png") == "https://a.example/b.png"
    for name in ("", "  ", "a" * 51, "a\x00b", "a\nb"):
        with pytest.raises(Refusal) as refused:
            checked_name(name)
        assert "name" in refused.value.fields
    for avatar in ("http://a.example", "javascript:alert(1)", "https://" + "a" * 500, "https://a\n"):
        with pytest.raises(Refusal) as refused:
            checked_avatar(avatar)
        assert "avatar" in refused.value.fields


@pytest.mark.parametrize("status", ["inactive", "suspended"])
def test_an_account_that_is_not_active_is_refused(status: str) -> None:
    """The reason is said."""
    user = User("id", PHONE, "", "", "patient", "basic", status)
    with pytest.raises(Refusal) as refused:
        check_active(user)
    assert (refused.value.code, refused.value.text) == (ErrorCode.FORBIDDEN, f"account_{status}")
