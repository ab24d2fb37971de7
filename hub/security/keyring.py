"""The secrets of one installation: the master keys that wrap data keys, and the signing key. Not what uses them."""

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.platform.settings import BadSettings, Settings

MASTER_KEY_BYTES = 32
SIGNING_KEY_BYTES = 32
_MASTER_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key file holds: the same two strings as the settings `security.master_keys` and `security.signing_key`."""

    master_keys: str
    signing_key: str


@dataclass(frozen=True, slots=True)
class Keyring:
    """All master keys open what they sealed; the first one seals. Nothing of it is ever shown or logged."""

    master_keys: dict[str, bytes] = field(repr=False)
    signing_key: bytes = field(repr=False)

    @property
    def current(self) -> str:
        """The id of the master key that seals."""
        return next(iter(self.master_keys))

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose only (HKDF-SHA256), so that no two uses share a key. Keep the result."""
        return derive(self.signing_key, purpose)


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte sub-key of a secret that is itself random (RFC 5869; random input needs no salt)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"hub {purpose}".encode()).derive(secret)


def key_path(settings: Settings) -> Path:
    """Where the key file is, or would be."""
    return Path(settings.security.key_file or Path(settings.data.dir) / "keys.json")


def load_keyring(settings: Settings) -> Keyring:
    """The keys from the settings (so the environment), else from the key file; `BadSettings` says what is wrong."""
    chosen = settings.security
    if chosen.master_keys and chosen.signing_key:
        return _parse(KeyFile(chosen.master_keys, chosen.signing_key), "security")
    if chosen.master_keys or chosen.signing_key:
        missing = "signing_key" if chosen.master_keys else "master_keys"
        raise BadSettings(f"security.{missing} is not set: master_keys and signing_key come together")
    path = key_path(settings)
    try:
        content = msgspec.json.decode(_read_private(path), type=KeyFile)
    except msgspec.MsgspecError as error:
        raise BadSettings(f"{path}: not a key file: {error}") from error
    return _parse(content, str(path))


def create_key_file(path: Path) -> bool:
    """Make a key file with fresh keys, readable by its owner only; False if there is one, which is never touched.

    Several processes may try at once, and a crash leaves either the whole file or none.
    """
    master = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()
    signing = base64.b64encode(secrets.token_bytes(SIGNING_KEY_BYTES)).decode()
    content = KeyFile(master_keys=f"k{secrets.token_hex(4)}:{master}", signing_key=signing)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _publish(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    except OSError as error:
        raise BadSettings(f"{path}: cannot make a key file: {error.strerror or error}") from error


def _publish(path: Path, content: bytes) -> bool:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # link() fails if the name is taken, rename() would replace the other process's keys.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    _sync_directory(path.parent)
    return True


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadSettings(f"{path}: others may read this key file; run: chmod 600 {path}")
            return file.read()
    except FileNotFoundError as error:
        raise BadSettings(
            f"{path}: there is no key file (security.key_file), and security.master_keys is not set"
        ) from error
    except OSError as error:
        raise BadSettings(f"{path}: cannot read the key file: {error.strerror or error}") from error


def _parse(content: KeyFile, source: str) -> Keyring:
    masters: dict[str, bytes] = {}
    for item in content.master_keys.split(","):
        key_id, colon, encoded = item.strip().partition(":")
        # The message never repeats the item: a malformed one may be a bare key.
        if not colon or not _MASTER_KEY_ID.fullmatch(key_id):
            raise BadSettings(f"{source}: master_keys must be id:base64, several separated by commas")
        if key_id in masters:
            raise BadSettings(f"{source}: master_keys has the id {key_id} twice")
        masters[key_id] = _decode(encoded, f"{source}: master key {key_id}")
        if len(masters[key_id]) != MASTER_KEY_BYTES:
            raise BadSettings(f"{source}: master key {key_id} must be {MASTER_KEY_BYTES} bytes")
    signing = _decode(content.signing_key, f"{source}: signing_key")
    if len(signing) < SIGNING_KEY_BYTES:
        raise BadSettings(f"{source}: signing_key must be at least {SIGNING_KEY_BYTES} bytes")
    return Keyring(masters, signing)


def _decode(encoded: str, what: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSettings(f"{what} is not base64") from error
