"""Every object store keeps, replaces, returns and removes whole objects, and says in time when it cannot."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from hub.messaging import attachment_store
from hub.messaging.attachment_store import LocalObjectStore, ObjectStore, S3ObjectStore, open_object_store
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.platform.settings import Attachments, BadSettings

BUCKET = "attachments"
BIG = bytes(range(256)) * 4096 * 8  # 8 MiB: what some clients would split into parts


def s3_settings(endpoint: str, bucket: str = BUCKET) -> Attachments:
    return Attachments(
        store="s3", s3_bucket=bucket, s3_endpoint=endpoint, s3_access_key_id="test", s3_secret_access_key="test"
    )


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/{BUCKET}", trust_env=False).raise_for_status()
    yield endpoint
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return open_object_store(Attachments(), tmp_path / "new" / "data")
    return open_object_store(s3_settings(request.getfixturevalue("s3_endpoint")), tmp_path)


def fresh_key() -> str:
    return f"attachments/ab/{new_id()}"


@pytest.mark.parametrize("content", [b"", b"sealed", BIG], ids=["empty", "small", "big"])
async def test_an_object_comes_back_as_it_was_put(store: ObjectStore, content: bytes) -> None:
    """Every byte, whatever the size."""
    key = fresh_key()
    await store.put(key, content)

    assert await store.get(key) == content


async def test_an_object_is_replaced_when_put_again(store: ObjectStore) -> None:
    """A retry whose first answer was lost is harmless."""
    key = fresh_key()
    await store.put(key, b"first")
    await store.put(key, b"second")

    assert await store.get(key) == b"second"


async def test_nothing_is_returned_when_there_is_no_object(store: ObjectStore) -> None:
    """Absence is an answer, not an error."""
    assert await store.get(fresh_key()) is None


async def test_an_object_is_gone_when_deleted_and_deleting_again_is_fine(store: ObjectStore) -> None:
    """An interrupted removal may be repeated."""
    key, other = fresh_key(), fresh_key()
    await store.put(key, b"one")
    await store.put(other, b"other")
    await store.delete(key)
    await store.delete(key)

    assert (await store.get(key), await store.get(other)) == (None, b"other")


async def test_objects_do_not_mix_when_many_are_put_at_once(store: ObjectStore) -> None:
    """Each call is its own."""
    contents = {fresh_key(): str(n).encode() * 1000 for n in range(20)}
    await asyncio.gather(*(store.put(key, content) for key, content in contents.items()))

    found = await asyncio.gather(*(store.get(key) for key in contents))
    assert found == list(contents.values())


async def test_s3_refuses_as_unavailable_when_nobody_listens() -> None:
    """An outage is a polite refusal that may be retried (P15), within the time limit."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        store = S3ObjectStore(s3_settings(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(Refusal) as refused:
            await store.put(fresh_key(), b"x")

    assert refused.value.code == ErrorCode.UNAVAILABLE


async def test_s3_refuses_as_unavailable_when_the_server_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent peer costs a bounded time."""
    monkeypatch.setattr(attachment_store, "TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = S3ObjectStore(s3_settings(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(Refusal) as refused:
            await store.get(fresh_key())

    assert refused.value.code == ErrorCode.UNAVAILABLE


async def test_s3_refuses_as_unavailable_when_the_bucket_is_missing(s3_endpoint: str) -> None:
    """A wrong bucket is not taken for an object that was removed: nothing may be thought gone for it."""
    store = S3ObjectStore(s3_settings(s3_endpoint, "elsewhere"))
    for attempt in (store.put(fresh_key(), b"x"), store.delete(fresh_key())):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.code == ErrorCode.UNAVAILABLE


async def test_the_local_store_refuses_as_unavailable_when_its_folder_cannot_be_written(tmp_path: Path) -> None:
    """A full or broken disk is an outage, not a crash."""
    store = LocalObjectStore(tmp_path)
    (tmp_path / "attachments").write_text("a file where a folder should be")
    with pytest.raises(Refusal) as refused:
        await store.put(fresh_key(), b"x")

    assert refused.value.code == ErrorCode.UNAVAILABLE


def test_the_local_store_says_what_is_wrong_when_its_folder_cannot_be_made(tmp_path: Path) -> None:
    """The start stops with the setting's name."""
    (tmp_path / "taken").write_text("")

    with pytest.raises(BadSettings, match=r"data\.dir"):
        open_object_store(Attachments(), tmp_path / "taken" / "data")


@pytest.mark.parametrize(
    ("chosen", "named"),
    [(Attachments(store="ftp"), r"attachments\.store"), (Attachments(store="s3"), r"attachments\.s3_bucket")],
)
def test_bad_settings_name_their_key(chosen: Attachments, named: str, tmp_path: Path) -> None:
    """What cannot work is said at the start."""
    with pytest.raises(BadSettings, match=named):
        open_object_store(chosen, tmp_path)
