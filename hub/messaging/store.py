"""The log's tables and the statements of its use cases. Each names a conversation or a user: the shard keys.

Appending in batches is `collector`'s, reading pages is `history`'s, receipts are `receipt`'s.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging.collector import sealed_columns
from hub.messaging.conversation import Conversation, Member, Person
from hub.messaging.model import Appended, Draft, EntryType, Original, Status, refusal_of
from hub.platform.error import Refusal
from hub.security.sealing import DataKey

Id = Uuid(as_uuid=False)

metadata = MetaData()

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text),
    Column("title", LargeBinary),
    Column("source", Text),
    Column("subject", Id),
    Column("policy", JSONB),
    Column("state", Text),
    Column("direct_key", Text),
    Column("head", BigInteger),
    Column("members_version", BigInteger),
    Column("created_by", Id),
    Column("updated_at", DateTime(timezone=True)),
)

members = Table(
    "members",
    metadata,
    Column("conversation", Id, primary_key=True),
    Column("user_id", Id, primary_key=True),
    Column("role", Text),
    Column("from_seq", BigInteger),
    Column("to_seq", BigInteger),
    Column("delivered_seq", BigInteger),
    Column("read_seq", BigInteger),
    Column("muted", Boolean),
    Column("pinned", Boolean),
    Column("joined_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

entries = Table(
    "entries",
    metadata,
    Column("conversation", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("sender", Id),
    Column("on_behalf_of", Id),
    Column("type", Text),
    Column("target", BigInteger),
    Column("body", LargeBinary),
    Column("key_id", Id),
    Column("client_msg_id", Text),
    Column("recalled_by", BigInteger),
    Column("created_at", DateTime(timezone=True)),
)

_CONVERSATION = [conversations.c[name] for name in Conversation.__struct_fields__]
_MEMBER = [members.c.user_id.label("user"), *(members.c[name] for name in Member.__struct_fields__[1:])]


async def conversation(connection: AsyncConnection, conversation_id: str, *, lock: bool = False) -> Conversation | None:
    """A conversation; with `lock`, nothing is appended to it and nobody joins or goes until this transaction ends.

    Take the lock before anything else of the conversation, as `append_entries` does, so that no two transactions wait
    for each other.
    """
    statement = select(*_CONVERSATION).where(conversations.c.id == conversation_id)
    row = (await connection.execute(statement.with_for_update(key_share=True) if lock else statement)).one_or_none()
    return Conversation(**row._mapping) if row else None


async def insert_conversation(connection: AsyncConnection, values: Mapping[str, object]) -> str | None:
    """The new id, or None if there is one with this `direct_key`, committed by now."""
    statement = insert(conversations).values(values).on_conflict_do_nothing(index_elements=["direct_key"])
    inserted: str | None = (await connection.execute(statement.returning(conversations.c.id))).scalar()
    return inserted


async def id_of_key(connection: AsyncConnection, key: str) -> str | None:
    found: str | None = await connection.scalar(select(conversations.c.id).where(conversations.c.direct_key == key))
    return found


async def raise_version(connection: AsyncConnection, conversation_id: str, **values: object) -> int:
    """The membership's next version, with other columns set along."""
    statement = (
        update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(members_version=conversations.c.members_version + 1, **values)
        .returning(conversations.c.members_version)
    )
    version: int = (await connection.execute(statement)).scalar_one()
    return version


def seal_title(key: DataKey, conversation_id: str, title: str) -> bytes:
    """The key's id and the title sealed with it, in one column."""
    return UUID(key.id).bytes + key.seal(title.encode(), _title_context(conversation_id))


def key_of_title(sealed: bytes) -> str:
    return str(UUID(bytes=sealed[:16]))


def open_title(sealed: bytes, conversation_id: str, key: DataKey | None) -> str:
    """Empty when the key was destroyed."""
    return key.open(sealed[16:], _title_context(conversation_id)).decode() if key else ""


def _title_context(conversation_id: str) -> bytes:
    return f"{conversation_id}|title".encode()


async def set_title(connection: AsyncConnection, conversation_id: str, title: bytes) -> None:
    await connection.execute(update(conversations).where(conversations.c.id == conversation_id).values(title=title))


async def member(connection: AsyncConnection, conversation_id: str, user: str) -> Member | None:
    """Somebody's place, also a former one."""
    found = await named_members(connection, conversation_id, [user])
    return found.get(user)


async def named_members(connection: AsyncConnection, conversation_id: str, named: Sequence[str]) -> dict[str, Member]:
    """Who of these has or had a place."""
    statement = select(*_MEMBER).where(members.c.conversation == conversation_id, members.c.user_id.in_(named))
    return {row.user: Member(**row._mapping) for row in await connection.execute(statement)}


async def active_members(connection: AsyncConnection, conversation_id: str) -> list[Member]:
    """Everybody who is in, the longest first."""
    statement = (
        select(*_MEMBER)
        .where(members.c.conversation == conversation_id, members.c.to_seq.is_(None))
        .order_by(members.c.joined_at, members.c.user_id)
    )
    return [Member(**row._mapping) for row in await connection.execute(statement)]


