"""The function `append_entries`: one gapless sequence (P2), free retries (P3), and who may append what (P5)."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec
import pytest

from hub.messaging.model import SYSTEM, Status
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.scene import APPEND

KEY = new_id()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    conversation: str
    sender: str
    client_msg_id: str
    type: str = "text"
    target: int | None = None
    body: bytes = b"body"
    digest: bytes = b""
    key: str = KEY
    attachment: str | None = None
    on_behalf_of: str | None = None


class Ack(msgspec.Struct, frozen=True):
    status: int
    seq: int | None
    at: datetime | None
    version: int | None


async def append(pool: asyncpg.Pool, *rows: Row) -> list[Ack]:
    values = [msgspec.structs.astuple(msgspec.structs.replace(row, digest=row.digest or row.body)) for row in rows]
    found = await pool.fetch(APPEND, *(list(column) for column in zip(*values, strict=True)))
    assert [row["ord"] for row in found] == list(range(1, len(rows) + 1))
    return [Ack(row["status"], row["seq"], row["created_at"], row["members_version"]) for row in found]


async def people(database: Database, count: int) -> list[str]:
    users = [new_id() for _ in range(count)]
    await database.log.executemany("INSERT INTO users (id) VALUES ($1)", [(user,) for user in users])
    return users


async def conversation(database: Database, *users: str) -> str:
    found = new_id()
    await database.log.execute("INSERT INTO conversations (id, kind) VALUES ($1, 'group')", found)
    for user in users:
        await database.log.execute("INSERT INTO members (conversation, user_id) VALUES ($1, $2)", found, user)
    return found


async def stored(database: Database, of: str) -> list[asyncpg.Record]:
    return await database.log.fetch("SELECT * FROM entries WHERE conversation = $1 ORDER BY seq", of)


async def head(database: Database, of: str) -> int:
    found = await database.log.fetchval("SELECT head FROM conversations WHERE id = $1", of)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_numbers_are_gapless_and_single_when_processes_append_at_once(
    database: Database, database_url: str, seed: int
) -> None:
    """P2, P3: two processes with four connections each, batches with repetitions inside and across them."""
    chance = random.Random(seed)
    users = await people(database, 3)
    rooms = [await conversation(database, *users) for _ in range(8)]
    acks: dict[tuple[str, str, str], list[Ack]] = {}
    batches = [
        [
            Row(conversation=chance.choice(rooms), sender=chance.choice(users), client_msg_id=str(chance.randrange(40)))
            for _ in range(chance.randint(1, 30))
        ]
        for _ in range(160)
    ]
    first = asyncpg.create_pool(database_url, min_size=4, max_size=4)
    second = asyncpg.create_pool(database_url, min_size=4, max_size=4)

    async def work(pool: asyncpg.Pool, share: Sequence[list[Row]]) -> None:
        for batch in share:
            for row, ack in zip(batch, await append(pool, *batch), strict=True):
                acks.setdefault((row.conversation, row.sender, row.client_msg_id), []).append(ack)

    async with first, second, asyncio.TaskGroup() as tasks:
        for n in range(8):
            tasks.create_task(work(first if n % 2 else second, batches[n::8]))

    for room in rooms:
        rows = await stored(database, room)
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert await head(database, room) == len(rows)
        for row in rows:
            told = acks.pop((room, str(row["sender"]), row["client_msg_id"]))
            assert sorted(ack.status for ack in told) == [Status.NEW] + [Status.REPEATED] * (len(told) - 1)
            assert {(ack.seq, ack.at) for ack in told} == {(row["seq"], row["created_at"])}
    assert acks == {}


async def test_the_first_ack_is_answered_when_an_entry_is_sent_again(database: Database) -> None:
    """P3, later and in the same batch."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    row = Row(conversation=room, sender=user, client_msg_id="a")
    fresh = await append(database.log, row, row)
    again = await append(database.log, Row(conversation=room, sender=user, client_msg_id="b"), row)

    assert [(ack.status, ack.seq) for ack in fresh] == [(Status.NEW, 1), (Status.REPEATED, 1)]
    assert [(ack.status, ack.seq) for ack in again] == [(Status.NEW, 2), (Status.REPEATED, 1)]
    assert again[1].at == fresh[0].at


