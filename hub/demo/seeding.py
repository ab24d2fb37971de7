"""Filling a database with the demo, all of it or nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.demo.article import add_articles
from hub.demo.care_talk import CARE_TALKS
from hub.demo.cast import CAST, add_people
from hub.demo.conversation import Scene, open_talk
from hub.demo.directory import add_directory, add_services
from hub.demo.order import add_orders
from hub.demo.plan import add_plans
from hub.demo.record import add_records
from hub.demo.relation import add_consents, add_relations
from hub.demo.talk import TALKS
from hub.directory.model import SHANGHAI
from hub.messaging import store
from hub.platform.database import open_database
from hub.platform.settings import Settings
from hub.security.keyring import load_keyring
from hub.security.sealing import Sealer

LOCK = 1752523298  # arbitrary but fixed: two that seed one database take turns
TIMEOUT_S = 120.0  # so long one waits for the other on a slow machine


async def seed(settings: Settings) -> str | None:
    """Fill the database with the demo, in one transaction. None if it was there already: then nothing is touched."""
    patient = msgspec.structs.replace(settings.database, timeout_s=max(settings.database.timeout_s, TIMEOUT_S))
    async with open_database(patient) as database:
        sealer = Sealer(load_keyring(settings), database)
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if await store.conversation(connection, TALKS[0].id) is not None:
                return None
            counts = await _fill(connection, sealer, datetime.now(UTC).replace(microsecond=0))
    written = "，".join(f"{count} {what}" for what, count in counts.items())
    return f"演示数据已写入：{written}"


async def _fill(connection: AsyncConnection, sealer: Sealer, now: datetime) -> Mapping[str, int]:
    """Everything; the answer is how much there is of what."""
    people = await add_people(connection)
    await add_consents(connection, people, now)
    relations = await add_relations(connection, people, now)
    hospitals = await add_directory(connection, people, now.astimezone(SHANGHAI).date())
    services = await add_services(connection, people)
    articles = await add_articles(connection, people, now)
    readings = await add_records(connection, sealer, people, now)
    plans = await add_plans(connection, sealer, people, now)
    scene = Scene(connection, sealer, people, now)
    orders = await add_orders(scene)
    for talk in TALKS:
        await open_talk(scene, talk)
    talks = (*CARE_TALKS, *TALKS)
    return {
        "位用户": len(people),
        "段家人关系": relations,
        "家医院": hospitals,
        "位医生": CAST["doctor"][1],
        "项服务": services,
        "篇文章": articles,
        "条健康记录": readings,
        "个健康计划": plans,
        "个订单": orders,
        "个会话": len(talks),
        "条消息": sum(len(talk.lines) for talk in talks),
    }
