"""Where the embedded servers live: reachable for their user, private to everybody else, and the same at every start."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from hub.platform import embedded_home
from hub.platform.embedded_home import ServerFailed, free_port, open_home, port_is_free, reachable, write_private


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the temporary folder that everybody shares."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(embedded_home, "SHARED_TEMPORARY", folder)
    return folder


def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_home, "_identity", lambda _data: (65534, 65534))


def test_home_is_the_data_folder_when_we_are_an_ordinary_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside of the data folder is touched, however private it is."""
    monkeypatch.setattr(embedded_home, "_identity", lambda _data: (None, None))
    said: list[str] = []
    home = open_home(tmp_path / "data", said.append)

    assert home.path == tmp_path / "data"
    assert said == []


def test_home_is_outside_and_said_once_when_the_servers_user_cannot_pass(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's private folder stays private; the place is remembered even if the folder is opened later."""
    as_root(monkeypatch)
    tmp_path.chmod(0o700)
    said: list[str] = []
    first = open_home(tmp_path / "data", said.append)
    tmp_path.chmod(0o755)
    second = open_home(tmp_path / "data", said.append)

    assert first.path.parent == shared
    assert second == first
    assert len(said) == 1


def test_home_is_refused_when_somebody_else_made_it_first(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shared folder a link with our name is a trap."""
    as_root(monkeypatch)
    tmp_path.chmod(0o700)
    path = open_home(tmp_path / "data", print).path
    shutil.rmtree(path)
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServerFailed, match="belongs to somebody else"):
        open_home(tmp_path / "data", print)


def test_home_is_the_folder_where_it_is_now_when_it_was_copied_or_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered holds no path."""
    monkeypatch.setattr(embedded_home, "_identity", lambda _data: (None, None))
    first = open_home(tmp_path / "data", print)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    copy = open_home(tmp_path / "copy", print)
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = open_home(tmp_path / "moved", print)

    assert (copy.path, moved.path) == (tmp_path / "copy", tmp_path / "moved")
    assert first.memory == copy.memory == moved.memory


def test_home_outside_stays_with_the_original_when_the_data_folder_is_copied(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two data folders never share databases: the copy gets its own, and is told."""
    as_root(monkeypatch)
    tmp_path.chmod(0o700)
    first = open_home(tmp_path / "data", print)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    said: list[str] = []
    copy = open_home(tmp_path / "copy", said.append)

    assert copy.path.parent == shared
    assert copy.path != first.path
    assert "is a copy" in said[0]
    assert open_home(tmp_path / "data", print) == first
    assert open_home(tmp_path / "copy", print) == copy


def test_home_outside_is_kept_when_the_data_folder_is_moved(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a new folder in the old place begins anew."""
    as_root(monkeypatch)
    tmp_path.chmod(0o700)
    first = open_home(tmp_path / "data", print)
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = open_home(tmp_path / "moved", print)
    second = open_home(tmp_path / "data", print)

    assert moved.path == first.path
    assert moved.memory == first.memory
    assert second.path not in (tmp_path / "data", first.path)


def test_home_is_refused_when_it_was_moved_to_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, in place of what initdb or PostgreSQL say of a folder that they cannot enter."""
    as_root(monkeypatch)
    monkeypatch.setattr(embedded_home, "reachable", lambda _path: True)
    open_home(tmp_path / "data", print)
    monkeypatch.setattr(embedded_home, "reachable", lambda _path: False)
    with pytest.raises(ServerFailed, match="is closed to the user"):
        open_home(tmp_path / "data", print)


def test_memory_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    """A damaged file is not replaced by fresh passwords that would lock the data away."""
    (tmp_path / "embedded.json").write_text("{")
    with pytest.raises(ServerFailed, match=r"embedded\.json"):
        open_home(tmp_path, print)


def test_private_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Passwords and addresses are nobody else's, from the first byte on."""
    write_private(tmp_path / "secret", b"one")
    write_private(tmp_path / "secret", b"two")

    assert (tmp_path / "secret").read_bytes() == b"two"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_folder_is_reachable_only_when_every_parent_is(tmp_path: Path) -> None:
    """One closed parent is enough."""
    (tmp_path / "inner").mkdir()
    tmp_path.chmod(0o700)

    assert not reachable(tmp_path / "inner")
    assert reachable(Path("/"))


def test_port_is_not_free_when_somebody_listens() -> None:
    """The port that was remembered may be somebody else's by now."""
    port = free_port()
    assert port_is_free(port)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()

        assert not port_is_free(port)
