"""Who listens to which channel on this node. Leaving costs what the leaver had joined."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Registry(Generic[Member]):
    def __init__(self) -> None:
        self._members: dict[str, dict[Member, None]] = {}
        self._channels: dict[Member, set[str]] = {}

    def join(self, channel: str, member: Member) -> bool:
        """Add a member; True when it is the channel's first, so the node must subscribe."""
        self._channels.setdefault(member, set()).add(channel)
        members = self._members.get(channel)
        if members is None:
            self._members[channel] = {member: None}
            return True
        members[member] = None
        return False

    def leave(self, channel: str, member: Member) -> bool:
        """Remove a member; True when the channel is empty now. Leaving what was not joined changes nothing."""
        joined = self._channels.get(member)
        if joined is None or channel not in joined:
            return False
        joined.discard(channel)
        if not joined:
            del self._channels[member]
        return self._forget(channel, member)

    def drop(self, member: Member) -> list[str]:
        """Remove a member everywhere; the answer is the channels left empty."""
        return [c for c in sorted(self._channels.pop(member, ())) if self._forget(c, member)]

    def members(self, channel: str) -> list[Member]:
        """Those who listen, in the order in which they came; a copy, so a listener may leave meanwhile."""
        return list(self._members.get(channel, ()))

    def channels_of(self, member: Member) -> frozenset[str]:
        return frozenset(self._channels.get(member, ()))

    def channels(self, prefix: str) -> list[str]:
        return [channel for channel in self._members if channel.startswith(prefix)]

    def __contains__(self, channel: str) -> bool:
        return channel in self._members

    def __len__(self) -> int:
        return len(self._channels)

    def _forget(self, channel: str, member: Member) -> bool:
        members = self._members[channel]
        del members[member]
        if not members:
            del self._members[channel]
        return not members
