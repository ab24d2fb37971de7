"""What the service worker of a browser is told, within what a push service takes. docs/notices.md describes it for clients."""

import unicodedata

import msgspec
from msgspec.structs import replace

MOST_BYTES = 3993  # RFC 8291, section 4: what leaves at most 4096 bytes to send
ELLIPSIS = "…"

_ELLIPSIS_BYTES = len(ELLIPSIS.encode())
_ZWJ = "\u200d"


class Notice(msgspec.Struct, frozen=True, tag_field="type", tag="notice"):
    """Show this; it replaces whatever is shown with the same `tag`."""

    tag: str
    title: str
    body: str
    url: str
    language: str


class Withdraw(msgspec.Struct, frozen=True, tag_field="type", tag="withdraw"):
    """Close what is shown with this `tag`: the person has seen it elsewhere."""

    tag: str


def encoded(notice: Notice, limit: int = MOST_BYTES) -> bytes:
    """The JSON, at most `limit` bytes: the body is shortened visibly, then the title; an address that leaves no room is left out.

    Raises ValueError where even that is too long, or a text is not Unicode.
    """
    if len(whole := msgspec.json.encode(notice)) <= limit:
        return whole
    bare = notice
    for name in ("body", "title"):
        text, bare = getattr(bare, name), replace(bare, **{name: ""})
        room = limit - len(msgspec.json.encode(bare))
        if room >= _ELLIPSIS_BYTES:
            return msgspec.json.encode(replace(bare, **{name: _shortened(text, room)}))
    if not notice.url:
        raise ValueError("too long")
    return encoded(replace(notice, url=""), limit)


def _shortened(text: str, room: int) -> str:
    """As much of the text as fits, in JSON, with the ellipsis. A character of several code points is kept whole or left out."""
    room -= _ELLIPSIS_BYTES
    end = 0
    for character in text:
        room -= len(msgspec.json.encode(character)) - 2  # its quotes
        if room < 0:
            break
        end += 1
    while 0 < end < len(text) and (_extends(text[end]) or text[end - 1] == _ZWJ):
        end -= 1
    return text[:end] + ELLIPSIS


def _extends(character: str) -> bool:
    """Whether it belongs to the character before it: accents, variation selectors, joiners, skin tones."""
    is_mark = unicodedata.category(character) in ("Mn", "Mc", "Me")
    return is_mark or character == _ZWJ or "\U0001f3fb" <= character <= "\U0001f3ff"
