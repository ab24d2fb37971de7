"""HTTP to providers. What matters is what is known when it fails: not sent, or nobody knows.

aiohttp, because httpx costs 7.7 ms of a core per request with 150 in flight, aiohttp 0.28 (docs/decisions/0005).
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec

CONNECTIONS = 300  # of one process to all providers of a channel
CONNECT_S = 3.0
MOST_BYTES = 65536  # of an answer; providers answer some hundred


class Reply(msgspec.Struct, frozen=True):
    """An answer, whatever its status. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class NotSent(Exception):
    """There was no connection: the provider has certainly not seen it."""


class _Forbidden(OSError):
    """The name leads to an address that this transport may not reach."""


class Unanswered(Exception):
    """It was sent, or may have been, and no answer came."""


class Transport:
    """One pool of connections. Open it with `open_transport`."""

    def __init__(self, session: aiohttp.ClientSession, timeout_s: float) -> None:
        self._session = session
        # Also for a place among the connections: what waited in vain was never sent.
        wait_s = min(CONNECT_S, timeout_s)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=wait_s, sock_connect=wait_s)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises `NotSent` or `Unanswered`; redirects are not followed."""
        return await self._ask("POST", url, content, headers)

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Raises `NotSent` or `Unanswered`; redirects are not followed."""
        return await self._ask("GET", url, None, headers or {})

    async def _ask(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Reply:
        try:
            async with self._session.request(
                method, url, data=content, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MOST_BYTES)
                return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
        # Neither is chained: their texts hold the address, and with some providers a secret in it.
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            forbidden = isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _Forbidden)
            raise NotSent("Forbidden" if forbidden else type(error).__name__) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered(type(error).__name__) from None


@asynccontextmanager
async def open_transport(timeout_s: float, may_reach: Callable[[str], bool] | None = None) -> AsyncIterator[Transport]:
    """Connections that close at the end; no proxy and no credentials from the environment, no cookies.

    `may_reach` is asked about each IP address at the moment of connecting, whatever the name led to before.
    """
    factory = _guarded(may_reach) if may_reach else None
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30, socket_factory=factory)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield Transport(session, timeout_s)


def _guarded(may_reach: Callable[[str], bool]) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """Makes the sockets. A resolver of one's own would not do: aiohttp does not ask it about addresses in numbers."""

    def build(place: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = place
        if not may_reach(str(address[0])):
            raise _Forbidden("not an address that may be reached")
        return socket.socket(family, kind, protocol)

    return build
