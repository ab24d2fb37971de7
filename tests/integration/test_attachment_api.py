"""Attachments over HTTP: the contract's fields, signed links that open for their person only, and safe headers."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import pytest_asyncio
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from structlog.testing import capture_logs

from hub.accounts.guard import Gate, build_guard, principal_of
from hub.messaging import attachment_api
from hub.messaging.attachment_api import build_attachment_router
from hub.messaging.attachment_transfer import TOTAL_BYTES
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.security import token
from hub.security.keyring import Keyring
from hub.security.ratelimit import open_rate_limits
from hub.security.token import RevokedSessions
from tests.integration.attachment_scene import CHOSEN, AttachmentScene
from tests.sample_file import HTML, PDF, photo

NOBODY = "01890000-0000-7000-8000-000000000000"  # an id that no row has; fixed, because test names must be the same in every process

KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)


class Visitor:
    """HTTP as people, with real access tokens."""

    def __init__(self, client: httpx.AsyncClient, scene: AttachmentScene, app: Litestar) -> None:
        self.client = client
        self.scene = scene
        self.app = app

    def headers(self, user: str) -> dict[str, str]:
        key, now = KEYRING.derive(token.PURPOSE), self.scene.clock.now()
        signed = token.issue(key, user=user, session=new_id(), role="patient", now=now, life_s=3600)
        return {"Authorization": f"Bearer {signed}"}

    async def post(self, user: str, conversation: str, content: bytes, name: str = "x", **more: str) -> httpx.Response:
        data, files = {"conversation": conversation, **more}, {"file": (name, content)}
        return await self.client.post("/api/v1/attachments", data=data, files=files, headers=self.headers(user))

    async def upload(self, user: str, conversation: str, content: bytes, name: str = "x") -> Any:
        response = await self.post(user, conversation, content, name)
        assert response.status_code == 201, response.text
        return response.json()["data"]

    async def link(self, user: str, attachment: str, variant: str = "original") -> httpx.Response:
        path = f"/api/v1/attachments/{attachment}/link?variant={variant}"
        return await self.client.get(path, headers=self.headers(user))

    async def url(self, user: str, attachment: str, variant: str = "original") -> str:
        response = await self.link(user, attachment, variant)
        assert response.status_code == 200, response.text
        url: str = response.json()["data"]["url"]
        return url


@pytest_asyncio.fixture
async def scene(database: Database, tmp_path: Path) -> AttachmentScene:
    await database.log.execute("DELETE FROM attachments")  # those of other tests, whose folders are others
    return AttachmentScene(database, tmp_path)


@pytest_asyncio.fixture
async def http(scene: AttachmentScene, redis_url: str) -> AsyncIterator[Visitor]:
    redis = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    async with open_rate_limits(redis) as limits:
        gate = Gate(KEYRING, RevokedSessions(3600), limits, scene.clock)
        people = Router(
            "/api/v1",
            route_handlers=[build_attachment_router(scene.attachments)],
            guards=[build_guard(gate)],
            dependencies={"principal": Provide(principal_of, sync_to_thread=False)},
        )
        app = Litestar(
            [people],
            exception_handlers=exception_handlers,
            middleware=[RequestContext()],
            before_send=[echo_request_id],
            openapi_config=OpenAPIConfig(title="test", version="1"),
            logging_config=None,
        )
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # the two describe an ASGI scope differently
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
            yield Visitor(client, scene, app)


@pytest_asyncio.fixture
async def patient(scene: AttachmentScene) -> str:
    return await scene.person()


@pytest_asyncio.fixture
async def group(scene: AttachmentScene, patient: str) -> str:
    return (await scene.group(patient))[1]


def error_of(response: httpx.Response) -> tuple[int, str, set[str]]:
    body = response.json()
    assert (body["success"], body["code"]) == (False, response.status_code)
    return response.status_code, body["error"]["type"], set(body["error"]["fields"])


async def test_an_upload_is_answered_with_the_contracts_fields(http: Visitor, patient: str, group: str) -> None:
    """Names in camelCase, dimensions as seen."""
    kept = await http.upload(patient, group, photo(), "伤口 1.jpg")

    assert kept == {
        "id": kept["id"],
        "kind": "image",
        "mediaType": "image/jpeg",
        "name": "伤口 1.jpg",
        "size": len(photo()),
        "width": 480,
        "height": 640,
        "thumbnail": True,
    }


async def test_a_link_opens_the_content_without_signing_in(http: Visitor, patient: str, group: str) -> None:
    """Both variants, and the link tells when it ends."""
    kept = await http.upload(patient, group, photo(), "x.jpg")
    link = (await http.link(patient, kept["id"])).json()["data"]
    original = await http.client.get(link["url"])
    thumbnail = await http.client.get(await http.url(patient, kept["id"], "thumbnail"))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", link["expiresAt"])
    assert (original.status_code, original.content) == (200, photo())
    assert thumbnail.status_code == 200
    assert len(thumbnail.content) < len(photo())


async def test_the_content_is_served_so_that_it_runs_nowhere(http: Visitor, patient: str, group: str) -> None:
    """Saved under its name, guessed by nobody, run by nobody, kept by nobody."""
    words = "第一行".encode()
    kept = await http.upload(patient, group, words, "a'b 用药;%41.csv")
    headers = (await http.client.get(await http.url(patient, kept["id"]))).headers

    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-length"] == str(len(words))
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["cache-control"] == "private, no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"].startswith("req_")
    disposition, plain, encoded = headers["content-disposition"].split("; ", 2)
    assert (disposition, plain) == ("attachment", 'filename="a\'b __;_41.csv"')
    assert encoded.isascii()
    assert unquote(encoded.removeprefix("filename*=UTF-8''")) == "a'b 用药;%41.csv"


async def test_a_large_file_comes_in_pieces_and_whole(http: Visitor, patient: str, group: str) -> None:
    """More than one piece, every byte."""
    content = b"x" * (2 * attachment_api.CHUNK_BYTES + 1)
    kept = await http.upload(patient, group, content)

    assert (await http.client.get(await http.url(patient, kept["id"]))).content == content


async def test_a_thumbnail_is_a_jpeg_by_type_and_name(http: Visitor, patient: str, group: str) -> None:
    """Whatever the original was."""
    kept = await http.upload(patient, group, photo(), "x.jpeg")
    headers = (await http.client.get(await http.url(patient, kept["id"], "thumbnail"))).headers

    assert headers["content-type"] == "image/jpeg"
    assert 'filename="x.jpeg"' in headers["content-disposition"]


async def test_a_link_is_refused_when_it_has_expired(http: Visitor, patient: str, group: str) -> None:
    """After `link_s`, however often it was used before."""
    kept = await http.upload(patient, group, PDF)
    url = await http.url(patient, kept["id"])
    assert (await http.client.get(url)).status_code == 200
    await http.scene.clock.advance(CHOSEN.link_s)

    assert error_of(await http.client.get(url)) == (403, "forbidden", {"expires"})


@pytest.mark.parametrize(
    ("pattern", "replacement", "answer"),
    [
        (r"expires=(\d)", r"expires=9\1", (403, "forbidden", {"signature"})),
        (r"user=[^&]+", f"user={NOBODY}", (403, "forbidden", {"signature"})),
        (r"variant=original", "variant=thumbnail", (403, "forbidden", {"signature"})),
        (r"attachments/[^/]+", f"attachments/{NOBODY}", (403, "forbidden", {"signature"})),
        (r"signature=..", "signature=%E7%AD", (403, "forbidden", {"signature"})),
        (r"&signature=.*", "", (400, "invalid", {"signature"})),
        (r"expires=\d+", "expires=soon", (400, "invalid", {"expires"})),
        (r"variant=original", "variant=raw", (400, "invalid", {"variant"})),
    ],
)
async def test_a_link_is_refused_when_it_was_altered(
    http: Visitor, patient: str, group: str, pattern: str, replacement: str, answer: tuple[int, str, set[str]]
) -> None:
    """Any part of it, in the wrapper that every error has (P14)."""
    kept = await http.upload(patient, group, photo())
    url = re.sub(pattern, replacement, await http.url(patient, kept["id"]))

    assert error_of(await http.client.get(url)) == answer


async def test_a_link_ends_when_its_person_is_removed(http: Visitor, scene: AttachmentScene) -> None:
    """Membership is looked up at each fetch, not only when the link is made (P5)."""
    member = await scene.person()
    doctor, group = await scene.group(member)
    shared, seq = await scene.share(group, doctor)
    url = await http.url(member, shared)
    assert (await http.client.get(url)).status_code == 200
    move = "UPDATE members SET to_seq = $1 WHERE conversation = $2 AND user_id = $3"
    await scene.database.log.execute(move, seq - 1, group, member)

    assert error_of(await http.client.get(url))[:2] == (404, "not_found")
    assert error_of(await http.link(member, shared))[:2] == (404, "not_found")


async def test_a_link_ends_when_the_entry_is_recalled_or_the_key_destroyed(
    http: Visitor, scene: AttachmentScene, patient: str, group: str
) -> None:
    """What was taken back or erased is not found any more (P12)."""
    recalled, seq = await scene.share(group, patient)
    erased, _ = await scene.share(group, patient)
    urls = [await http.url(patient, each) for each in (recalled, erased)]
    await scene.recall(group, patient, seq)
    assert error_of(await http.client.get(urls[0]))[:2] == (404, "not_found")

    async with scene.database.transaction() as connection:
        await scene.sealer.destroy(connection, patient)
    response = await http.client.get(urls[1])
    assert error_of(response)[:2] == (404, "not_found")
    assert response.json()["message"] == "内容已被删除"


async def test_signing_in_is_needed_for_all_but_the_content(http: Visitor, patient: str, group: str) -> None:
    """Uploads and links are for known people."""
    kept = await http.upload(patient, group, PDF)

    assert (await http.client.post("/api/v1/attachments", files={"file": b"x"})).status_code == 401
    assert (await http.client.get(f"/api/v1/attachments/{kept['id']}/link")).status_code == 401


async def test_a_refused_upload_names_its_reason(http: Visitor, patient: str, group: str) -> None:
    """Too large, not accepted, another kind, not a member (P14)."""
    stranger = await http.scene.person()

    assert error_of(await http.post(patient, group, bytes(CHOSEN.max_bytes + 1))) == (413, "too_large", {"file"})
    assert error_of(await http.post(patient, group, bytes(CHOSEN.max_bytes * 2))) == (413, "too_large", {"file"})
    assert error_of(await http.post(patient, group, HTML, "x.jpg")) == (415, "unsupported_media", {"file"})
    assert error_of(await http.post(patient, group, PDF, kind="image")) == (415, "unsupported_media", {"kind"})
    assert error_of(await http.post(patient, group, b"")) == (400, "invalid", {"file"})
    assert error_of(await http.post(stranger, group, PDF)) == (404, "not_found", {"conversation"})


async def test_an_outage_of_the_store_is_a_refusal_with_a_time_to_come_back(
    http: Visitor, scene: AttachmentScene, patient: str, group: str
) -> None:
    """For uploads and for downloads alike (P15)."""
    kept = await http.upload(patient, group, PDF)
    url = await http.url(patient, kept["id"])
    scene.store.failing = {"put", "get"}

    for response in (await http.post(patient, group, PDF), await http.client.get(url)):
        assert error_of(response) == (503, "unavailable", set())
        assert int(response.headers["retry-after"]) >= 1


async def test_no_log_line_holds_a_signature_a_name_or_a_content(
    http: Visitor, scene: AttachmentScene, patient: str, group: str
) -> None:
    """Not even when something fails (P13)."""
    with capture_logs() as logs:
        kept = await http.upload(patient, group, "血糖偏高".encode(), "secret-report.txt")
        url = await http.url(patient, kept["id"])
        scene.files()[0].unlink()
        await http.client.get(url)
        await http.client.get(url + "x")
        await http.post(patient, group, HTML, "secret-report.txt")

    assert [line["event"] for line in logs] == ["attachment_missing"]
    assert "secret-report" not in str(logs)
    assert url.rsplit("=", 1)[1] not in str(logs)


async def test_transfers_share_a_bounded_room_and_give_it_back(
    http: Visitor, scene: AttachmentScene, patient: str, group: str
) -> None:
    """What has no room is asked to return; refusals, uploads and downloads leave the room as it was (P7, P15)."""
    kept = await http.upload(patient, group, PDF)
    url = await http.url(patient, kept["id"])
    for _ in range(20):
        assert (await http.post(patient, group, HTML)).status_code == 415
        assert (await http.post(patient, group, PDF)).status_code == 201
        assert (await http.client.get(url)).content == PDF
    with scene.attachments.transfers.admit("somebody") as transfer:
        transfer.hold(TOTAL_BYTES - len(PDF) + 1)
        for response in (await http.post(patient, group, PDF), await http.client.get(url)):
            assert error_of(response) == (503, "overloaded", set())

    assert (await http.client.get(url)).status_code == 200


async def test_an_upload_whose_client_leaves_is_dropped(http: Visitor, patient: str, group: str) -> None:
    """Half a form is nothing, and no error of ours."""
    boundary = "multipart/form-data; boundary=B"
    headers = http.headers(patient) | {"Content-Type": boundary, "Content-Length": "10000"}
    messages = iter(
        (
            {"type": "http.request", "body": b"--B\r\n", "more_body": True},
            {"type": "http.disconnect"},
        )
    )
    answers: list[dict[str, Any]] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message)

    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/attachments",
        "raw_path": b"/api/v1/attachments",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": encoded,
        "client": ("127.0.0.1", 1),
        "server": ("hub.test", 80),
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "extensions": {},
    }
    with capture_logs() as logs:
        await http.app(scope, receive, send)  # type: ignore[arg-type]  # a scope by hand

    assert (answers[0]["status"], logs, http.scene.files()) == (400, [], [])


def test_openapi_describes_the_form(http: Visitor) -> None:
    """Who reads `/schema` can build an upload."""
    schema = http.app.openapi_schema.to_schema()
    upload = schema["paths"]["/api/v1/attachments"]["post"]
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]

    assert form["required"] == ["file", "conversation"]
    assert form["properties"]["kind"]["enum"] == ["image", "voice", "file"]
    assert "/api/v1/attachments/{attachment_id}/content" in schema["paths"]
