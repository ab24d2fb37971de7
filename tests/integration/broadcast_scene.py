"""Staff who send broadcasts and a worker's desk, for the tests of broadcasts, on a real database."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hub.broadcasts import store as broadcast_store
from hub.broadcasts.actions import Broadcasts, Wanted
from hub.broadcasts.duty import Desk, reach
from hub.broadcasts.model import Segment
from hub.messaging.history import History
from hub.messaging.model import Entry
from hub.messaging.port import MemberChange
from hub.notices.class_book import ClassBook
from hub.notices.notice_class import CLASSES
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.page import Paging
from hub.platform.settings import Settings
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.token import Principal
from tests.fake_clock import FakeClock
from tests.integration.scene import Scene

Json = dict[str, Any]
PAGING = Paging(1, 20, "updatedAt", descending=True)
KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)
TEXT = "春季健康体检开放预约，欢迎参加。"


@dataclass
class Office:
    """Staff who send, a worker's desk, and what its announcements told."""

    scene: Scene
    clock: FakeClock
    broadcasts: Broadcasts
    desk: Desk
    staff: Principal
    admin: Principal
    told: list[tuple[Entry, Sequence[MemberChange]]] = field(default_factory=list)

    async def run(self, statement: str, **values: object) -> list[Json]:
        async with self.scene.database.transaction() as connection:
            found = await connection.execute(text(statement), values)
            return [dict(row._mapping) for row in found] if found.returns_rows else []

    async def people(self, count: int, **columns: object) -> list[str]:
        """Somebody each, in the order of their ids."""
        ids = sorted(new_id() for _ in range(count))
        values = {"name": "王五", "role": "patient", "status": "active", "level": "basic", **columns}
        await self.run(
            """INSERT INTO users (id, name, role, status, membership_level)
               SELECT u, :name, :role, :status, :level FROM unnest(CAST(:ids AS uuid[])) u""",
            ids=ids,
            **values,
        )
        return ids

    async def agree(self, users: Sequence[str]) -> None:
        await self.run(
            """INSERT INTO consents (id, user_id, purpose, version, actor_id, given_at)
               SELECT gen_random_uuid(), u, 'marketing', '1', u, now() FROM unnest(CAST(:users AS uuid[])) u""",
            users=list(users),
        )

    async def draft(self, users: Sequence[str] | None, class_: Any = "system", **more: Any) -> str:
        segment = more.pop("segment", None) or Segment(users=list(users or ()))
        wanted = Wanted("春季体检", TEXT, class_, segment, **more)
        return (await self.broadcasts.create(self.staff, wanted)).row.id

    async def started(self, users: Sequence[str] | None, class_: Any = "system", **more: Any) -> str:
        broadcast = await self.draft(users, class_, **more)
        await self.broadcasts.move(self.admin, broadcast, "start")
        return broadcast

    async def state(self, broadcast: str) -> tuple[str, int, int, dict[str, int]]:
        row = (await self.broadcasts.show(self.staff, broadcast)).row
        return row.state, row.looked_at, row.reached, row.left_out

    async def noticed(self, broadcast: str) -> list[str]:
        """Whose notices there are, each as often as there is one."""
        found = await self.run("SELECT user_id::text AS id FROM notices WHERE broadcast = :id", id=broadcast)
        return sorted(row["id"] for row in found)

    async def readers(self, broadcast: str) -> list[str]:
        """Without the author, who reads along."""
        found = await self.run(
            "SELECT user_id::text AS id FROM members WHERE conversation = :id AND role = 'reader' AND user_id <> :author",
            id=broadcast,
            author=self.staff.user,
        )
        return sorted(row["id"] for row in found)

    async def one_chunk(self, broadcast: str) -> Any:
        """What a worker does in one transaction, under a lease of its own."""
        lease, now = new_id(), self.clock.now()
        async with self.scene.database.transaction() as connection:
            row = await broadcast_store.lease(connection, broadcast, lease, now, now + timedelta(seconds=30))
        assert row is not None
        key = await self.scene.sealer.key_for(broadcast)
        chunk = await reach(self.desk, broadcast, lease, key, CLASSES[row.class_], now)
        async with self.scene.database.transaction() as connection:
            await broadcast_store.give_back(connection, broadcast, lease, now)
        return chunk


def settings_of(database_url: str, redis_url: str, folder: Path) -> Settings:
    """Of a process beside the tests, with the same keys."""
    master_keys = "k:" + b64encode(b"m" * 32).decode()
    return Settings(
        data=settings.Data(dir=str(folder)),
        database=settings.Database(url=database_url, pool_size=3, log_pool_size=1, append_pool_size=1),
        redis=settings.Redis(url=redis_url, prefix=f"t{new_id()}"),
        security=settings.Security(master_keys=master_keys, signing_key=b64encode(b"s" * 32).decode()),
    )


async def build_office(database: Database, clock: Any) -> Office:
    scene = Scene(database, clock)
    told: list[tuple[Entry, Sequence[MemberChange]]] = []

    async def announce(entry: Entry, changes: Sequence[MemberChange]) -> None:
        told.append((entry, changes))

    desk = Desk(
        database=database,
        sealer=scene.sealer,
        history=History(database.log, scene.sealer, 50),
        classes=ClassBook(database, clock),
        clock=clock,
        shards=4,
        announce=announce,
    )
    staff = Principal(await scene.person("staff", "周敏"), new_id(), "staff", 0)
    admin = Principal(await scene.person("admin", "吴静"), new_id(), "admin", 0)
    broadcasts = Broadcasts(database, scene.sealer, Audit(KEYRING, clock), clock)
    return Office(scene, clock, broadcasts, desk, staff, admin, told)
