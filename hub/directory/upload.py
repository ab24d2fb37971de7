"""Receiving one file: as the body itself, or as the field `file` of a form; kept in memory, never on disk."""

import asyncio
from contextlib import aclosing

from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import Connection

MAX_BYTES = 5 * 1024 * 1024
FORM_BYTES = 4096  # what a form adds: headers and boundaries
RECEIVE_S = 60.0  # 5 MB at 0.7 Mbit/s; nobody else can import meanwhile

# What browsers and command lines call a CSV file; on Windows with Excel it is the last but one.
_PLAIN = frozenset(
    {"text/csv", "application/csv", "text/plain", "application/vnd.ms-excel", "application/octet-stream"}
)


async def read_file(request: Connection) -> bytes:
    """The file's bytes. Raises `Refusal` as soon as it can be known, so without receiving the rest."""
    content_type, options = request.content_type
    try:
        async with asyncio.timeout(RECEIVE_S):
            if content_type == RequestEncodingType.MULTI_PART and options.get("boundary"):
                return await _from_form(request, options["boundary"])
            if content_type in _PLAIN:
                return await _from_body(request)
    except MultipartError as error:
        raise Refusal(ErrorCode.MALFORMED) from error
    except TimeoutError as error:
        raise Refusal(ErrorCode.MALFORMED, "upload_slow") from error
    except HTTPException as error:  # Litestar's own limit, or a client that left
        raise (_too_large() if error.status_code == 413 else Refusal(ErrorCode.MALFORMED)) from error
    raise Refusal(ErrorCode.UNSUPPORTED_MEDIA, fields={"Content-Type": "text/csv, multipart/form-data"})


async def _from_body(request: Connection) -> bytes:
    content = bytearray()
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            _keep(content, piece)
    return bytes(content)


async def _from_form(request: Connection, boundary: str) -> bytes:
    content: bytearray | None = None
    parser = PushMultipartParser(boundary, max_segment_count=2)
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            for event in parser.parse(piece) if piece else ():
                if isinstance(event, MultipartSegment):
                    content = _begun(event, content)
                elif event is not None and content is not None:
                    _keep(content, event)
    parser.close()
    if content is None:
        raise Refusal(ErrorCode.INVALID, fields={"file": "field_required"})
    return bytes(content)


def _begun(segment: MultipartSegment, content: bytearray | None) -> bytearray:
    if segment.name != "file":
        raise Refusal(ErrorCode.INVALID, fields={(segment.name or "")[:64]: "field_unknown"})
    if content is not None:
        raise Refusal(ErrorCode.INVALID, fields={"file": "field_twice"})
    return bytearray()


def _keep(content: bytearray, piece: bytes | bytearray) -> None:
    if len(content) + len(piece) > MAX_BYTES:
        raise _too_large()
    content += piece


def _too_large() -> Refusal:
    return Refusal(ErrorCode.TOO_LARGE, fields={"file": f"at most {MAX_BYTES} bytes"})
