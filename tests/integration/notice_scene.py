"""A worker's delivery over scripted channels, on the real database and Redis; conversations and people come from `scene`."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from channels.limit import open_limits
from channels.port import Bucket, Message, Outcome, Verdict
from hub.notices.class_book import ClassBook
from hub.notices.delivery import Delivery
from hub.notices.derive import derive
from hub.notices.notice_class import CLASSES, NoticeClass
from hub.notices.record import Recorder
from hub.notices.template import Template
from hub.notices.template_default import DEFAULTS
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.scene import Scene

SHARDS = 1
LATE_S = 15.0
_TIMES = {
    "entries": ("created_at",),
    "notice_marks": ("at", "wide_at"),
    "notices": ("next_at", "begins_at", "expires_at", "created_at"),
    "notice_attempts": ("next_at", "receipt_until", "sent_at"),
}
ACCEPTED = Outcome(verdict=Verdict.ACCEPTED)

Answer = Outcome | Callable[[Message], Outcome] | asyncio.Event


class ScriptedChannel:
    """A provider that answers what the test says, and remembers what it was given."""

    def __init__(self, name: str, provider: str = "", *, repeats: bool = True, receipt_s: float = 0) -> None:
        self.name = name
        self.provider = provider or name
        self.receipt_s = receipt_s
        self.repeats = repeats
        self.answers: list[Answer] = []
        self.fate: Outcome | None = None
        self.sent: list[Message] = []
        self.asked: list[str] = []
        self.withdrawn: list[str] = []
        self.per_s = 1_000_000.0

    def may_repeat(self, message: Message) -> bool:
        return self.repeats

    def bucket(self, message: Message) -> Bucket:
        return Bucket(f"{self.provider}-{id(self)}", self.per_s)

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        answer = self.answers.pop(0) if self.answers else ACCEPTED
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return ACCEPTED
        return answer(message) if callable(answer) else answer

    async def settle(self, message: Message, provider_id: str, sent_at: datetime) -> Outcome | None:
        self.asked.append(message.attempt)
        return self.fate

    async def withdraw(self, message: Message, provider_id: str) -> bool:
        self.withdrawn.append(message.tag)
        return True


class Post(Scene):
    """A scene with a worker. Time moves by moving the rows' times back: PostgreSQL's own clock decides."""

    def __init__(self, database: Database, delivery: Delivery) -> None:
        super().__init__(database)
        self.delivery = delivery

    async def reach(self, user: str, *channels: str) -> None:
        """Give somebody an address on each of these channels."""
        pool = self.database.log
        for channel in channels:
            if channel == "wechat":
                await pool.execute("UPDATE users SET wechat_openid = $2 WHERE id = $1", user, f"openid-{user}")
                for template in ("wechat-chat", "wechat-order"):
                    await pool.execute(
                        "INSERT INTO wechat_quotas (openid, template, remaining) VALUES ($1, $2, 5)",
                        f"openid-{user}",
                        template,
                    )
            elif channel == "sms":
                await pool.execute(
                    "UPDATE users SET phone = $2 WHERE id = $1", user, f"138{secrets.randbelow(10**8):08d}"
                )
            else:
                await pool.execute(
                    "INSERT INTO notice_addresses (id, user_id, channel, value) VALUES ($1, $2, $3, $4)",
                    new_id(),
                    user,
                    channel,
                    f"{channel}:{user}:{new_id()}",
                )

    async def pass_time(self, seconds: float) -> None:
        """Everything that has a time gets older by so much."""
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{column} = {column} - CAST($1 AS interval)" for column in columns)
            await self.database.log.execute(f"UPDATE {table} SET {moved}", timedelta(seconds=seconds))  # noqa: S608 - from here

    async def sweep(self, code: str = "chat") -> set[tuple[str, int]]:
        return await derive(self.database.log, CLASSES[code], SHARDS, LATE_S)

    async def deliver(self, lane: str = "normal") -> None:
        """One worker, until nothing is due."""
        while await self.delivery.drain(lane, 0):
            pass

    async def notices(self, user: str) -> list[asyncpg.Record]:
        return await self.database.log.fetch("SELECT * FROM notices WHERE user_id = $1 ORDER BY id", user)

    async def attempts(self, user: str) -> list[tuple[str, str, str]]:
        """(channel, state, code) of every attempt, in the order in which they were made."""
        rows = await self.database.log.fetch(
            """SELECT a.channel, a.state, a.code FROM notice_attempts a JOIN notices n ON n.id = a.notice
               WHERE n.user_id = $1 ORDER BY a.id""",
            user,
        )
        return [(row["channel"], row["state"], row["code"]) for row in rows]

    async def cursor(self, user: str, conversation: str, *, delivered: int = 0, read: int = 0) -> None:
        await self.database.log.execute(
            """UPDATE members SET delivered_seq = greatest(delivered_seq, $3, $4), read_seq = greatest(read_seq, $4)
               WHERE user_id = $1 AND conversation = $2""",
            user,
            conversation,
            delivered,
            read,
        )


class Templates:
    """The default templates, with ids at the providers."""

    async def all(self, connection: object = None) -> dict[Any, Template]:  # Any: the key, whose parts are literals
        return {
            key: msgspec.structs.replace(each, provider_template=f"{key[1]}-{key[0]}") for key, each in DEFAULTS.items()
        }


@asynccontextmanager
async def open_post(
    database: Database, redis_url: str, *channels: ScriptedChannel, **chosen: Any
) -> AsyncIterator[Post]:
    """A worker with these channels; `chosen` changes settings of `[notices]`."""
    clock = SystemClock()
    async with open_limits(settings.Redis(url=redis_url, prefix=f"test-{new_id()}")) as limits:
        recorder = Recorder(database.log, {})
        delivery = Delivery(
            database.log,
            ClassBook(database, clock),
            Templates(),  # type: ignore[arg-type]  # a book of another hand
            channels,
            limits,
            recorder,
            clock,
            settings.Notices(shards=SHARDS, **chosen),
            frozenset(),
        )
        writing = asyncio.create_task(recorder.run())
        try:
            yield Post(database, delivery)
        finally:
            writing.cancel()
            await asyncio.wait([writing])


async def change_class(database: Database, changed: NoticeClass) -> None:
    """As staff would; a delivery that has not read the classes yet sees it."""
    await database.log.execute(
        """INSERT INTO notice_classes (code, value, changed_by) VALUES ($1, $2, $3)
           ON CONFLICT (code) DO UPDATE SET value = excluded.value""",
        changed.code,
        msgspec.to_builtins(changed),
        new_id(),
    )
