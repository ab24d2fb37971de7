"""Who may not see a phone number, an id card or a name sees its masked form (contract, section 5)."""

import pytest

from hub.security.masking import mask_id_card, mask_name, mask_phone, name_for, phone_for


@pytest.mark.parametrize(
    ("name", "masked"), [("", ""), ("张", "*"), ("张三", "张*"), ("张小三", "张*三"), ("欧阳小三", "欧*三")]
)
def test_a_name_is_masked(name: str, masked: str) -> None:
    """One character `*`, two `张*`, three or more `张*三`."""
    assert mask_name(name) == masked


@pytest.mark.parametrize(("phone", "masked"), [("13800138000", "138****8000"), ("1234567", "*******"), ("", "")])
def test_a_phone_is_masked(phone: str, masked: str) -> None:
    """The middle is hidden; something too short is hidden whole."""
    assert mask_phone(phone) == masked


def test_an_id_card_is_masked() -> None:
    """Region and last four remain."""
    assert mask_id_card("110101199001011234") == "110101********1234"
    assert mask_id_card("1234567890") == "*" * 10


def test_who_may_see_sees_it_whole() -> None:
    """Everybody else sees the masked form; no phone stays none."""
    assert (name_for("张小三", allowed=True), name_for("张小三", allowed=False)) == ("张小三", "张*三")
    assert (phone_for("13800138000", allowed=True), phone_for("13800138000", allowed=False)) == (
        "13800138000",
        "138****8000",
    )
    assert (phone_for(None, allowed=True), phone_for(None, allowed=False)) == (None, None)
