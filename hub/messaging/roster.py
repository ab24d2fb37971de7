"""Who is in a conversation, kept per node by membership version: the list that fan-out uses, and the subject that seals."""

from collections import OrderedDict
from collections.abc import Collection, Sequence

import asyncpg
import msgspec

from hub.messaging.model import Kind

KEPT = 50_000  # rosters; about 40 MB when every conversation has four members


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """The members at one version, each with the first seq they may see.

    `large` conversations have a channel of their own and no list here.
    """

    kind: str
    subject: str | None
    version: int
    users: dict[str, int]
    large: bool

    def seals_for(self, sender: str, conversation: str, system: str) -> str:
        """Whose key seals an entry of `sender`: the patient in care, the author elsewhere, the conversation for system entries."""
        if self.kind == Kind.CARE and self.subject is not None:
            return self.subject
        return conversation if sender == system else sender


_LOAD = """
SELECT c.id::text, c.kind, c.subject::text, c.members_version,
       ARRAY(SELECT m.user_id::text || ' ' || m.from_seq FROM members m WHERE m.conversation = c.id AND m.to_seq IS NULL LIMIT $2)
FROM conversations c WHERE c.id = ANY ($1::uuid[])
"""


class Rosters:
    """A bounded cache. A roster is right for its version; whoever knows a newer version loads again."""

    def __init__(self, pool: asyncpg.Pool, large: int) -> None:
        self._pool = pool
        self._large = large
        self._kept: OrderedDict[str, Roster] = OrderedDict()

    def get(self, conversation: str, version: int | None = None) -> Roster | None:
        """The roster as last loaded, or None; with `version`, only if it is that one or newer."""
        roster = self._kept.get(conversation)
        if roster is None or (version is not None and roster.version < version):
            return None
        return roster

    async def load(self, conversations: Collection[str]) -> None:
        """Read these from PostgreSQL in one statement; unknown ones stay unknown."""
        rows = await self._pool.fetch(_LOAD, list(conversations), self._large + 1)
        for conversation, kind, subject, version, users in rows:
            large = len(users) > self._large or kind == Kind.BROADCAST
            self._keep(
                conversation,
                Roster(kind=kind, subject=subject, version=version, users={} if large else _places(users), large=large),
            )

    def _keep(self, conversation: str, roster: Roster) -> None:
        held = self._kept.get(conversation)
        if held is not None and held.version > roster.version:
            return  # two loads crossed; the newer one stays
        self._kept[conversation] = roster
        self._kept.move_to_end(conversation)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _places(pairs: Sequence[str]) -> dict[str, int]:
    return {user: int(from_seq) for user, from_seq in (pair.split() for pair in pairs)}


_ACQUAINTED = """
SELECT t.a::text, t.b::text FROM unnest($1::uuid[], $2::uuid[]) AS t(a, b)
WHERE EXISTS (
  SELECT 1 FROM members m JOIN members o ON o.conversation = m.conversation AND o.user_id = t.b AND o.to_seq IS NULL
  JOIN conversations c ON c.id = m.conversation AND c.kind <> 'broadcast'
  WHERE m.user_id = t.a AND m.to_seq IS NULL)
"""


async def acquainted(pool: asyncpg.Pool, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those pairs of people who are in some conversation together now; having been told the same is none. One statement."""
    rows = await pool.fetch(_ACQUAINTED, [a for a, _ in pairs], [b for _, b in pairs])
    return {(row[0], row[1]) for row in rows}
