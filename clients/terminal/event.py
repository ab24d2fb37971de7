"""What a client tells its program beside the server's own frames."""

import msgspec

from hub.realtime.protocol import Fact


class Online(msgspec.Struct, frozen=True):
    """Connected, and welcomed."""


class Offline(msgspec.Struct, frozen=True):
    """Not connected. `again_in_s` is None when the client has stopped."""

    reason: str
    again_in_s: float | None


Event = Fact | Online | Offline


class Stopped(Exception):
    """The server said not to come back, or the client was closed."""
