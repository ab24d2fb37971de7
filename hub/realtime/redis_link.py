"""One bare connection to Redis: address, RESP2, replies by the chunk. What is said over it is the caller's concern."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from hub.platform.settings import BadSettings

CONNECT_S = 3.0
KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_PROBES = 3

Reply = Any  # bytes, int, None, hiredis.ReplyError or a list of these: what RESP2 can say
OnReplies = Callable[[list[Reply]], None]


class Refused(ConnectionError):
    """The server answered, and said no: a wrong password, no permission, still loading."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one Redis is, and who we are there. Its text names the server only, so that it may be logged."""

    host: str
    port: int
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def split_urls(urls: str) -> list[str]:
    """The comma-separated parts of `redis.url`, in their order: the order decides which channel lives where."""
    return [url.strip() for url in urls.split(",") if url.strip()]


def parse_addresses(urls: str) -> list[Address]:
    """Every address in `redis.url`; raises `BadSettings` without repeating what may hold a password."""
    found = [_parse(url, number) for number, url in enumerate(split_urls(urls), start=1)]
    if not found:
        raise BadSettings("redis.url: no address")
    return found


def _parse(url: str, number: int) -> Address:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError
        return Address(
            host=parts.hostname,
            port=parts.port or 6379,
            database=int(parts.path.strip("/") or "0"),
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=parts.scheme == "rediss",
        )
    except ValueError:
        expected = "redis[s]://[user:password@]host[:port][/database]"
        raise BadSettings(f"redis.url: address {number} is not {expected}") from None


def command(*words: bytes) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # the stub says a tuple of one
    return packed


class Link(asyncio.Protocol):
    """Replies go to `on_replies` in the callback that read them, a chunk at a time, in order.

    `closed` gets the reason of the end; nothing is handed on afterwards.
    """

    def __init__(self, on_replies: OnReplies) -> None:
        self.on_replies = on_replies
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    def write(self, data: bytes) -> None:
        """Never waits; what is written to a closed link is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self, reason: str) -> None:
        """Close at once, forgetting what is unsent."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports only look like it
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        replies: list[Reply] = []
        broken = False
        try:
            while (reply := self._reader.gets()) is not False:  # False is no RESP2 value: it means not yet
                replies.append(reply)
        except hiredis.ProtocolError:
            broken = True
        if replies and not self.closed.done():
            self.on_replies(replies)
        if broken:
            self.abort("not the Redis protocol")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"lost: {type(error).__name__}" if error else "closed by the server")

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)


async def dial(address: Address, on_replies: OnReplies) -> Link:
    """Connect and sign in. Raises `OSError` (`Refused` and `TimeoutError` are of its kind) within `CONNECT_S`."""
    answers: list[Reply] = []
    complete = asyncio.Event()

    def greeted(replies: list[Reply]) -> None:
        answers.extend(replies)
        if len(answers) >= len(greeting):
            complete.set()

    greeting = _greeting(address)
    link: Link | None = None
    try:
        async with asyncio.timeout(CONNECT_S):
            link = await _connect(address, greeted)
            if greeting:
                link.write(b"".join(greeting))
                link.closed.add_done_callback(lambda _: complete.set())
                await complete.wait()
    except BaseException:
        if link is not None:
            link.abort("not signed in")
        raise
    _check(link, answers)
    link.on_replies = on_replies
    return link


async def _connect(address: Address, on_replies: OnReplies) -> Link:
    context = ssl.create_default_context() if address.tls else None
    _, link = await asyncio.get_running_loop().create_connection(
        lambda: Link(on_replies), address.host, address.port, ssl=context
    )
    return link


def _greeting(address: Address) -> list[bytes]:
    commands = []
    if address.password:
        who = [address.username.encode()] if address.username else []
        commands.append(command(b"AUTH", *who, address.password.encode()))
    if address.database:
        commands.append(command(b"SELECT", b"%d" % address.database))
    return commands


def _check(link: Link, answers: list[Reply]) -> None:
    refusal = next((answer for answer in answers if isinstance(answer, hiredis.ReplyError)), None)
    if refusal is not None:
        link.abort("refused")
        raise Refused(str(refusal))
    if link.closed.done():
        raise ConnectionResetError(link.closed.result())


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if hasattr(socket, name):  # named differently, or missing, outside Linux
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
