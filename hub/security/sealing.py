"""Sealing at rest (P12): one data key per subject, wrapped by the master key; destroying it erases what it sealed."""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Collection
from typing import Generic, TypeVar

import asyncpg
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.platform.clock import Clock, SystemClock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring, derive
from hub.security.rotation import aim, take_stale

NONCE_BYTES = 12
DATA_KEY_BYTES = 32
CACHED_KEYS = 20_000  # about 1.5 KB each, so 30 MB a process
CACHE_S = 60.0  # a key destroyed on another node opens nothing here after this
ROTATION_BATCH = 500

_SELECT_BY_SUBJECT = "SELECT id, subject, wrapped, master_key FROM data_keys WHERE subject = $1"
_SELECT_BY_SUBJECTS = "SELECT id, subject, wrapped, master_key FROM data_keys WHERE subject = ANY($1::uuid[])"
_SELECT_BY_IDS = "SELECT id, subject, wrapped, master_key FROM data_keys WHERE id = ANY($1::uuid[])"
_INSERT = """INSERT INTO data_keys (id, subject, wrapped, master_key) VALUES ($1, $2, $3, $4)
             ON CONFLICT (subject) DO NOTHING RETURNING id"""
# A subject without a key gets a row all the same: nothing of an erased person may be sealed afresh.
_DESTROY = """INSERT INTO data_keys (id, subject, wrapped, master_key, destroyed_at)
              VALUES (:id, :subject, NULL, :master_key, clock_timestamp())
              ON CONFLICT (subject) DO UPDATE
              SET wrapped = NULL, destroyed_at = COALESCE(data_keys.destroyed_at, clock_timestamp()) RETURNING id"""
_REWRAP = """UPDATE data_keys SET wrapped = fresh.wrapped, master_key = $3
             FROM unnest($1::uuid[], $2::bytea[]) AS fresh(id, wrapped) WHERE data_keys.id = fresh.id"""


log = structlog.get_logger("hub.sealing")


class UnknownMasterKey(Exception):
    """A data key was wrapped by a master key that this process does not have: its keys are incomplete."""


class DataKey:
    """The key of one subject. `context` binds a sealed value to its place: it opens nowhere else."""

    __slots__ = ("_cipher", "_digest_key", "id", "subject")

    def __init__(self, key_id: str, subject: str, secret: bytes) -> None:
        self.id = key_id
        self.subject = subject
        self._cipher = AESGCM(secret)
        self._digest_key = derive(secret, "digest")

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """A random nonce and the ciphertext (AES-256-GCM); a random nonce is safe for 2^32 values under one key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed; `cryptography.exceptions.InvalidTag` for another key, another context or a changed byte."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)

    def digest(self, data: bytes) -> bytes:
        """16 bytes that equal data share and that say nothing to who lacks the key."""
        return hashlib.blake2b(data, digest_size=16, key=self._digest_key).digest()


Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Least recently used out first; nothing lives longer than `life_s` from the moment its reading began."""

    def __init__(self, size: int, life_s: float) -> None:
        self._size = size
        self._life_s = life_s
        self._items: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def get(self, key: str, now: float) -> tuple[Value] | None:
        """The value in a tuple, so that a stored None is told from nothing."""
        item = self._items.get(key)
        if item is None:
            return None
        if now - item[0] >= self._life_s:
            del self._items[key]
            return None
        self._items.move_to_end(key)
        return (item[1],)

    def put(self, key: str, value: Value, read_at: float) -> None:
        self._items[key] = (read_at, value)
        self._items.move_to_end(key)
        if len(self._items) > self._size:
            self._items.popitem(last=False)

    def drop(self, key: str) -> None:
        self._items.pop(key, None)


