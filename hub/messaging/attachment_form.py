"""The multipart form of an upload, read piece by piece and kept in memory only.

Litestar's own form would write files above 1 MB to a temporary file in the clear, which P12 forbids.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from hub.messaging.attachment import AttachmentKind, Upload
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

FORM_BYTES = 16384  # what the form adds to the file: headers, boundaries and the other fields
RECEIVE_S = 300.0  # 20 MB at 0.6 Mbit/s
_FIELD_BYTES = 256
_FIELDS = frozenset({"file", "conversation", "kind"})


class _Form:
    """Collects the fields; `hold` is told of every byte of the file before it is kept."""

    def __init__(self, max_bytes: int, hold: Callable[[int], None]) -> None:
        self._max_bytes = max_bytes
        self._hold = hold
        self._parts: dict[str, bytearray] = {}
        self._name = ""
        self._current = ""

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """One event of the parser: a field begins, continues, or (None) ends."""
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is not None:
            self._continue(event)

    def finish(self) -> Upload:
        for name in ("file", "conversation"):
            if name not in self._parts:
                raise Refusal(ErrorCode.INVALID, fields={name: "field_required"})
        conversation = self._text("conversation")
        if not is_id(conversation):
            raise Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "attachment_no_conversation"})
        return Upload(bytes(self._parts["file"]), self._name, conversation, self._kind())

    def _begin(self, segment: MultipartSegment) -> None:
        name = segment.name or ""
        if name not in _FIELDS:
            raise Refusal(ErrorCode.INVALID, fields={name[:64]: "field_unknown"})
        if name in self._parts:
            raise Refusal(ErrorCode.INVALID, fields={name: "field_twice"})
        if name == "file":
            self._name = segment.filename or ""
        self._current = name
        self._parts[name] = bytearray()

    def _continue(self, piece: bytes | bytearray) -> None:
        name, part = self._current, self._parts[self._current]
        limit = self._max_bytes if name == "file" else _FIELD_BYTES
        if len(part) + len(piece) > limit:
            raise too_large(limit, name)
        if name == "file":
            self._hold(len(piece))
        part += piece

    def _text(self, name: str) -> str:
        return self._parts[name].decode(errors="replace")

    def _kind(self) -> AttachmentKind | None:
        if "kind" not in self._parts:
            return None
        try:
            return AttachmentKind(self._text("kind"))
        except ValueError:
            raise Refusal(ErrorCode.INVALID, fields={"kind": "image, voice or file"}) from None


async def read_upload(request: Request[Any, Any, Any], max_bytes: int, hold: Callable[[int], None]) -> Upload:
    """Receive the form. Raises `Refusal` as soon as it can be known, so without receiving the rest."""
    content_type, options = request.content_type
    if content_type != RequestEncodingType.MULTI_PART or not options.get("boundary"):
        raise Refusal(ErrorCode.UNSUPPORTED_MEDIA, fields={"Content-Type": "multipart/form-data"})
    form = _Form(max_bytes, hold)
    try:
        async with asyncio.timeout(RECEIVE_S):
            parser = PushMultipartParser(options["boundary"], max_segment_count=len(_FIELDS) + 1)
            async with aclosing(_body(request, max_bytes)) as body:
                async for piece in body:
                    for event in parser.parse(piece):
                        form.take(event)
            parser.close()
    except MultipartError as error:
        raise Refusal(ErrorCode.MALFORMED) from error
    except TimeoutError as error:
        raise Refusal(ErrorCode.SILENT) from error
    return form.finish()


def too_large(limit: int, field: str = "file") -> Refusal:
    return Refusal(ErrorCode.TOO_LARGE, fields={field: f"at most {limit} bytes"})


async def _body(request: Request[Any, Any, Any], max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Litestar's stream, whose end by its limit or by a client that left becomes a refusal."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except HTTPException as error:
        if error.status_code == 413:
            raise too_large(max_bytes) from error
        raise Refusal(ErrorCode.MALFORMED) from error
