"""Attachments over HTTP: upload, a signed link, and the content behind it. Takes the dependency `principal`."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
from limits import RateLimitItemPerMinute
from litestar import Request, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.types import ASGIApp, Receive, Scope, Send

from hub.messaging import attachment_actions
from hub.messaging.attachment import Attachment, AttachmentKind, Variant
from hub.messaging.attachment_actions import Attachments, Found
from hub.messaging.attachment_form import FORM_BYTES, read_upload
from hub.messaging.attachment_link import Grant
from hub.platform.clock import rfc3339
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal

CHUNK_BYTES = 65536  # uvicorn's own high-water mark: one piece waits while the last is on its way
SEND_S = 300.0  # a reader slower than this is cut off, so that it cannot hold memory for ever (P7)
# Fetched without signing in, so counted by address, and that may be a whole hospital looking at pictures.
FETCHES_PER_ADDRESS = RateLimitItemPerMinute(6000, namespace="attachment")
THUMBNAIL_BYTES = 262144  # more than any thumbnail takes

Services = NamedDependency[SkipValidation[Attachments]]


class LinkAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Where to fetch the content, without signing in, until `expiresAt`. Not to be kept or passed on."""

    url: str
    expires_at: str


def _upload_body() -> RequestBody:
    text = Schema(type=OpenAPIType.STRING)
    form = Schema(
        type=OpenAPIType.OBJECT,
        required=["file", "conversation"],
        properties={
            "file": Schema(type=OpenAPIType.STRING, content_media_type="application/octet-stream"),
            "conversation": text,
            "kind": Schema(type=OpenAPIType.STRING, enum=[kind.value for kind in AttachmentKind]),
        },
    )
    return RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


@dataclass
class UploadOperation(Operation):
    """The form is read by hand, so OpenAPI is told of it by hand."""

    def __post_init__(self) -> None:
        self.request_body = _upload_body()


@post("/", operation_class=UploadOperation, responses=FAILURES)
async def upload(
    request: Request[Any, Any, Any], principal: NamedDependency[Principal], attachments: Services
) -> Answer[Attachment]:
    """Upload an image, a voice recording or a file to a conversation; send an entry that names its id within a day."""
    with attachments.transfers.admit(principal.user) as transfer:
        sent = await read_upload(request, attachments.settings.max_bytes, transfer.hold)
        kept = await attachment_actions.upload(attachments, principal.user, sent)
    return answer(kept, 201)


@get("/{attachment_id:str}/link", responses=FAILURES)
async def link(
    attachment_id: FromPath[str],
    principal: NamedDependency[Principal],
    attachments: Services,
    variant: FromQuery[Variant] = Variant.ORIGINAL,
) -> Answer[LinkAnswer]:
    """A short-lived link to the content, for those who may see the entry that carries it."""
    made = await attachment_actions.link(attachments, principal.user, attachment_id, variant)
    return answer(LinkAnswer(made.url, rfc3339(made.expires_at)))


@get("/{attachment_id:str}/content", opt={"limit": FETCHES_PER_ADDRESS}, responses=FAILURES)
async def content(
    attachment_id: FromPath[str],
    attachments: Services,
    variant: FromQuery[Variant],
    user: FromQuery[str],
    expires: FromQuery[int],
    signature: FromQuery[str],
) -> ASGIApp:
    """The bytes behind a link."""
    grant = Grant(attachment=attachment_id, variant=variant, user=user, expires=expires)
    found = await attachment_actions.follow(attachments, grant, signature)
    return Download(attachments, found, user)


class Download:
    """The answer with the content: opened once there is room for it, and sent in pieces as the reader takes them."""

    def __init__(self, attachments: Attachments, found: Found, user: str) -> None:
        self._attachments = attachments
        self._found = found
        self._user = user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        original = self._found.variant is Variant.ORIGINAL
        with self._attachments.transfers.admit(self._user) as transfer:
            transfer.hold(self._found.row.size if original else THUMBNAIL_BYTES)
            opened = await attachment_actions.open_content(self._attachments, self._found)
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(send, opened)
            except TimeoutError:
                return  # an answer left incomplete makes the server close the connection

    async def _send(self, send: Send, opened: bytes) -> None:
        headers = _headers(self._found, len(opened))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, len(opened), CHUNK_BYTES):
            piece = opened[at : at + CHUNK_BYTES]
            more = at + CHUNK_BYTES < len(opened)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


def _headers(found: Found, size: int) -> list[tuple[bytes, bytes]]:
    """A browser that is shown this saves it under its name, guesses nothing, runs nothing and keeps no copy."""
    name = found.name
    # RFC 6266, appendix D: a plain name for those who do not know the encoded one (RFC 8187).
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    charset = "; charset=utf-8" if found.media_type == "text/plain" else ""
    fields = {
        "content-type": found.media_type + charset,
        "content-length": str(size),
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
        "referrer-policy": "no-referrer",
    }
    return [(key.encode(), value.encode()) for key, value in fields.items()]


def build_attachment_router(services: Attachments) -> Router:
    """The routes under `/attachments`, to go under `/api/v1`, whose guard lets only `content` pass unsigned."""
    return Router(
        path="/attachments",
        route_handlers=[upload, link, content],
        dependencies={"attachments": Provide(lambda: services, sync_to_thread=False)},
        request_max_body_size=services.settings.max_bytes + FORM_BYTES,
        tags=["attachments"],
    )