class Sealer:
    """Hands out data keys. One per process; needs no closing."""

    def __init__(self, keyring: Keyring, database: Database, clock: Clock | None = None) -> None:
        self._keyring = keyring
        self._masters = {key_id: AESGCM(secret) for key_id, secret in keyring.master_keys.items()}
        self._database = database
        self._clock = clock or SystemClock()
        self._by_subject: Cache[DataKey] = Cache(CACHED_KEYS, CACHE_S)
        self._by_id: Cache[DataKey | None] = Cache(CACHED_KEYS, CACHE_S)
        self._destroying: Cache[bool] = Cache(CACHED_KEYS, CACHE_S)
        self._loading: dict[str, asyncio.Task[DataKey]] = {}

    def cached(self, subject: str) -> DataKey | None:
        """The subject's key if it is at hand; otherwise ask `key_for`."""
        found = self._by_subject.get(subject, self._clock.monotonic())
        return found[0] if found else None

    def cached_id(self, key_id: str) -> DataKey | None:
        """The key with this id if it is at hand; None says nothing about the key, ask `by_ids`."""
        found = self._by_id.get(key_id, self._clock.monotonic())
        return found[0] if found else None

    async def key_for(self, subject: str) -> DataKey:
        """The subject's key, made on first use and committed before it is returned; a destroyed one is not found."""
        if key := self.cached(subject):
            return key
        loading = self._loading.get(subject)
        if loading is None:
            loading = asyncio.create_task(self._load(subject), name="load data key")
            self._loading[subject] = loading
            loading.add_done_callback(lambda task: self._loaded(subject, task))
        # Shielded: a caller who gives up must not fail the others who wait for the same key.
        return await asyncio.shield(loading)

    async def keys_for(self, subjects: Collection[str]) -> dict[str, DataKey | None]:
        """The keys of all these, those that are not at hand read in one statement; None where it was destroyed or
        cannot be opened here."""
        keys: dict[str, DataKey | None] = {subject: self.cached(subject) for subject in subjects}
        now = self._clock.monotonic()
        if missing := [subject for subject, key in keys.items() if key is None]:
            rows = {str(row["subject"]): row for row in await self._database.log.fetch(_SELECT_BY_SUBJECTS, missing)}
            for subject in missing:
                row = rows.get(subject)
                if row is None:
                    keys[subject] = await self.key_for(subject)  # the first time; rare
                elif row["wrapped"] is not None:
                    keys[subject] = self._opened(row, subject, now)
        return keys

    def _opened(self, row: asyncpg.Record, subject: str, now: float) -> DataKey | None:
        """None where its master key is not known here: one of many must not keep the others from being written to."""
        try:
            key = self._unwrap(row)
        except UnknownMasterKey as error:
            log.error("data key cannot be opened", subject=subject, error=str(error))
            return None
        self._keep(key.id, subject, key, now)
        return key

    async def by_ids(self, ids: Collection[str]) -> dict[str, DataKey | None]:
        """All these keys, the missing ones read in one statement; None where the key was destroyed."""
        now = self._clock.monotonic()
        keys: dict[str, DataKey | None] = dict.fromkeys(ids)
        missing = [key_id for key_id in keys if not self._take(keys, key_id, now)]
        if missing:
            for row in await self._database.log.fetch(_SELECT_BY_IDS, missing):
                key = self._unwrap(row) if row["wrapped"] is not None else None
                keys[str(row["id"])] = key
                self._keep(str(row["id"]), str(row["subject"]), key, now)
        return keys

    async def destroy(self, connection: AsyncConnection, subject: str) -> None:
        """Erase the key for ever, in the caller's transaction. This node obeys at its commit, others in `CACHE_S`."""
        values = {"id": new_id(), "subject": subject, "master_key": self._keyring.current}
        key_id = str((await connection.execute(text(_DESTROY), values)).scalar_one())
        # The commit is still to come, so a read begun before it may return the key; nothing is kept of it meanwhile.
        self._destroying.put(subject, True, self._clock.monotonic())
        self._by_subject.drop(subject)
        self._by_id.drop(key_id)

    async def rotate(self) -> int:
        """Wrap every data key with the current master key; the answer is how many were not. May be repeated.

        Every node must know the new master key (anywhere in its list) before one node seals with it. Raises
        `OutdatedMasterKey` where another has followed the current one.
        """
        rotated = 0
        while batch := await self.rotate_batch():
            rotated += batch
        return rotated

    async def rotate_batch(self) -> int:
        """One transaction of it, under the same condition. 0: nothing is left, or others are at what is."""
        async with self._database.log.acquire() as connection, connection.transaction():
            await aim(connection, self._keyring.current)
            rows = await take_stale(connection, self._keyring.current, ROTATION_BATCH)
            wrapped = [self._wrap(str(row["id"]), str(row["subject"]), self._secret(row)) for row in rows]
            if rows:
                await connection.execute(_REWRAP, [row["id"] for row in rows], wrapped, self._keyring.current)
        return len(rows)

    def _take(self, keys: dict[str, DataKey | None], key_id: str, now: float) -> bool:
        found = self._by_id.get(key_id, now)
        if found is not None:
            keys[key_id] = found[0]
        return found is not None

    async def _load(self, subject: str) -> DataKey:
        now = self._clock.monotonic()
        log = self._database.log
        row = await log.fetchrow(_SELECT_BY_SUBJECT, subject)
        if row is None:
            key_id, secret = new_id(), secrets.token_bytes(DATA_KEY_BYTES)
            wrapped = self._wrap(key_id, subject, secret)
            # Another node may be making it too: one insert wins, and both use what is stored.
            await log.execute(_INSERT, key_id, subject, wrapped, self._keyring.current)
            row = await log.fetchrow(_SELECT_BY_SUBJECT, subject)
        if row is None or row["wrapped"] is None:
            raise Refusal(ErrorCode.NOT_FOUND, "erased")
        key = self._unwrap(row)
        self._keep(key.id, subject, key, now)
        return key

    def _loaded(self, subject: str, task: asyncio.Task[DataKey]) -> None:
        del self._loading[subject]
        if not task.cancelled():
            task.exception()  # fetched here, because every caller may have given up

    def _keep(self, key_id: str, subject: str, key: DataKey | None, read_at: float) -> None:
        if key is None:
            self._by_id.put(key_id, None, read_at)
        elif self._destroying.get(subject, self._clock.monotonic()) is None:
            self._by_id.put(key_id, key, read_at)
            self._by_subject.put(subject, key, read_at)

    def _wrap(self, key_id: str, subject: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._masters[self._keyring.current].encrypt(nonce, secret, _wrap_context(key_id, subject))

    def _unwrap(self, row: asyncpg.Record) -> DataKey:
        return DataKey(str(row["id"]), str(row["subject"]), self._secret(row))

    def _secret(self, row: asyncpg.Record) -> bytes:
        master = self._masters.get(str(row["master_key"]))
        if master is None:
            raise UnknownMasterKey(f"master key {row['master_key']} is not among security.master_keys")
        wrapped = row["wrapped"]
        assert isinstance(wrapped, bytes)
        return master.decrypt(
            wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _wrap_context(str(row["id"]), str(row["subject"]))
        )


def _wrap_context(key_id: str, subject: str) -> bytes:
    return f"data key|{key_id}|{subject}".encode()
