"""Settings come from the file, then from the environment; what cannot be used stops the start and is named."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from hub.platform.settings import BadSettings, Settings, load

CONFIG = Path(__file__).parents[2] / "config.toml"


def test_the_file_holds_every_default() -> None:
    """Reading config.toml tells what happens without it."""
    assert tomllib.loads(CONFIG.read_text(encoding="utf-8")) == msgspec.to_builtins(Settings())


def test_the_environment_wins_when_both_are_set(tmp_path: Path) -> None:
    """Text from the environment becomes the setting's type."""
    (tmp_path / "config.toml").write_text("[server]\nport = 1\nprocesses = 2\n")
    found = load(tmp_path / "config.toml", {"HUB__SERVER__PORT": "9"}).server

    assert (found.port, found.processes) == (9, 2)


@pytest.mark.parametrize(
    ("section", "key", "value", "possible"),
    [
        ("attachments", "store", "ftp", "local, s3"),
        ("accounts", "sms_sender", "aliyun", "development, sms"),
        ("log", "level", "foo", "debug, info, warning, error"),
        ("log", "format", "xml", "console, json"),
    ],
)
def test_an_unknown_choice_is_refused_with_what_is_possible(
    tmp_path: Path, section: str, key: str, value: str, possible: str
) -> None:
    """In one line, before anything is started; from the environment and from the file."""
    name = f"HUB__{section}__{key}".upper()
    with pytest.raises(BadSettings, match=f"{name}: .*'{value}'; possible: {possible}$") as found:
        load(None, {name: value})
    (tmp_path / "config.toml").write_text(f'[{section}]\n{key} = "{value}"\n')
    with pytest.raises(BadSettings, match=rf"{section}\.{key}.*; possible: {possible}$"):
        load(tmp_path / "config.toml", {})

    assert "\n" not in str(found.value)


def test_codes_are_not_shown_where_they_can_be_sent() -> None:
    """The development sender beside a real one stops every command."""
    with pytest.raises(BadSettings, match=r"accounts\.sms_sender"):
        load(None, {"HUB__SMS__PROVIDERS": "aliyun"})

    sent = load(None, {"HUB__SMS__PROVIDERS": "aliyun", "HUB__ACCOUNTS__SMS_SENDER": "sms"})
    assert sent.accounts.sms_sender == "sms"


@pytest.mark.parametrize("name", ["HUB__SERVER__PROT", "HUB__SEVER__PORT", "HUB__PORT"])
def test_an_unknown_key_is_refused_with_its_name(name: str) -> None:
    """A typing error does not go unnoticed."""
    with pytest.raises(BadSettings, match=f"{name}: there is no such setting"):
        load(None, {name: "1"})


def test_a_value_out_of_range_is_refused_with_its_name() -> None:
    """A port is a port."""
    with pytest.raises(BadSettings, match="HUB__SERVER__PORT"):
        load(None, {"HUB__SERVER__PORT": "70000"})
