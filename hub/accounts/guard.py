"""Who is asking: the guard before every HTTP handler, and what the WebSocket upgrade uses of it."""

from datetime import datetime
from typing import Any

from limits import RateLimitItem
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from hub.platform.clock import Clock
from hub.platform.error import ErrorCode, Refusal
from hub.platform.http import Connection
from hub.security import token
from hub.security.keyring import Keyring
from hub.security.ratelimit import PER_ADDRESS, PER_USER, SIGN_INS_PER_ADDRESS, RateLimits, address_key
from hub.security.token import Principal, RevokedSessions

# A handler's `opt`. Without one of these it takes signed-in people only: what is open must say so, and how often.
PUBLIC: dict[str, Any] = {"limit": PER_ADDRESS}  # Any: Litestar's `opt`
# For what can be guessed. Not for refreshing or WeChat: many phones share a carrier's address.
SIGN_IN: dict[str, Any] = {"limit": SIGN_INS_PER_ADDRESS}

_BEARER = "bearer "


class Gate:
    """Decides about each request before its body is read; without any I/O but the rate limit's."""

    def __init__(self, keyring: Keyring, revoked: RevokedSessions, limits: RateLimits, clock: Clock) -> None:
        self._key = keyring.derive(token.PURPOSE)
        self._revoked = revoked
        self._limits = limits
        self._clock = clock

    def authenticate(self, access_token: str, now: datetime) -> Principal:
        """Who the access token speaks for; refused as unauthorized if it is forged, expired, or its session revoked."""
        principal = token.verify(self._key, access_token, now)
        if principal.session in self._revoked:
            raise Refusal(ErrorCode.UNAUTHORIZED, "session_revoked")
        return principal

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let the request pass and say who asks, or refuse it."""
        limit = handler.opt.get("limit")
        if isinstance(limit, RateLimitItem):
            await self._limits.hit(limit, address_key(address_of(connection)))
            return
        scheme = connection.headers.get("authorization", "")
        if scheme[: len(_BEARER)].lower() != _BEARER:
            raise Refusal(ErrorCode.UNAUTHORIZED)
        principal = self.authenticate(scheme[len(_BEARER) :].strip(), self._clock.now())
        await self._limits.hit(PER_USER, principal.user)
        connection.state["principal"] = principal


def build_guard(gate: Gate) -> Guard:
    """For the `guards` of the router that holds all handlers of people's requests."""

    # A function, because Litestar deep-copies guards: a bound method would bring a Gate of its own, blind to revocations.
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        await gate.admit(connection, handler)

    return guard


def principal_of(request: Connection) -> Principal:
    """The dependency `principal`: who passed the guard."""
    principal = request.state.get("principal")
    if not isinstance(principal, Principal):
        raise Refusal(ErrorCode.UNAUTHORIZED)
    return principal


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The peer, or what a trusted proxy says of it (uvicorn has put that in its place already)."""
    return connection.client.host if connection.client else "unknown"
