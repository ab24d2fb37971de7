"""What the requests and answers of this area are made of: their two bases, and texts with their bounds."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

# PostgreSQL keeps no NUL, so none is taken. In Python `$` also matches before a last newline, but here nothing is left then.
ANY = r"^[^\x00]*$"
# The same, and something that can be seen.
SEEN = r"^[^\x00]*[^\s\x00][^\x00]*$"

Key = Annotated[str, Meta(max_length=64)]
"""An id in a body; what is none names nothing."""
Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=SEEN)]
Title = Annotated[str, Meta(min_length=1, max_length=100, pattern=SEEN)]
Phone = Annotated[str, Meta(pattern=r"^1[3-9][0-9]{9}(?![\s\S])")]
Reason = Annotated[str, Meta(max_length=500, pattern=ANY)]
Notes = Annotated[str, Meta(max_length=2000, pattern=ANY)]

Offsets = Annotated[tuple[Annotated[int, Meta(ge=5, le=14 * 1440)], ...], Meta(max_length=5)]
"""How many minutes before, each."""

_Word = Annotated[str, Meta(max_length=500, pattern=ANY)]
_Whole = Annotated[int, Meta(ge=-(10**15), le=10**15)]
_Number = Annotated[float, Meta(ge=-(10**15), le=10**15)]
_FieldName = Annotated[str, Meta(min_length=1, max_length=64, pattern=ANY)]
Fields = Annotated[dict[_FieldName, _Word | _Whole | _Number | bool | None], Meta(max_length=20)]
"""What a form of the client's own collects: flat and small."""


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class Outbound(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""


def money(amount: Decimal) -> str:
    """`128.00`: two places, and a string, because a JSON number would lose them."""
    return f"{amount:.2f}"