async def admit(connection: AsyncConnection, conversation_id: str, roles: Mapping[str, str], from_seq: int) -> None:
    """Give places, also to those who had one before; what lies before `from_seq` counts as received and read."""
    statement = insert(members)
    fresh = statement.excluded
    returning = statement.on_conflict_do_update(
        index_elements=["conversation", "user_id"],
        set_={
            "role": fresh.role,
            "from_seq": fresh.from_seq,
            "to_seq": None,
            "delivered_seq": func.greatest(members.c.delivered_seq, fresh.delivered_seq),
            "read_seq": func.greatest(members.c.read_seq, fresh.read_seq),
            "joined_at": func.clock_timestamp(),
            "updated_at": func.clock_timestamp(),
        },
    )
    places = [
        {
            "conversation": conversation_id,
            "user_id": user,
            "role": role,
            "from_seq": from_seq,
            "delivered_seq": from_seq - 1,
            "read_seq": from_seq - 1,
        }
        for user, role in sorted(roles.items())
    ]
    await connection.execute(returning, places)


async def set_members(
    connection: AsyncConnection, conversation_id: str, named: Sequence[str], values: Mapping[str, object]
) -> None:
    """Change the same columns of several places."""
    await connection.execute(
        update(members)
        .where(members.c.conversation == conversation_id, members.c.user_id.in_(named))
        .values(updated_at=func.clock_timestamp(), **values)
    )


_PEOPLE = (
    text("""
SELECT u.id, u.role, EXISTS (
  SELECT 1 FROM members mine JOIN members theirs ON theirs.conversation = mine.conversation
  JOIN conversations c ON c.id = mine.conversation
  WHERE mine.user_id = :actor AND mine.to_seq IS NULL AND theirs.user_id = u.id AND theirs.to_seq IS NULL
    AND c.kind IN ('direct', 'care', 'group')) AS known
FROM users u WHERE u.id = ANY (:named) AND u.status = 'active'
""")
    .bindparams(bindparam("actor", type_=Id), bindparam("named", type_=ARRAY(Id)))
    .columns(id=Id)
)


async def people(connection: AsyncConnection, actor: str, named: Sequence[str]) -> list[Person]:
    """The active accounts among these, and whether `actor` shares a conversation with them."""
    rows = await connection.execute(_PEOPLE, {"actor": actor, "named": list(named)})
    return [Person(**row._mapping) for row in rows]


async def original(connection: AsyncConnection, conversation_id: str, seq: int, member: Member) -> Original | None:
    """The entry that an operation aims at, if this member may see it."""
    if seq < member.from_seq:
        return None
    statement = select(entries.c.sender, entries.c.type, entries.c.created_at, entries.c.recalled_by).where(
        entries.c.conversation == conversation_id, entries.c.seq == seq
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    recalled = row.recalled_by is not None
    return Original(seq=seq, sender=row.sender, type=row.type, created_at=row.created_at, recalled=recalled)


async def is_used(connection: AsyncConnection, conversation_id: str, sender: str, client_msg_id: str) -> bool:
    """Whether this client id has an entry already: a retry, or a mistake; `append` says which."""
    statement = select(entries.c.seq).where(
        entries.c.conversation == conversation_id,
        entries.c.sender == sender,
        entries.c.client_msg_id == client_msg_id,
    )
    return await connection.scalar(statement) is not None


async def mark_recalled(connection: AsyncConnection, conversation_id: str, seq: int, by: int) -> None:
    """Its edits go with it: each carries a version of the same text."""
    for which in (entries.c.seq == seq, and_(entries.c.target == seq, entries.c.type == EntryType.EDIT)):
        statement = update(entries).where(entries.c.conversation == conversation_id, which)
        await connection.execute(statement.values(recalled_by=by))


_APPEND = text("""
SELECT status, seq, created_at, members_version, recalled FROM append_entries(CAST(:conversation AS uuid[]),
  CAST(:sender AS uuid[]), CAST(:client_msg_id AS text[]), CAST(:type AS text[]), CAST(:target AS bigint[]), CAST(:body AS bytea[]),
  CAST(:digest AS bytea[]), CAST(:key AS uuid[]), CAST(:attachment AS uuid[]), CAST(:on_behalf_of AS uuid[]))
""")


async def append(connection: AsyncConnection, draft: Draft, key: DataKey) -> Appended:
    """Seal and append one entry in the caller's transaction, by the same function as the hot path. Raises `Refusal`."""
    (appended,) = await append_all(connection, [(draft, key)])
    if isinstance(appended, Refusal):
        raise appended
    return appended


async def append_all(connection: AsyncConnection, drafts: Sequence[tuple[Draft, DataKey]]) -> list[Appended | Refusal]:
    """The same for many, in one call: what became of each."""
    if not drafts:
        return []
    columns = dict(zip(_COLUMNS, sealed_columns(drafts), strict=True))
    return [_appended(row) for row in await connection.execute(_APPEND, columns)]


_COLUMNS = (
    "conversation",
    "sender",
    "client_msg_id",
    "type",
    "target",
    "body",
    "digest",
    "key",
    "attachment",
    "on_behalf_of",
)


def _appended(row: Row[Any]) -> Appended | Refusal:
    if row.status > Status.REPEATED:
        return refusal_of(row.status)
    return Appended(
        seq=row.seq,
        at=row.created_at,
        dup=row.status == Status.REPEATED,
        members_version=row.members_version,
        recalled=row.recalled,
    )


async def sealing_subjects(connection: AsyncConnection, conversations_: Collection[str]) -> dict[str, str]:
    """Whose key seals what the hub says in these; unknown ones are left out."""
    if not conversations_:
        return {}
    statement = select(*_CONVERSATION).where(conversations.c.id.in_(conversations_))
    found = (Conversation(**row._mapping) for row in await connection.execute(statement))
    return {each.id: each.seals_for(None) for each in found}
