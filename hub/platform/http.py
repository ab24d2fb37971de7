"""HTTP's outer form: the one wrapper around every answer, errors included; request ids; and paging in the query.

The application takes `http_error.exception_handlers`, `RequestContext`, and `echo_request_id` before send.
"""

import re
import secrets
import time
from contextvars import ContextVar
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.datastructures import Headers
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hub.platform.error import RULES, ErrorCode, Refusal
from hub.platform.page import MAX_PAGE, MAX_PAGE_SIZE, Paging
from hub.platform.text import Language, language_of, text

Data = TypeVar("Data")
Connection = Request[Any, Any, Any]  # Any: Litestar's user, auth and state, which the hub does not use through it

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Answer(msgspec.Struct, Generic[Data], frozen=True, rename="camel"):
    """The wrapper of a success; handlers return it from `answer`."""

    success: bool
    code: int
    message: str
    data: Data
    timestamp: int
    request_id: str


class ErrorBody(msgspec.Struct, frozen=True):
    type: str
    fields: dict[str, str]


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """The wrapper of a failure: programs read `error`, people `message`."""

    success: bool
    code: int
    message: str
    data: None
    timestamp: int
    request_id: str
    error: ErrorBody


# For a handler's `responses`: OpenAPI then describes failures as they are, not as Litestar would write them.
FAILURES = {
    status: ResponseSpec(data_container=Failure, description=description, generate_examples=False)
    for status, description in (
        (400, "Some fields are not valid; `error.fields` names them"),
        (401, "Not signed in"),
        (403, "Not allowed"),
        (404, "Not found"),
        (409, "Conflicts with what is stored"),
        (429, "Too many requests; `Retry-After` says when to come back"),
        (503, "Overloaded or temporarily unavailable; `Retry-After` says when to come back"),
    )
}


class Context(NamedTuple):
    request_id: str
    language: Language


_context: ContextVar[Context] = ContextVar("hub_request_context")


def answer(data: Data, status: int = 200) -> Answer[Data]:
    """Wrap what a handler found. `status` must be the one that the handler's route declares."""
    context = _context.get()
    return Answer(True, status, text("ok", context.language), data, _now_ms(), context.request_id)


def failure(request: Connection, refusal: Refusal, headers: dict[str, str] | None = None) -> Response[Failure]:
    """The answer to a refused request. Field reasons that are keys of the text catalogue become sentences."""
    status = RULES[refusal.code].http
    context = context_of(request.scope)
    fields = {name: text(reason, context.language) for name, reason in refusal.fields.items()}
    body = Failure(
        success=False,
        code=status,
        message=text(refusal.text, context.language),
        data=None,
        timestamp=_now_ms(),
        request_id=context.request_id,
        error=ErrorBody(refusal.code.value, fields),
    )
    headers = dict(headers or {})
    if status in (429, 503):
        # RFC 9110, section 10.2.3: whole seconds, so rounded up.
        headers["Retry-After"] = str(max(1, -(-(refusal.retry_after_ms or 1000) // 1000)))
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def context_of(scope: Scope) -> Context:
    """The request's id and language; the id is the client's own if that is sane, and stays the same."""
    state = scope.setdefault("state", {})
    context = state.get("hub_context")
    if not isinstance(context, Context):
        headers = Headers.from_scope(scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _SANE_REQUEST_ID.fullmatch(asked) else f"req_{secrets.token_hex(12)}"
        context = state["hub_context"] = Context(request_id, language_of(headers.get("accept-language")))
    return context


def current_request_id() -> str:
    """The id of the request that is being handled; empty outside of one."""
    context = _context.get(None)
    return context.request_id if context else ""


def current_language() -> Language:
    """The language that the request asks for; Chinese outside of one."""
    context = _context.get(None)
    return context.language if context else "zh"


class RequestContext(ASGIMiddleware):
    """Makes the request's id and language known to `answer` and to every log line."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        context = context_of(scope)
        token = _context.set(context)
        try:
            with structlog.contextvars.bound_contextvars(request_id=context.request_id):
                await next_app(scope, receive, send)
        finally:
            _context.reset(token)


async def echo_request_id(message: Message, scope: Scope) -> None:
    """Before-send hook: `X-Request-ID` on every answer, also on those that never reached a route."""
    if message["type"] == "http.response.start":
        headers = [*message.get("headers", ()), (b"x-request-id", context_of(scope).request_id.encode())]
        message["headers"] = headers


def paging(*sortable: str, default: str = "-createdAt") -> Provide:
    """A dependency that reads `page`, `pageSize` and `sort` from the query; only the `sortable` names are accepted."""

    def read(
        page: Annotated[int, QueryParameter(name="page", ge=1, le=MAX_PAGE)] = 1,
        page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=MAX_PAGE_SIZE)] = 20,
        sort: Annotated[
            str, QueryParameter(name="sort", description=f"{', '.join(sortable)}; `-` sorts down")
        ] = default,
    ) -> Paging:
        name = sort.removeprefix("-")
        if name not in sortable:
            raise Refusal(ErrorCode.INVALID, fields={"sort": "field_unsortable"})
        return Paging(page, page_size, name, sort.startswith("-"))

    return Provide(read, sync_to_thread=False)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
