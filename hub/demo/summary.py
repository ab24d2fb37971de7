"""The demo as text for a terminal: who there is, and the conversations of one of them."""

import msgspec

from hub.accounts.model import Role
from hub.demo.care_talk import CARE_TALKS
from hub.demo.cast import CAST, name_of
from hub.demo.talk import TALKS
from hub.messaging.conversation import Summary
from hub.messaging.history import History
from hub.messaging.listing import Listing
from hub.platform.database import open_database
from hub.platform.page import Paging
from hub.platform.settings import Settings
from hub.security.keyring import load_keyring
from hub.security.sealing import Sealer

ROLE_NAMES = {"patient": "患者", "companion": "陪诊师", "doctor": "医生", "staff": "客服", "admin": "管理员"}
KIND_NAMES = {"direct": "单聊", "care": "陪诊", "group": "群聊", "inbox": "通知", "broadcast": "公告"}


async def describe(settings: Settings, phone: str = str(CAST["patient"][0])) -> str:
    """Who there is, and the conversations of one of them."""
    lines = ["演示账号（开发环境下验证码随 /auth/sms-code 返回）："]
    for role, (first, count) in CAST.items():
        numbers = str(first) if count == 1 else f"{first}–{first + count - 1}"
        lines.append(f"  {ROLE_NAMES[role]}  {numbers}  {name_of(role, 1)}{' 等' if count > 1 else ''}{_talking(role)}")
    async with open_database(settings.database) as database:
        sealer = Sealer(load_keyring(settings), database)
        listing = Listing(database.log, sealer, History(database.log, sealer, settings.messaging.large_conversation))
        found = await database.log.fetchrow("SELECT id::text, name FROM users WHERE phone = $1", phone)
        if found is None:
            seeded = await database.log.fetchval("SELECT EXISTS (SELECT FROM conversations WHERE id = $1)", TALKS[0].id)
            missing = f"没有手机号为 {phone} 的用户" if seeded else "还没有演示数据，请先运行 ./dev hub seed"
            return "\n".join([*lines, missing])
        summaries, total = await listing.page(found["id"], Paging(1, 100, "updatedAt", descending=True))
    return "\n".join([*lines, f"{found['name']}（{phone}）的会话，共 {total} 个：", *map(_line_of, summaries)])


def _talking(role: Role) -> str:
    """Which of them have conversations in the demo, by the last two digits of their phones."""
    first, count = CAST[role]
    places = {int(who[1:]) for talk in (*CARE_TALKS, *TALKS) for who in talk.people if who[0] == role[0]}
    phones = "、".join(f"{(first + place - 1) % 100:02}" for place in sorted(places))
    return f"（有会话的：尾号 {phones}）" if places and count > 1 else ""


def _line_of(summary: Summary) -> str:
    """One conversation in one line."""
    last = summary.last_entry
    body = msgspec.json.decode(last.body) if last is not None else {}
    said = body.get("text") or body.get("title") or body.get("event") or "…"
    unread = f"，{summary.unread} 条未读" if summary.unread else ""
    return f"  [{KIND_NAMES[summary.kind]}] {summary.title}（{summary.member_count} 人{unread}）：{said}"
