"""The socket itself: uvicorn's sans-I/O WebSocket protocol, which after the accept hands each message over in the callback that read it.

Litestar keeps routing, authentication and the accept; then the ASGI task ends and only this object stays. That saves a task, a queue
and the scope per idle socket, and a task wake-up per message.
"""

import asyncio
import sys
from typing import Any, Protocol, cast

import httptools
from uvicorn._types import ASGIReceiveEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from hub.platform.http_server import BoundedHttp

EXTENSION = "hub.socket"
CLOSE_S = 3.0  # for the peer to answer a close frame


class Listener(Protocol):
    """Who a socket belongs to after the handshake."""

    def received(self, data: bytes, *, binary: bool) -> None:
        """A whole message; text is valid UTF-8."""

    def writable(self) -> None:
        """The transport takes bytes again after it was full."""

    def alive(self) -> None:
        """A ping or pong came."""

    def lost(self) -> None:
        """The connection has ended; nothing more will come."""


class _Nowhere(asyncio.Queue[ASGIReceiveEvent]):
    """Takes the place of the ASGI queue of an adopted socket; shared by all of them."""

    def put_nowait(self, item: ASGIReceiveEvent) -> None:
        """Nobody reads this any more."""


class HubHttp(BoundedHttp):
    """Hands on what came in one packet with an upgrade request, which uvicorn's own forgets: a client that does not wait is heard."""

    _packet = b""

    def data_received(self, data: bytes) -> None:
        self._packet = data
        super().data_received(data)
        self._packet = b""

    def handle_websocket_upgrade(self) -> None:
        upgrade = sys.exception()  # in its handler: its argument says where the request ended
        super().handle_websocket_upgrade()
        if isinstance(upgrade, httptools.HttpParserUpgrade) and (early := self._packet[upgrade.args[0] :]):
            cast(asyncio.Protocol, self.transport.get_protocol()).data_received(early)


class HubWebSocket(WebSocketsSansIOProtocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # Any: uvicorn's own signature
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.listener: Listener | None = None
        self.paused = False
        self._pong = b""
        self.ping_interval = None  # silence is watched by the gateway, without two timers per socket
        if config.ws_per_message_deflate:
            # No context is kept between messages, so that one compressed frame serves every socket.
            self.conn.available_extensions = [
                ServerPerMessageDeflateFactory(
                    server_no_context_takeover=True,
                    client_no_context_takeover=True,
                    server_max_window_bits=12,
                    compress_settings={"memLevel": 5},
                )
            ]

    def handle_connect(self, event: Any) -> None:  # Any: uvicorn's own signature
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            # The ASGI task starts in the next loop turn, so it sees this.
            cast(dict[str, Any], self.scope)["extensions"][EXTENSION] = self

    @property
    def deflates(self) -> bool:
        """Whether permessage-deflate was negotiated."""
        return bool(self.conn.extensions)

    def adopt(self, listener: Listener) -> None:
        """From now on messages go to `listener`, those that came before the accept first. Call it right after the accept."""
        early = self.queue
        self.listener = listener
        self.queue = _nowhere()
        while not early.empty():
            event = cast(dict[str, Any], early.get_nowait())
            if event["type"] == "websocket.receive":
                if (text := event.get("text")) is not None:
                    listener.received(text.encode(), binary=False)
                else:
                    listener.received(event["bytes"], binary=True)
            elif event["type"] == "websocket.disconnect":
                listener.lost()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        if self.listener is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        binary = self.curr_msg_data_type == "bytes"
        if not binary and not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:  # RFC 6455, section 8.1
                self.conn.fail(1007, "invalid UTF-8")
                self.handle_parser_exception()
                return
        self.listener.received(bytes(data), binary=binary)

    def data_received(self, data: bytes) -> None:
        # What follows a broken frame is read, so that it cannot reset the close, and dropped.
        if self.conn.parser_exc is None:
            super().data_received(data)

    def handle_cont(self, event: Any) -> None:  # Any: uvicorn's own signature
        if event.data or event.fin:  # empty fragments without end would be kept without bound
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.listener is None:
            super().handle_ping()
            return
        pongs = b"".join(self.conn.data_to_send())  # of all pings of one read; nothing for the later ones
        if not self.paused:
            self.write(pongs)
        elif pongs:
            self._pong = pongs  # for who does not read, only the last are kept (RFC 6455, section 5.5.3)
        self.listener.alive()

    def handle_close(self, event: Any) -> None:  # Any: uvicorn's own signature
        super().handle_close(event)
        self._end_soon()

    def handle_parser_exception(self) -> None:
        """Say why, then wait for the peer to leave: a socket closed on unread data is reset, and the close frame with it."""
        if self.listener is None:
            if self.conn.close_sent is None:  # broken before the handshake was complete
                self.transport.abort()
            else:
                super().handle_parser_exception()
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_soon()

    def handle_pong(self, event: Any) -> None:  # Any: uvicorn's own signature
        if self.listener is not None:
            self.listener.alive()

    def write(self, data: bytes) -> None:
        """Hand finished frames to the transport."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def ping(self) -> None:
        """Ask the peer for a sign of life (RFC 6455, section 5.5.2)."""
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_ping(b"")
            self.transport.write(b"".join(self.conn.data_to_send()))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the transport ends when the peer answers it, or after `CLOSE_S`."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._end_soon()

    def _end_soon(self) -> None:
        """Whoever neither answers a close nor reads what is still unsent is dropped."""
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(CLOSE_S, self.transport.abort)

    def pause_writing(self) -> None:
        self.paused = True
        if self.listener is None:
            super().pause_writing()

    def resume_writing(self) -> None:
        self.paused = False
        if self.listener is None:
            super().resume_writing()
            return
        pong, self._pong = self._pong, b""
        if pong:
            self.write(pong)
        self.listener.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.listener is not None:
            self.listener.lost()

    async def run_asgi(self) -> None:
        """As uvicorn's, except that an adopted socket lives on when its ASGI task ends."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except Exception as error:
            if not self.disconnected:
                self.logger.error("websocket handshake failed: %s", type(error).__name__)
                self.send_500_response()
        if self.listener is None:
            if self.close_timer is None:
                self.transport.close()
            return
        del self.scope, self.request, self.response


_shared: list[_Nowhere] = []


def _nowhere() -> _Nowhere:
    if not _shared:
        _shared.append(_Nowhere())
    return _shared[0]
