"""AsyncAPI 3.0 of the WebSocket, generated from the frame types: a frame that is not in `protocol.py` cannot be documented here."""

from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from hub.platform.error import RULES
from hub.platform.text import text
from hub.realtime.protocol import JSON, MSGPACK, schema_types

Json = dict[str, Any]  # Any: a JSON document

CHANNEL = "wire"
VERSION = "1.0.0"

# Which fact answers a request; `failed` may always come instead. Typing is not answered.
ANSWERS = {
    "Hello": "Welcome",
    "Send": "Ack",
    "Edit": "Ack",
    "Recall": "Ack",
    "Delivered": "Ok",
    "Read": "Ok",
    "Fetch": "Page",
    "Watch": "Ok",
    "Ping": "Pong",
}

_DESCRIPTION = f"""The conversation log in real time. Every frame is one object with `op`; a request carries an integer `ref`
that its answer repeats. Offer the subprotocol `{JSON}` (text frames) or `{MSGPACK}` (binary frames, the same keys).

Sign in within the upgrade request: an `Authorization: Bearer <token>` header, or one more subprotocol, `bearer.<token>` or
`ticket.<ticket>`. A token never belongs in the URL.

Close codes 4000-4499: come back, with jitter (4401: with a fresh token); 4500-4999: do not. `x-close-codes` has the table,
`x-errors` the codes of `failed`. The server may add keys to its frames; unknown keys of a client are refused."""


def document(url: str) -> Json:
    """The document for a hub that is reached at `url` (http, https, ws or wss)."""
    requests, facts = (get_args(union) for union in schema_types())
    frames = [*requests, *facts]
    _, schemas = msgspec.json.schema_components(frames, ref_template="#/components/schemas/{name}")
    place = urlsplit(url)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Hub", "version": VERSION, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"hub": _server(place.netloc, secure=place.scheme in ("https", "wss"))},
        "channels": {CHANNEL: _channel(place.path.rstrip("/") + "/ws/v1", frames)},
        "operations": {
            **{_name(frame): _request(frame) for frame in requests},
            **{_name(frame): _fact(frame) for frame in facts},
        },
        "components": {
            "messages": {_name(frame): _message(frame) for frame in frames},
            "schemas": {name: _draft_07(schema) for name, schema in schemas.items()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "x-errors": _errors(),
        "x-close-codes": _close_codes(),
    }


def _server(host: str, *, secure: bool) -> Json:
    bearer = {"$ref": "#/components/securitySchemes/bearer"}
    return {"host": host, "protocol": "wss" if secure else "ws", "security": [bearer]}


def _channel(address: str, frames: list[type]) -> Json:
    return {
        "address": address,
        "title": "The WebSocket",
        "messages": {_name(frame): {"$ref": f"#/components/messages/{_name(frame)}"} for frame in frames},
        "bindings": {"ws": {"method": "GET"}},
    }


def _errors() -> Json:
    return {
        code.value: {"http": rule.http, "close": rule.close, "retry": rule.retry, "meaning": text(code.value, "en")}
        for code, rule in RULES.items()
    }


def _close_codes() -> Json:
    return {
        str(rule.close): {"error": code.value, "meaning": text(code.value, "en"), "comeBack": rule.close < 4500}
        for code, rule in RULES.items()
        if rule.close is not None
    }


def _name(frame: type) -> str:
    return frame.__name__


def _tag(frame: type) -> Any:  # Any: msgspec allows integers as tags; ours are strings
    described = inspect.type_info(frame)
    assert isinstance(described, inspect.StructType)
    return described.tag


def _request(frame: type) -> Json:
    """What a client sends, so what this server receives."""
    operation = {**_operation(frame), "action": "receive"}
    if answer := ANSWERS.get(_name(frame)):
        messages = [_of_channel(answer), _of_channel("Failed")]
        operation["reply"] = {"channel": {"$ref": f"#/channels/{CHANNEL}"}, "messages": messages}
    return operation


def _fact(frame: type) -> Json:
    return {**_operation(frame), "action": "send"}


def _operation(frame: type) -> Json:
    return {
        "channel": {"$ref": f"#/channels/{CHANNEL}"},
        "title": _tag(frame),
        "summary": (frame.__doc__ or "").strip(),
        "messages": [_of_channel(_name(frame))],
    }


def _of_channel(name: str) -> Json:
    return {"$ref": f"#/channels/{CHANNEL}/messages/{name}"}


def _message(frame: type) -> Json:
    return {
        "name": _tag(frame),
        "title": _name(frame),
        "summary": (frame.__doc__ or "").strip(),
        "payload": {"$ref": f"#/components/schemas/{_name(frame)}"},
    }


def _draft_07(schema: Any) -> Any:  # Any: any part of a JSON Schema
    """AsyncAPI's schemas are JSON Schema draft 07, where a tuple is `items: [...]` (2020-12 says `prefixItems`)."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _draft_07(value) for key, value in schema.items() if key != "prefixItems"}
    if "prefixItems" in schema:
        plain["items"] = _draft_07(schema["prefixItems"])
    return plain
