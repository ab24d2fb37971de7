"""What nodes tell each other over Redis: a few fields and ready JSON. Only `fanout` writes and reads hints."""

from enum import IntEnum

import msgspec


class HintKind(IntEnum):
    """`MEMBERSHIP` and `LEAVE` speak of whom they are told to, `OTHERS` of the membership of somebody else.

    `AGAIN` is an entry that a retry found: whoever committed it may have died before telling anybody.
    """

    ENTRIES = 0
    FACT = 1
    EPHEMERAL = 2
    MEMBERSHIP = 3
    LEAVE = 4
    OTHERS = 5
    AGAIN = 6


class Hint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`origin`: the node that has told its own sockets already. `version`: of the membership at the commit."""

    origin: str
    kind: int
    conversation: str
    version: int
    first_seq: int
    payloads: list[bytes]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Hint)


def pack(hint: Hint) -> bytes:
    return _encoder.encode(hint)


def unpack(data: bytes) -> Hint:
    """Raises `msgspec.DecodeError` for what is not a hint."""
    return _decoder.decode(data)
