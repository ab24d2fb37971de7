"""A small demo to look at: the people of the contract, and some of their conversations. The texts are in `demo_talk`."""

from collections.abc import Mapping
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.actions import ensure_user
from hub.accounts.model import Role as AccountRole
from hub.demo_core import seed_core
from hub.demo_talk import CAST, TALKS, Line, Talk, name_of
from hub.messaging import store
from hub.messaging.actions import Opening, open_conversation
from hub.messaging.conversation import Conversation, Role, Summary, direct_key
from hub.messaging.history import History
from hub.messaging.listing import Listing
from hub.messaging.model import Draft, EntryType, Kind
from hub.platform.database import open_database
from hub.platform.page import Paging
from hub.platform.settings import Settings
from hub.security.keyring import load_keyring
from hub.security.sealing import Sealer

NAMESPACE = UUID("6f3c1f0e-6d0a-5b8e-9d51-0d1f5c1f7e21")
LOCK = 1752523298  # arbitrary but fixed: two that seed one database take turns
MINUTES_BETWEEN = 4  # lines of one talk
ROLE_NAMES = {"patient": "患者", "companion": "陪诊师", "doctor": "医生", "staff": "客服", "admin": "管理员"}
KIND_NAMES = {"direct": "单聊", "care": "陪诊", "group": "群聊", "inbox": "通知", "broadcast": "公告"}

# The past of a talk: its entries were said one after another until `ago` minutes ago, and read but for the last few.
_AGE = """
UPDATE entries e SET created_at = c.updated_at - make_interval(mins => CAST(:ago + (c.head - e.seq) * :between AS int))
FROM conversations c WHERE c.id = :id AND e.conversation = c.id
"""
_AGE_CONVERSATION = """
UPDATE conversations SET updated_at = updated_at - make_interval(mins => :ago) WHERE id = :id
"""
_READ = """
UPDATE members m SET delivered_seq = c.head, read_seq = CASE WHEN m.user_id = :reader THEN c.head - :unread ELSE c.head END
FROM conversations c WHERE c.id = :id AND m.conversation = c.id
"""


async def seed(settings: Settings) -> str | None:
    """Fill the database with the demo, in one transaction. None if it was there already: then nothing is touched."""
    async with open_database(settings.database) as database:
        sealer = Sealer(load_keyring(settings), database)
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if await store.conversation(connection, _id_of(TALKS[0])) is not None:
                return None
            people = await _people(connection)
            for talk in TALKS:
                await _open(connection, sealer, talk, people)
            core = await seed_core(connection, sealer, people)
    said = sum(len(talk.lines) for talk in TALKS)
    return f"演示数据已写入：{len(people)} 位用户，{len(TALKS)} 个会话，{said} 条消息，{core}"


async def describe(settings: Settings, phone: str = str(CAST["patient"][0])) -> str:
    """Who there is, and the conversations of one of them, as text for a terminal."""
    lines = ["演示账号（开发环境下验证码随 /auth/sms-code 返回）："]
    for role, (first, count) in CAST.items():
        numbers = str(first) if count == 1 else f"{first}–{first + count - 1}"
        lines.append(f"  {ROLE_NAMES[role]}  {numbers}  {name_of(role, 1)}{' 等' if count > 1 else ''}{_talking(role)}")
    async with open_database(settings.database) as database:
        sealer = Sealer(load_keyring(settings), database)
        listing = Listing(database.log, sealer, History(database.log, sealer, settings.messaging.large_conversation))
        found = await database.log.fetchrow("SELECT id::text, name FROM users WHERE phone = $1", phone)
        if found is None:
            seeded = await database.log.fetchval(
                "SELECT EXISTS (SELECT FROM conversations WHERE id = $1)", _id_of(TALKS[0])
            )
            return "\n".join(
                [*lines, f"没有手机号为 {phone} 的用户" if seeded else "还没有演示数据，请先运行 ./dev hub seed"]
            )
        summaries, total = await listing.page(found["id"], Paging(1, 100, "updatedAt", descending=True))
    return "\n".join([*lines, f"{found['name']}（{phone}）的会话，共 {total} 个：", *map(_line_of, summaries)])


