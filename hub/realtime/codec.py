"""Reading and writing frames, and saying what was wrong with one. The frames themselves are in `protocol`."""

import re

import msgspec
from msgspec import UNSET, Raw, UnsetType

from hub.messaging.model import Entry
from hub.platform.error import RULES, ErrorCode, Refusal
from hub.platform.text import Language, text
from hub.realtime.protocol import Failed, Request, ServerFrame

_json_request = msgspec.json.Decoder(Request)
_msgpack_request = msgspec.msgpack.Decoder(Request)
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def decode(data: bytes, *, packed: bool) -> Request:
    """Read a client's frame. Raises `BadFrame` with the ref, when it could be read, and the field at fault."""
    try:
        request: Request = _msgpack_request.decode(data) if packed else _json_request.decode(data)
        return request
    except msgspec.ValidationError as error:
        raise BadFrame(_ref_of(data, packed), _explain(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadFrame(None, Refusal(ErrorCode.MALFORMED)) from None


class BadFrame(Exception):
    """A frame that is not of the protocol."""

    def __init__(self, ref: int | None, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.ref = ref
        self.refusal = refusal


def encode_json(frame: ServerFrame | Entry) -> bytes:
    return _json.encode(frame)


def encode_msgpack(payload: bytes) -> bytes:
    """The same frame in MessagePack, from its JSON form (bodies are kept as JSON)."""
    return _msgpack.encode(msgspec.json.decode(payload))


def failed(ref: int | None, refusal: Refusal, language: Language = "zh") -> Failed:
    return Failed(
        ref=ref,
        code=refusal.code,
        message=text(refusal.text, language),
        fields=refusal.fields,
        retry_after_ms=refusal.retry_after_ms
        if refusal.retry_after_ms is not None
        else (1000 if RULES[refusal.code].retry else None),
    )


def json_of(raw: Raw, *, packed: bool) -> bytes:
    """A carried body as JSON, whichever way it arrived; `{}` when none did. Raises `Refusal` for MessagePack that JSON cannot say."""
    data = bytes(raw)
    if not packed or not data:
        return data or b"{}"
    try:
        return _json.encode(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        raise not_a_body() from None


class _RefOnly(msgspec.Struct):
    ref: int | UnsetType | None = UNSET


def _ref_of(data: bytes, packed: bool) -> int | None:
    try:
        ref = (msgspec.msgpack if packed else msgspec.json).decode(data, type=_RefOnly).ref
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return ref if isinstance(ref, int) else None


_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_PATH = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")


def _explain(message: str) -> Refusal:
    """msgspec's sentence as a refusal that names the field (its wording is pinned by a test)."""
    if found := _UNKNOWN.search(message):
        return Refusal(ErrorCode.INVALID, fields={found[1]: "unknown field"})
    if found := _MISSING.search(message):
        code = ErrorCode.UNKNOWN_OP if found[1] == "op" else ErrorCode.INVALID
        return Refusal(code, fields={found[1]: "required"})
    path = _PATH.search(message)
    field = path[1] if path else ""
    if field == "op":
        return Refusal(ErrorCode.UNKNOWN_OP, fields={"op": "not an operation of this protocol"})
    if not field:
        return Refusal(ErrorCode.MALFORMED)
    reason = message[: path.start()] if path else message
    # A pattern says nothing to a person; ours keep control characters out.
    return Refusal(ErrorCode.INVALID, fields={field: "not of the expected form" if "regex" in reason else reason})


def body_refusal(error: msgspec.ValidationError) -> Refusal:
    """The same for a body, with its fields under `body.`."""
    refusal = _explain(str(error))
    fields = {f"body.{name}": reason for name, reason in refusal.fields.items()} or {"body": "not of this entry type"}
    return Refusal(ErrorCode.INVALID, fields=fields)


def not_a_body() -> Refusal:
    return Refusal(ErrorCode.INVALID, fields={"body": "not an object of text"})
