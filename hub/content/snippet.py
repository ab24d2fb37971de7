"""A stretch of an article around what was asked for, in parts that say whether they are it: data, never markup.

Parts need no offsets, which a client that counts in UTF-16 would count differently.
"""

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from hub.content.search import HAN, Term

BEFORE_CHARS = 24
SNIPPET_CHARS = 120

_NO_LETTER = rf"(?<![^\W_{HAN}])"
_NO_MORE = rf"(?![^\W_{HAN}])"


class Part(msgspec.Struct, frozen=True):
    text: str
    hit: bool


def snippet(text: str, terms: Sequence[Term]) -> list[Part]:
    """About `SNIPPET_CHARS` of the text from shortly before the first term on; from its beginning if none is to be seen.

    A term that the text writes in signs of another length (「①」 for 1) is found by a search, but not marked here.
    """
    if not terms:
        return []
    sought = re.compile("|".join(_pattern(term) for term in sorted(terms, key=lambda term: -len(term.folded))))
    plain = text.translate(_same_length)
    first = sought.search(plain)
    start = max(0, first.start() - BEFORE_CHARS) if first else 0
    at, end = start, start + SNIPPET_CHARS
    parts = []
    for match in sought.finditer(plain, start):
        if match.start() >= end:
            break
        parts += _part(text[at : match.start()], hit=False)
        parts += _part(text[match.start() : match.end()], hit=True)
        at = match.end()
        end = max(end, at)  # a hit at the edge is shown whole
    return parts + _part(text[at:end], hit=False)


def _part(text: str, *, hit: bool) -> list[Part]:
    return [Part(text, hit)] if text else []


def _pattern(term: Term) -> str:
    """A word stands alone, and may have space around it."""
    pieces = re.split(r" ([^ ]+) ", term.folded)  # every second one is a word, by the split's group
    said = [rf"{_NO_LETTER}{re.escape(piece)}{_NO_MORE}" if n % 2 else piece for n, piece in enumerate(pieces)]
    return r"\s*".join(piece for piece in said if piece)


class _SameLength(dict[int, int]):
    """Folds character by character where one becomes one, so that places in the folded text are places in the text."""

    def __missing__(self, code: int) -> int:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", chr(code)).lower())
        self[code] = ord(folded) if len(folded) == 1 else code
        return self[code]


_same_length = _SameLength()
