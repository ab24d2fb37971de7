"""The upload form is read piece by piece: bounded, only in memory, and every fault is named (P14)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from litestar import Litestar, Request, post
from litestar.testing import AsyncTestClient

from hub.messaging.attachment_form import FORM_BYTES, read_upload
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import Answer, RequestContext, answer
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id

MAX = 200_000
ROOM = 150_000  # bytes that the process accepts in all

Client = AsyncTestClient[Litestar]


def hold(held: list[int], size: int) -> None:
    held.append(size)
    if sum(held) > ROOM:
        raise Refusal(ErrorCode.OVERLOADED)


@post("/upload", status_code=200, request_max_body_size=MAX + FORM_BYTES)
async def upload(request: Request[Any, Any, Any]) -> Answer[list[str | None]]:
    held: list[int] = []
    found = await read_upload(request, MAX, lambda size: hold(held, size))
    assert sum(held) == len(found.content)
    return answer([found.content.hex(), found.name, found.conversation, found.kind])


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    app = Litestar([upload], exception_handlers=exception_handlers, middleware=[RequestContext()], logging_config=None)
    async with AsyncTestClient(app) as opened:
        yield opened


def form(*parts: tuple[str, str | None, bytes], end: bytes = b"--B--\r\n") -> dict[str, Any]:
    """A body by hand, so that it may be wrong: (field, file name, content)."""
    body = b""
    for field, name, content in parts:
        suffix = f'; filename="{name}"' if name is not None else ""
        head = f'--B\r\nContent-Disposition: form-data; name="{field}"{suffix}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return {"content": body + end, "headers": {"Content-Type": "multipart/form-data; boundary=B"}}


CONVERSATION = ("conversation", None, new_id().encode())
FILE = ("file", "报告.pdf", b"%PDF-\r\n--\r\n-B" + bytes(range(256)))


async def test_the_fields_arrive_as_sent(client: Client) -> None:
    """Every byte of the file, also those that look like a boundary, and the name in Chinese; in any order."""
    for parts in ((CONVERSATION, FILE, ("kind", None, b"file")), (FILE, ("kind", None, b"file"), CONVERSATION)):
        response = await client.post("/upload", **form(*parts))
        assert response.json()["data"] == [FILE[2].hex(), "报告.pdf", CONVERSATION[2].decode(), "file"]


async def test_kind_and_file_name_may_be_missing(client: Client) -> None:
    """The content says what it is."""
    response = await client.post("/upload", **form(CONVERSATION, ("file", None, b"x")))

    assert response.json()["data"] == [b"x".hex(), "", CONVERSATION[2].decode(), None]


@pytest.mark.parametrize(
    ("sent", "status", "kind", "field"),
    [
        (form(CONVERSATION), 400, "invalid", "file"),
        (form(FILE), 400, "invalid", "conversation"),
        (form(FILE, CONVERSATION, ("owner", None, b"x")), 400, "invalid", "owner"),
        (form(FILE, CONVERSATION, CONVERSATION), 400, "invalid", "conversation"),
        (form(FILE, CONVERSATION, ("kind", None, b"video")), 400, "invalid", "kind"),
        (form(FILE, CONVERSATION, ("kind", None, b"\xff\xfe")), 400, "invalid", "kind"),
        (form(FILE, ("conversation", None, b"x")), 404, "not_found", "conversation"),
        (form(FILE, ("conversation", None, b"x" * 1000)), 413, "too_large", "conversation"),
        (form(("file", "x", bytes(MAX + 1)), CONVERSATION), 413, "too_large", "file"),
        (form(("file", "x", bytes(MAX + 2 * FORM_BYTES)), CONVERSATION), 413, "too_large", "file"),
        (form(("file", "x", bytes(ROOM + 1)), CONVERSATION), 503, "overloaded", None),
        (form(FILE, CONVERSATION, end=b""), 400, "malformed", None),
        ({"content": b"hello", "headers": {"Content-Type": "multipart/form-data; boundary=B"}}, 400, "malformed", None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 415, "unsupported_media", "Content-Type"),
        ({"json": {}}, 415, "unsupported_media", "Content-Type"),
    ],
    ids=[
        "no file", "no conversation", "unknown field", "field twice", "unknown kind", "kind not text", "not an id",
        "long field", "file too large", "body too large", "no room", "cut off", "no form", "no boundary", "json",
    ],
)  # fmt: skip
async def test_a_faulty_form_is_refused_and_the_fault_named(
    client: Client, sent: dict[str, Any], status: int, kind: str, field: str | None
) -> None:
    """Each fault has its status, its stable code and its field."""
    response = await client.post("/upload", **sent)

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, kind)
    assert set(error["fields"]) == ({field} if field else set())
