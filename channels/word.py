"""What may be kept of a provider's own words: codes and ids, never free text, which may hold a phone number or a name. Pure."""

import re

MOST_CODE = 64
MOST_ID = 256
NOT_A_CODE = "not_a_code"

_PLAIN = re.compile(r"[A-Za-z0-9._:/|@%+=^-]*")
_NUMBER = re.compile(r"\d{8}", re.ASCII)  # longer than any errcode, no longer than a phone or a card
_PHONE = re.compile(r"(?<![A-Za-z0-9])(?:\+?(?:00)?86)?1[3-9]\d{9}(?![A-Za-z0-9])", re.ASCII)


def code_of(said: str) -> str:
    """The code as it was said, or that it was none: one word of 64 characters at most, in which no long number stands."""
    plain = len(said) <= MOST_CODE and _PLAIN.fullmatch(said) and not _NUMBER.search(said)
    return said if plain else NOT_A_CODE


def id_of(said: str) -> str:
    """The id exactly as it was said, because receipts are found by it; nothing where it cannot be one, or holds a phone number."""
    plain = len(said) <= MOST_ID and _PLAIN.fullmatch(said) and not _PHONE.search(said)
    return said if plain else ""
