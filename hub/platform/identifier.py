"""Identifiers: UUIDv7 (RFC 9562, section 5.7), so that new rows land together in an index; opaque strings for everybody else."""

import re
import secrets
import time

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """A fresh identifier in canonical text form."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Whether `text` could name a row; anything else is answered as not found before it reaches the database."""
    return _CANONICAL.fullmatch(text) is not None
