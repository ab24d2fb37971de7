"""What the load generator says and how it recognises answers. No I/O.

The client's message id carries the moment at which the message was due: a frame that repeats the id tells its latency.
"""

import json
import re
from itertools import count

from bench.frame import masked

ACK = b'{"op":"ack"'
ENTRY = b'{"op":"entry"'
FAILED = b'{"op":"failed"'
PAGE = b'{"op":"page"'
WELCOME = b'{"op":"welcome"'

SUBPROTOCOL = "hub.v1.json"
_STAMP = re.compile(rb'"clientMsgId":"(\d{16})\.')
# Fixed width, so that frames keep their size; refs are unique in the process, hence so are the message ids.
_number = count(1_000_000_000)
_TEXT = b"The doctor will see you at the second window on the left, please bring the card."


def hello(cursors: dict[str, int]) -> bytes:
    return masked(json.dumps({"op": "hello", "ref": 1, "cursors": cursors}, separators=(",", ":")).encode())


def send(conversation: bytes, due_s: float) -> bytes:
    """A finished frame that sends a text of 80 characters, due at that moment of the monotonic clock."""
    number = next(_number)
    return masked(
        b'{"op":"send","ref":%d,"conversation":"%b","clientMsgId":"%016d.%d","type":"text","body":{"text":"%b"}}'
        % (number, conversation, int(due_s * 1e6), number, _TEXT)
    )


def latencies_ms(data: bytes, end: int, now_s: float) -> list[float]:
    """How old the messages in this chunk are, of those frames that repeat a message id."""
    now_us = now_s * 1e6
    return [(now_us - int(stamp)) / 1e3 for stamp in _STAMP.findall(data, 0, end)]
