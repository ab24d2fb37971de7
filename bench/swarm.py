"""Thousands of WebSocket clients in one process without a library: raw sockets, one epoll, one receive buffer.

Knows opening, greeting, reading, writing and control frames; what the frames mean is the scenario's.
"""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bench import frame, message

_BUFFER_BYTES = 256 * 1024
_DIAL_S = 60
_EVENTS = 1024  # per poll: enough to be cheap, few enough that a paced sender gets its turn


class Broken(Exception):
    """The other side did what no scenario can go on from; the text says what."""


class Seat(NamedTuple):
    """Who connects, and from where on it wants its conversations."""

    token: str
    cursors: dict[str, int]


Handler = Callable[["Client", bytes, int, int], None]  # client, chunk, data frames in it, end of the last of them


class Client:
    """One socket. `index` is its place in the list that was dialled."""

    __slots__ = ("carry", "handler", "hello", "index", "opening", "ready", "socket", "unsent")

    def __init__(self, index: int, seat: Seat, opening: frame.Upgrade, handler: Handler) -> None:
        self.index = index
        self.handler = handler
        self.opening: frame.Upgrade | None = opening
        self.hello = message.hello(seat.cursors)
        self.ready = False
        self.carry = b""
        self.unsent = b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Swarm:
    """All clients of one scenario. Close it; it is a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._epoll = select.epoll()
        self._address = (host, port)
        self._clients: dict[int, Client] = {}
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self.welcomed = 0
        self.lost: list[tuple[Client, str]] = []  # sockets that nobody here had closed, and why they ended

    def __enter__(self) -> "Swarm":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut(list(self._clients.values()))
        self._epoll.close()

    def dial(self, seats: Sequence[Seat], handler: Handler, *, at_once: int = 256) -> list[Client]:
        """Connect, upgrade and greet all, at most `at_once` together; returns when the last is welcomed."""
        clients: list[Client] = []
        before = self.welcomed
        deadline = time.monotonic() + _DIAL_S
        while self.welcomed - before < len(seats):
            while len(clients) < len(seats) and len(clients) - (self.welcomed - before) < at_once:
                clients.append(self.open(len(clients), seats[len(clients)], handler))
            self.turn(1.0)
            self.check()
            if time.monotonic() > deadline:
                raise Broken(f"{self.welcomed - before} of {len(seats)} sockets were welcomed in {_DIAL_S} s")
        return clients

    def open(self, index: int, seat: Seat, handler: Handler) -> Client:
        """Begin one connection; `welcomed` counts it when it is through, `lost` when it is not."""
        authority = f"{self._address[0]}:{self._address[1]}"
        client = Client(index, seat, frame.upgrade(authority, "/ws/v1", message.SUBPROTOCOL, seat.token), handler)
        self._clients[client.socket.fileno()] = client
        client.socket.connect_ex(self._address)  # EINPROGRESS; a refusal arrives as an event
        # Writable means connected: only then is the request sent, from `unsent`, the path of every delayed write.
        client.unsent = client.opening.request if client.opening else b""
        self._epoll.register(client.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return client

    def cut(self, clients: Iterable[Client]) -> None:
        """Close sockets without a word, as a lost network does."""
        for client in clients:
            if self._clients.pop(client.socket.fileno(), None) is not None:
                client.socket.close()

    def check(self) -> None:
        """Raise `Broken` if the server ended a socket."""
        if self.lost:
            raise Broken(f"{len(self.lost)} sockets lost, the first: {self.lost[0][1]}")

    def run(
        self,
        until: Callable[[], bool],
        timeout_s: float,
        due: Callable[[float], float] | None = None,
        rest_s: float = 0,
    ) -> bool:
        """Turn until the condition holds (True) or time is over. `due(now)` sends what is due; it says when to return.

        `rest_s` between turns lets frames gather, so that one read takes several; for phases that measure no latency.
        """
        deadline = time.monotonic() + timeout_s
        while not until():
            now = time.monotonic()
            if now >= deadline:
                return False
            back = min(deadline, due(now)) if due else deadline
            if rest_s:
                time.sleep(rest_s)
            self.turn(min(back - now, 0.1))
        return True

    def turn(self, wait_s: float) -> None:
        """Handle what is there; if nothing is, wait for it."""
        events = self._epoll.poll(0, _EVENTS)
        if not events and wait_s > 0:
            # epoll waits in whole milliseconds, select in microseconds: a paced sender needs those.
            select.select([self._epoll], [], [], wait_s)
            events = self._epoll.poll(0, _EVENTS)
        for handle, mask in events:
            client = self._clients.get(handle)  # an earlier event may have cut it
            if client is None:
                continue
            if mask & select.EPOLLOUT:
                self._flush(client)
            if mask & ~select.EPOLLOUT:
                self._read(client)

    def write(self, client: Client, data: bytes) -> None:
        """Send finished frames; what the kernel does not take follows when it does."""
        if client.unsent:
            client.unsent += data
            return
        try:
            sent = client.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(client, str(error))
            return
        if sent < len(data):
            client.unsent = data[sent:]
            self._epoll.modify(client.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, client: Client) -> None:
        data, client.unsent = client.unsent, b""
        if data:
            self.write(client, data)
        if not client.unsent and client.socket.fileno() in self._clients:
            self._epoll.modify(client.socket.fileno(), select.EPOLLIN)

    def _read(self, client: Client) -> None:
        try:
            size = client.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(client, str(error))
            return
        if size == 0:
            self._lose(client, "the server closed the connection")
            return
        data = bytes(self._view[:size])
        if client.carry:
            data = client.carry + data
        if client.opening is not None:
            if b"\r\n\r\n" not in data:
                client.carry = data
                return
            data = self._opened(client, data)
        frames, end, controls = frame.scan(data)
        client.carry = data[end:]
        if controls:
            self._control(client, data, controls)
        if not client.ready and data.find(message.WELCOME, 0, end) >= 0:
            client.ready = True
            self.welcomed += 1
        if frames:
            client.handler(client, data, frames, end)

    def _opened(self, client: Client, data: bytes) -> bytes:
        head, _, rest = data.partition(b"\r\n\r\n")
        if client.opening is None or not client.opening.accepted(head):
            self._lose(client, head.partition(b"\r\n")[0].decode("latin-1"))
            return b""
        client.opening = None
        self.write(client, client.hello)
        return rest

    def _control(self, client: Client, data: bytes, controls: tuple[int, ...]) -> None:
        for at in controls:
            payload = frame.payload_at(data, at)
            if data[at] == frame.PING:
                self.write(client, frame.masked(payload, frame.PONG))
            elif data[at] == frame.CLOSE:
                code = int.from_bytes(payload[:2], "big")
                self._lose(client, f"closed with {code} {payload[2:].decode(errors='replace')}")

    def _lose(self, client: Client, why: str) -> None:
        if client.socket.fileno() in self._clients:
            self.lost.append((client, why))
            self.cut([client])


def raise_file_limit(needed: int) -> int:
    """Ask for that many open files, here and in what is started from here; returns how many there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((max(soft, needed), max(hard, needed)), (max(soft, min(hard, needed)), hard)):
        with contextlib.suppress(ValueError, OSError):  # only root may go beyond the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
