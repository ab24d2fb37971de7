"""The keys of an installation are made once, kept private, and a bad one stops the start with a clear line."""

import base64
import os
from pathlib import Path

import pytest

from hub.platform.settings import BadSettings, Data, Security, Settings
from hub.security.keyring import Keyring, create_key_file, key_path, load_keyring

KEY = base64.b64encode(b"m" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()
SIGNING_KEY = base64.b64encode(b"s" * 40).decode()


def in_folder(folder: Path) -> Settings:
    return Settings(data=Data(dir=str(folder)))


def from_environment(master_keys: str, signing_key: str = SIGNING_KEY) -> Settings:
    return Settings(security=Security(master_keys=master_keys, signing_key=signing_key))


def test_a_key_file_is_made_once_and_loads_when_nothing_else_is_set(tmp_path: Path) -> None:
    """A second start finds the keys of the first, which only their owner may read."""
    path = key_path(in_folder(tmp_path / "data"))

    assert create_key_file(path) is True
    first = load_keyring(in_folder(tmp_path / "data"))
    assert create_key_file(path) is False
    assert load_keyring(in_folder(tmp_path / "data")) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["keys.json"]
    assert len(first.signing_key) == 32
    assert len(first.master_keys[first.current]) == 32


def test_a_key_file_readable_by_others_is_refused(tmp_path: Path) -> None:
    """A leaked key file must not go unnoticed."""
    path = key_path(in_folder(tmp_path))
    create_key_file(path)
    path.chmod(0o640)

    with pytest.raises(BadSettings, match="chmod 600"):
        load_keyring(in_folder(tmp_path))


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    """The line says where the file was looked for and what may be set instead."""
    with pytest.raises(BadSettings, match=r"keys\.json.*security\.master_keys"):
        load_keyring(in_folder(tmp_path))


@pytest.mark.parametrize("content", ["", "[]", '{"master_keys": "a:b"}', '{"master_keys":"","signing_key":"","x":1}'])
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, content: str) -> None:
    """A damaged file stops the start instead of making other keys."""
    path = key_path(in_folder(tmp_path))
    path.touch(0o600)
    path.write_text(content)

    with pytest.raises(BadSettings, match=r"keys\.json"):
        load_keyring(in_folder(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The reason is said in one line."""
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSettings, match="cannot make a key file"):
        create_key_file(tmp_path / "file" / "keys.json")


def test_the_environment_wins_and_its_first_key_seals(tmp_path: Path) -> None:
    """Several master keys open; the first one seals."""
    keyring = load_keyring(from_environment(f"new:{KEY}, old:{OTHER_KEY}"))

    assert keyring.current == "new"
    assert keyring.master_keys == {"new": b"m" * 32, "old": b"o" * 32}
    assert keyring.signing_key == b"s" * 40


@pytest.mark.parametrize(
    ("master_keys", "signing_key", "complaint"),
    [
        (KEY, SIGNING_KEY, "id:base64"),
        ("a b:" + KEY, SIGNING_KEY, "id:base64"),
        (f"a:{KEY},a:{KEY}", SIGNING_KEY, "twice"),
        ("a:***", SIGNING_KEY, "not base64"),
        ("a:" + base64.b64encode(b"short").decode(), SIGNING_KEY, "32 bytes"),
        ("a:" + KEY, base64.b64encode(b"short").decode(), "at least 32"),
        ("a:" + KEY, "", r"security\.signing_key is not set"),
        ("", SIGNING_KEY, r"security\.master_keys is not set"),
    ],
)
def test_a_bad_key_is_named_and_never_shown(master_keys: str, signing_key: str, complaint: str) -> None:
    """The complaint says what is wrong and does not repeat the key."""
    with pytest.raises(BadSettings, match=complaint) as caught:
        load_keyring(from_environment(master_keys, signing_key))
    assert KEY not in str(caught.value)


def test_keys_differ_by_purpose_and_are_stable() -> None:
    """One signing key serves many purposes without sharing a key among them."""
    keyring = Keyring({"a": b"m" * 32}, b"s" * 32)

    assert keyring.derive("tokens") == keyring.derive("tokens")
    assert keyring.derive("tokens") != keyring.derive("links")
    assert len(keyring.derive("tokens")) == 32


def test_a_keyring_shows_no_key_when_printed() -> None:
    """A traceback or a log line of it holds no secret."""
    assert repr(Keyring({"a": b"m" * 32}, b"s" * 32)) == "Keyring()"