@pytest.mark.parametrize(
    "change", [{"body": b"other"}, {"type": "card"}, {"target": 1}], ids=["body", "type", "target"]
)
async def test_a_client_id_is_refused_for_something_else(database: Database, change: dict[str, object]) -> None:
    """P3: an id names one entry for ever; the conflict takes no number, and its neighbours go on."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    row = Row(conversation=room, sender=user, client_msg_id="a")
    other = msgspec.structs.replace(row, **change)
    await append(database.log, Row(conversation=room, sender=user, client_msg_id="0"))
    inside = await append(database.log, row, other, Row(conversation=room, sender=user, client_msg_id="b"))
    later = await append(database.log, other, row)

    assert [ack.status for ack in inside] == [Status.NEW, Status.OTHER_BODY, Status.NEW]
    assert [ack.status for ack in later] == [Status.OTHER_BODY, Status.REPEATED]
    assert later[1].seq == inside[0].seq
    assert await head(database, room) == 3


async def test_strangers_get_nothing_in_and_cost_their_batch_nothing(database: Database) -> None:
    """P5: an unknown conversation and one of others look the same."""
    inside, outside = await people(database, 2)
    room = await conversation(database, inside)
    acks = await append(
        database.log,
        Row(conversation=room, sender=outside, client_msg_id="a"),
        Row(conversation=new_id(), sender=inside, client_msg_id="a"),
        Row(conversation=room, sender=inside, client_msg_id="a"),
    )

    assert [(ack.status, ack.seq) for ack in acks] == [
        (Status.NOT_MEMBER, None),
        (Status.NOT_MEMBER, None),
        (Status.NEW, 1),
    ]


async def test_a_removed_member_appends_nothing_more_but_gets_acks_again(database: Database) -> None:
    """P5 and P3: what was accepted before the removal stays accepted."""
    gone, staying = await people(database, 2)
    room = await conversation(database, gone, staying)
    row = Row(conversation=room, sender=gone, client_msg_id="a")
    await append(database.log, row)
    await database.log.execute("UPDATE members SET to_seq = 1 WHERE conversation = $1 AND user_id = $2", room, gone)
    acks = await append(database.log, row, Row(conversation=room, sender=gone, client_msg_id="b"))

    assert [(ack.status, ack.seq) for ack in acks] == [(Status.REPEATED, 1), (Status.NOT_MEMBER, None)]
    assert await head(database, room) == 1


async def test_a_read_only_conversation_takes_system_entries_and_retries_only(database: Database) -> None:
    """The hub may still say why it was closed; people may still learn what became of their last words."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    before = Row(conversation=room, sender=user, client_msg_id="a")
    await append(database.log, before)
    await database.log.execute("UPDATE conversations SET state = 'read_only' WHERE id = $1", room)
    acks = await append(
        database.log,
        before,
        Row(conversation=room, sender=user, client_msg_id="b"),
        Row(conversation=room, sender=SYSTEM, client_msg_id="a", type="system"),
    )

    assert [ack.status for ack in acks] == [Status.REPEATED, Status.READ_ONLY, Status.NEW]


async def test_a_reader_only_reads(database: Database) -> None:
    """Inboxes and broadcasts are written by others."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    await database.log.execute("UPDATE members SET role = 'reader' WHERE conversation = $1", room)
    (ack,) = await append(database.log, Row(conversation=room, sender=user, client_msg_id="a"))

    assert ack.status == Status.MAY_ONLY_READ


async def test_an_upload_goes_into_one_entry_of_its_owner_and_conversation(database: Database) -> None:
    """Nobody sends another's file, or one file twice, not even in one batch; a retry is still a retry."""
    owner, other = await people(database, 2)
    room, elsewhere = await conversation(database, owner, other), await conversation(database, owner)
    upload = new_id()
    await database.log.execute(
        "INSERT INTO attachments (id, owner, conversation, kind, media_type, size, key_id)"
        " VALUES ($1, $2, $3, 'image', 'image/png', 1, $4)",
        upload,
        owner,
        room,
        KEY,
    )
    mine = Row(conversation=room, sender=owner, client_msg_id="a", type="image", attachment=upload)
    acks = await append(
        database.log,
        msgspec.structs.replace(mine, sender=other),
        msgspec.structs.replace(mine, conversation=elsewhere),
        mine,
        msgspec.structs.replace(mine, client_msg_id="b"),
        mine,
    )
    later = await append(database.log, mine, msgspec.structs.replace(mine, client_msg_id="c"))

    assert [ack.status for ack in acks] == [5, 5, Status.NEW, Status.NO_SUCH_ATTACHMENT, Status.REPEATED]
    assert [ack.status for ack in later] == [Status.REPEATED, Status.NO_SUCH_ATTACHMENT]
    assert await database.log.fetchval("SELECT seq FROM attachments WHERE id = $1", upload) == 1


async def test_an_operation_aims_at_an_entry_that_its_author_can_see(database: Database) -> None:
    """Neither at the future nor at what was before one's time."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    await append(database.log, *(Row(conversation=room, sender=user, client_msg_id=str(n)) for n in range(3)))
    await database.log.execute("UPDATE members SET from_seq = 2 WHERE conversation = $1", room)
    acks = await append(
        database.log,
        *(
            Row(conversation=room, sender=user, client_msg_id=f"r{target}", type="react", target=target)
            for target in (1, 2, 3, 4)
        ),
    )

    assert [ack.status for ack in acks] == [7, Status.NEW, Status.NEW, 7]


async def test_entries_committed_together_bear_one_time_and_the_version_of_then(database: Database) -> None:
    """The answer says which membership the recipients come from."""
    (user,) = await people(database, 1)
    room = await conversation(database, user)
    await database.log.execute("UPDATE conversations SET members_version = 7 WHERE id = $1", room)
    acks = await append(database.log, *(Row(conversation=room, sender=user, client_msg_id=str(n)) for n in range(5)))

    assert [ack.seq for ack in acks] == [1, 2, 3, 4, 5]
    assert {(ack.at, ack.version) for ack in acks} == {(acks[0].at, 7)}
