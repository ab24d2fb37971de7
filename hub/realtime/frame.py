"""Finished WebSocket frames (RFC 6455, section 5.2): built once per form, handed to every socket as the same bytes."""

import struct
import zlib
from enum import IntEnum

from hub.realtime.codec import encode_msgpack


class Form(IntEnum):
    """The forms in which one fact leaves."""

    JSON = 0
    MSGPACK = 1
    JSON_DEFLATED = 2
    MSGPACK_DEFLATED = 3
    SSE = 4


FORMS = len(Form)
DEFLATE_FROM_BYTES = 256  # below this, compressing costs more than it saves

_TEXT, _BINARY = 0x81, 0x82
_COMPRESSED = 0x40  # RSV1, RFC 7692, section 6


def finish(payload: bytes, form: Form) -> bytes:
    """One unmasked, final frame with a JSON payload in the given form."""
    if form is Form.SSE:
        return b"data: " + payload + b"\n\n"
    first = _TEXT
    if form in (Form.MSGPACK, Form.MSGPACK_DEFLATED):
        payload, first = encode_msgpack(payload), _BINARY
    return frame_of(payload, first, deflate=form >= Form.JSON_DEFLATED)


def frame_of(payload: bytes, first: int, *, deflate: bool) -> bytes:
    """The header and the payload; `first` holds FIN and the opcode."""
    if deflate and len(payload) >= DEFLATE_FROM_BYTES:
        payload, first = _deflate(payload), first | _COMPRESSED
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def _deflate(payload: bytes) -> bytes:
    """Each message by itself (server_no_context_takeover), so that all sockets can share it; the tail is cut (RFC 7692, section 7.2.1)."""
    squeeze = zlib.compressobj(wbits=-12, memLevel=5)
    return (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Broadcast:
    """Facts for many sockets, as JSON; turned into finished frames once per form that somebody needs.

    Entries of one conversation carry it with the seq of the first; they are contiguous, because one commit numbered them.
    """

    __slots__ = ("_finished", "conversation", "ephemeral", "first_seq", "payloads")

    def __init__(
        self, payloads: list[bytes], *, conversation: str | None = None, first_seq: int = 0, ephemeral: bool = False
    ) -> None:
        self.payloads = payloads
        self.conversation = conversation
        self.first_seq = first_seq
        self.ephemeral = ephemeral
        self._finished: list[bytes | None] = [None] * FORMS

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.payloads) - 1

    def after(self, seq: int) -> "Broadcast":
        """The part beyond `seq`."""
        if seq < self.first_seq:
            return self
        return Broadcast(self.payloads[seq - self.first_seq + 1 :], conversation=self.conversation, first_seq=seq + 1)

    def bytes_for(self, form: Form) -> bytes:
        """All frames in this form, joined: one object, one write for each socket."""
        finished = self._finished[form]
        if finished is None:
            finished = self._finished[form] = b"".join([finish(payload, form) for payload in self.payloads])
        return finished