def _talking(role: AccountRole) -> str:
    """Which of them have conversations in the demo, by the last two digits of their phones."""
    first, count = CAST[role]
    places = {int(who[1:]) for talk in TALKS for who in talk.people if who[0] == role[0]}
    phones = "、".join(f"{(first + place - 1) % 100:02}" for place in sorted(places))
    return f"（有会话的：尾号 {phones}）" if places and count > 1 else ""


async def _people(connection: AsyncConnection) -> dict[str, str]:
    """Everybody's id by their place in the cast."""
    people = {}
    for role, (first, count) in CAST.items():
        for number in range(1, count + 1):
            people[f"{role[0]}{number}"] = await ensure_user(
                connection, phone=str(first + number - 1), name=name_of(role, number), role=role
            )
    return people


async def _open(connection: AsyncConnection, sealer: Sealer, talk: Talk, people: Mapping[str, str]) -> None:
    users = [people[who] for who in talk.people]
    places = dict.fromkeys(users, Role.MEMBER)
    if talk.kind is Kind.GROUP:
        places[users[0]] = Role.OWNER
    opening = Opening(
        id=_id_of(talk),
        kind=talk.kind,
        members=places,
        title=talk.title,
        by=users[0] if talk.kind is Kind.GROUP else None,
        subject=users[0] if talk.kind is Kind.CARE else None,
        source=f"demo:{talk.name}" if talk.kind is Kind.CARE else None,
        direct_key=direct_key(users[0], users[1]) if talk.kind is Kind.DIRECT else None,
    )
    system = await sealer.key_for(opening.subject or opening.id) if talk.title else None
    opened = (await open_conversation(connection, opening, system)).conversation
    conversation = await store.conversation(connection, opened)
    if conversation is None or opened != opening.id:
        return  # these two talk already: nothing is put between their own words
    for number, line in enumerate(talk.lines, 1):
        await _say(connection, sealer, conversation, talk, number, line, people)
    values = {"id": opened, "ago": talk.minutes_ago, "between": MINUTES_BETWEEN}
    await connection.execute(text(_AGE), values)
    await connection.execute(text(_AGE_CONVERSATION), {"id": opened, "ago": talk.minutes_ago})
    await connection.execute(text(_READ), {"id": opened, "reader": users[0], "unread": talk.unread})


async def _say(
    connection: AsyncConnection,
    sealer: Sealer,
    conversation: Conversation,
    talk: Talk,
    number: int,
    line: Line,
    people: Mapping[str, str],
) -> None:
    before = conversation.head  # the entry `created`, where there is one
    draft = Draft(
        conversation=conversation.id,
        sender=people[line.who],
        client_msg_id=f"demo-{talk.name}-{number}",
        type=line.type,
        body=msgspec.json.encode(line.body),
        target=None if line.target is None else before + line.target,
    )
    appended = await store.append(connection, draft, await sealer.key_for(conversation.seals_for(draft.sender)))
    if line.type is EntryType.RECALL and draft.target is not None:
        await store.mark_recalled(connection, conversation.id, draft.target, appended.seq)


def _id_of(talk: Talk) -> str:
    return str(uuid5(NAMESPACE, talk.name))


def _line_of(summary: Summary) -> str:
    """One conversation in one line."""
    last = summary.last_entry
    body = msgspec.json.decode(last.body) if last is not None else {}
    said = body.get("text") or body.get("title") or body.get("event") or "…"
    unread = f"，{summary.unread} 条未读" if summary.unread else ""
    return f"  [{KIND_NAMES[summary.kind]}] {summary.title}（{summary.member_count} 人{unread}）：{said}"
