"""Where sealed attachments lie: the object store port, a local folder and S3. Sealing is not known here."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from hub.platform.error import ErrorCode, Refusal
from hub.platform.settings import Attachments, BadSettings
from hub.platform.supervisor import describe

TIMEOUT_S = 30.0  # for one whole operation with its retries
CALL_S = 10.0  # for one request to S3
CONNECT_S = 3.0

if TYPE_CHECKING:
    from obstore.store import S3Config  # exists for type checkers only

log = structlog.get_logger("hub.attachments")


class ObjectStore(Protocol):
    """Objects are written once and whole. A call raises `Refusal` (unavailable) when the store fails or is slow."""

    async def put(self, key: str, content: bytes) -> None:
        """Durable when this returns; an object under the same key is replaced."""

    async def get(self, key: str) -> bytes | None:
        """The content, None if there is no such object."""

    async def delete(self, key: str) -> None:
        """The object is gone, also if it never was."""


class _Obstore:
    """What both stores share: obstore's calls with a time limit, its errors as refusals."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    async def put(self, key: str, content: bytes) -> None:
        async with _limited("put"):
            await self._store.put_async(key, content, use_multipart=False)

    async def get(self, key: str) -> bytes | None:
        async with _limited("get"):
            try:
                found = await self._store.get_async(key)
                return (await found.bytes_async()).to_bytes()
            except FileNotFoundError:
                return None

    async def delete(self, key: str) -> None:
        # S3 answers well for an object that is not there; what it does not find is the bucket, and that is a failure.
        async with _limited("delete"):
            await self._store.delete_async(key)


class LocalObjectStore(_Obstore):
    """A folder. An object appears by a rename, so a crash leaves all of it or nothing."""

    def __init__(self, folder: Path) -> None:
        try:
            super().__init__(LocalStore(folder, mkdir=True))
        except (OSError, BaseError) as error:
            raise BadSettings(f"data.dir: cannot keep attachments in {folder}: {error}") from error
        self._folder = folder

    async def put(self, key: str, content: bytes) -> None:
        await super().put(key, content)
        async with _limited("sync"):
            await asyncio.to_thread(self._sync, key)

    async def delete(self, key: str) -> None:
        async with _limited("delete"):
            with contextlib.suppress(FileNotFoundError):
                await self._store.delete_async(key)

    def _sync(self, key: str) -> None:
        """obstore does not, and a power cut could take an object whose row is committed. Folders may be new too."""
        path = self._folder / key
        for each in (path, *(folder for folder in path.parents if folder.is_relative_to(self._folder))):
            handle = os.open(each, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class S3ObjectStore(_Obstore):
    """A bucket of S3 or of what speaks its protocol; the bucket must exist."""

    def __init__(self, settings: Attachments) -> None:
        endpoint = settings.s3_endpoint.rstrip("/")
        # Without keys in the settings, obstore asks the environment and the machine's own role.
        keys: S3Config = {}
        if settings.s3_access_key_id:
            keys = {"access_key_id": settings.s3_access_key_id, "secret_access_key": settings.s3_secret_access_key}
        try:
            store = S3Store(
                settings.s3_bucket,
                region=settings.s3_region,
                endpoint=endpoint or None,
                # An endpoint of one's own rarely has a host name per bucket.
                virtual_hosted_style_request=not endpoint,
                client_options={
                    "timeout": timedelta(seconds=CALL_S),
                    "connect_timeout": timedelta(seconds=CONNECT_S),
                    "allow_http": endpoint.startswith("http://"),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=TIMEOUT_S)},
                config=keys,
            )
        except (BaseError, ValueError) as error:
            raise BadSettings(f"attachments.s3_*: {describe(error)}") from error
        super().__init__(store)


def open_object_store(settings: Attachments, data_dir: Path) -> ObjectStore:
    """The store that the settings choose; `BadSettings` says what is wrong with them."""
    match settings.store:
        case "local":
            return LocalObjectStore(data_dir)
        case "s3" if settings.s3_bucket:
            return S3ObjectStore(settings)
        case "s3":
            raise BadSettings("attachments.s3_bucket: required when attachments.store is s3")
        case other:
            raise BadSettings(f"attachments.store: {other!r} is neither local nor s3")


@contextlib.asynccontextmanager
async def _limited(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except (TimeoutError, OSError, BaseError) as error:
        log.warning("object store failed", operation=what, error=describe(error))
        raise Refusal(ErrorCode.UNAVAILABLE) from error
