"""Every exception of a request becomes one failure answer; nothing of the request's content reaches the log."""

import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import msgspec
import sqlalchemy.exc
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import Connection, Failure, failure

log = structlog.get_logger("hub.http")

_NAMED = re.compile(r"(unknown|missing required) field `([^`]+)`")
_MISSING_PARAMETER = re.compile(r"[Mm]issing required \w+ parameter '([^']+)'")
_OF_STATUS = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UNAVAILABLE,
}
# PostgreSQL away, restarting, full or slow: worth another try, and no bug.
_OUTAGES = (
    ConnectionError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    sqlalchemy.exc.TimeoutError,
)


def on_refusal(request: Connection, error: Refusal) -> Response[Failure]:
    return failure(request, error)


def on_validation(request: Connection, error: ValidationException) -> Response[Failure]:
    """Litestar found a body, query or path that does not fit the handler's types."""
    extra = error.extra if isinstance(error.extra, list) else []
    fields = dict(_field(item) for item in extra if isinstance(item, dict))
    if missing := _MISSING_PARAMETER.search(error.detail):
        fields[missing[1]] = "field_required"
    return failure(request, Refusal(ErrorCode.INVALID, fields=fields))


def on_bad_value(request: Connection, error: msgspec.ValidationError) -> Response[Failure]:
    """A handler converted something from the client by itself."""
    return failure(request, refusal_of(error))


def refusal_of(error: msgspec.ValidationError) -> Refusal:
    """What msgspec found wrong with a value from a client, naming the field."""
    message, _, path = str(error).partition(" - at ")
    name, reason = _field({"key": path.strip("`").removeprefix("$").lstrip("."), "message": message})
    return Refusal(ErrorCode.INVALID, fields={name: reason})


def on_http(request: Connection, error: HTTPException) -> Response[Failure]:
    """What Litestar refuses by itself: no such path, another method, a body that is no JSON or too large."""
    if error.status_code >= 500 and error.status_code != 503:
        return on_unexpected(request, error)
    code = _OF_STATUS.get(error.status_code, ErrorCode.MALFORMED)
    return failure(request, Refusal(code), headers=dict(error.headers or {}))


def on_too_deep(request: Connection, error: RecursionError) -> Response[Failure]:
    """A body nested deeper than a parser goes is not one that anybody meant."""
    return failure(request, Refusal(ErrorCode.MALFORMED))


def on_unexpected(request: Connection, error: Exception) -> Response[Failure]:
    """A fault of ours, or of what we need. Exceptions' messages can quote data: only types and places are logged."""
    outage = is_outage(error)
    log.error("request_failed", outage=outage, error=_types(error), at=_places(error))
    return failure(request, Refusal(ErrorCode.UNAVAILABLE if outage else ErrorCode.INTERNAL))


def is_outage(error: BaseException) -> bool:
    """Whether the database or the network failed, rather than our code."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_outage_cause(error.orig))
    return isinstance(error, _OUTAGES)


def is_outage_cause(error: BaseException) -> bool:
    """SQLAlchemy's driver layer wraps asyncpg's exception once more."""
    return isinstance(error, _OUTAGES) or isinstance(error.__cause__, _OUTAGES)


exception_handlers: ExceptionHandlersMap = {
    Refusal: on_refusal,
    ValidationException: on_validation,
    msgspec.ValidationError: on_bad_value,
    HTTPException: on_http,
    RecursionError: on_too_deep,
    Exception: on_unexpected,
}


def _field(problem: Mapping[str, Any]) -> tuple[str, str]:  # Any: Litestar's error entries
    """The field that a message of msgspec is about, and why it was refused."""
    message = str(problem.get("message", ""))
    path = [part for part in str(problem.get("key", "")).split(".") if part]
    if path[:1] == ["data"]:
        path = path[1:]
    elif problem.get("source") != "body":
        path = [_camel(part) for part in path]  # a parameter comes under its Python name
    if named := _NAMED.search(message):
        path.append(named[2])
        message = "field_unknown" if named[1] == "unknown" else "field_required"
    elif message == "'data'":  # a KeyError's text: there is no body at all
        message = "field_required"
    return ".".join(path) or "body", message


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _types(error: BaseException) -> str:
    return " < ".join(type(each).__name__ for each in _chain(error))


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    seen: set[int] = set()  # an error may be its own cause: `raise error from error`
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
