"""The WebSocket upgrade: who is asking is known before the 101, without a database read for tokens; a refusal is an HTTP answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from hub.accounts.actions import Accounts
from hub.accounts.guard import Gate
from hub.platform.clock import Clock
from hub.platform.error import RULES, ErrorCode, Refusal
from hub.platform.http import Context, ErrorBody, Failure, context_of
from hub.platform.text import text
from hub.realtime.connection import form_of
from hub.realtime.engine import EXTENSION, HubWebSocket
from hub.realtime.gateway import Gateway
from hub.realtime.protocol import JSON, MSGPACK
from hub.security.token import Principal

PATH = "/ws/v1"
_BEARER, _TICKET = "bearer.", "ticket."


class Upgrade:
    """What the upgrade stands on; one per process, in `app.state["upgrade"]`."""

    def __init__(self, gate: Gate, accounts: Accounts, gateway: Gateway, clock: Clock) -> None:
        self._gate = gate
        self._accounts = accounts
        self._gateway = gateway
        self._clock = clock

    async def answer(self, socket: WebSocket[Any, Any, Any]) -> None:  # Any: Litestar's user, auth and state
        """Accept and hand the socket to the gateway, or refuse with the status of the error table."""
        context = context_of(socket.scope)
        offered = list(socket.scope["subprotocols"])
        try:
            self._gateway.admit()
            engine = socket.scope.get("extensions", {}).get(EXTENSION)  # type: ignore[union-attr]  # a TypedDict of Litestar's
            if not isinstance(engine, HubWebSocket):
                raise Refusal(ErrorCode.INTERNAL)
            subprotocol = choose(offered)
            principal = await self._principal(socket.headers.get("authorization", ""), offered)
        except Refusal as refusal:
            await _deny(socket, refusal, context, self._clock.now())
            return
        try:
            await socket.accept(subprotocols=subprotocol)
        except WebSocketDisconnect:
            return
        form = form_of(subprotocol, deflate=engine.deflates)
        engine.adopt(self._gateway.connect(engine, principal, form, context.language))

    async def _principal(self, authorization: str, offered: Sequence[str]) -> Principal:
        scheme, _, header = authorization.partition(" ")
        token = header.strip() if scheme.lower() == "bearer" else None
        for name in offered:
            if name.startswith(_BEARER):
                token = token or name.removeprefix(_BEARER)
            elif name.startswith(_TICKET) and token is None:
                return await self._accounts.redeem(name.removeprefix(_TICKET))
        if not token:
            raise Refusal(ErrorCode.UNAUTHORIZED)
        return self._gate.authenticate(token, self._clock.now())


def choose(offered: Sequence[str]) -> str:
    """The first subprotocol of ours that the client offers. Raises `Refusal` when there is none."""
    for name in offered:
        if name in (JSON, MSGPACK):
            return name
    raise Refusal(ErrorCode.INVALID, fields={"Sec-WebSocket-Protocol": f"{JSON} or {MSGPACK}"})


async def _deny(socket: WebSocket[Any, Any, Any], refusal: Refusal, context: Context, now: datetime) -> None:
    """The same wrapper as on every other HTTP answer."""
    status = RULES[refusal.code].http
    body = Failure(
        success=False,
        code=status,
        message=text(refusal.text, context.language),
        data=None,
        timestamp=int(now.timestamp() * 1000),
        request_id=context.request_id,
        error=ErrorBody(refusal.code.value, refusal.fields),
    )
    headers = [(b"content-type", b"application/json"), (b"x-request-id", context.request_id.encode())]
    if refusal.retry_after_ms is not None:
        headers.append((b"retry-after", str(-(-refusal.retry_after_ms // 1000)).encode()))
    send: Any = socket.send  # Any: messages of the ASGI extension `websocket.http.response`
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": msgspec.json.encode(body)})


@websocket(PATH)
async def upgrade(socket: WebSocket[Any, Any, Any]) -> None:
    """The real-time connection; `docs/protocol.md`."""
    answering: Upgrade = socket.app.state["upgrade"]
    await answering.answer(socket)
