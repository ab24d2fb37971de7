"""What the requests and answers of this area are made of: their two bases, and texts with their bounds."""

import msgspec

# PostgreSQL keeps no NUL, so none is taken. In Python `$` also matches before a last newline, but here nothing is left then.
ANY = r"^[^\x00]*$"
# The same, and something that can be seen. Without a second stretch of anything: a long text is looked through once.
SEEN = r"^(?!\s*$)[^\x00]+$"


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class Outbound(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""
