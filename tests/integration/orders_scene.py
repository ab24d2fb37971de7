"""A small clinic for the tests of orders: who works when, what can be ordered, and the steps from booking to the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from hub.directory.model import SHANGHAI
from hub.messaging.history import History
from hub.messaging.model import Entry
from hub.orders.actions import Orders
from hub.orders.progress import advance
from hub.platform.clock import rfc3339
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.outbox import Event, publish
from hub.platform.settings import Settings
from hub.security.token import Principal
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.integration.scene import Scene

CONTACT = {"contactPerson": "李四", "contactPhone": "13900001111"}

_SCHEDULE = """
INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from)
SELECT gen_random_uuid(), CAST(:provider AS uuid), n, :starts, :ends, :slot, :capacity, DATE '2020-01-01'
FROM generate_series(1, 7) n
"""
_HOSPITAL = "INSERT INTO hospitals (id, name, city) VALUES (:id, '北京协和医院', '北京')"
_DEPARTMENT = "INSERT INTO departments (id, hospital_id, name) VALUES (:id, :hospital, '心内科')"
_DOCTOR = "INSERT INTO doctors (id, user_id, department_id, name) VALUES (:id, :user, :department, '王医生')"
_RELATION = """
INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at, answered_at)
VALUES (gen_random_uuid(), :person, :actor, 'family', 'active', :actor, now(), now())
"""


@dataclass
class Clinic:
    hub: CoreHub

    @property
    def orders(self) -> Orders:
        orders = self.hub.parts["orders"]
        assert isinstance(orders, Orders)
        return orders

    @property
    def tomorrow(self) -> str:
        return (self.hub.clock.now().astimezone(SHANGHAI).date() + timedelta(days=1)).isoformat()

    def at(self, clock: str, days: int = 1) -> str:
        """That time of day in Shanghai, so many days ahead, as the wire has it."""
        day = self.hub.clock.now().astimezone(SHANGHAI).date() + timedelta(days=days)
        return rfc3339(datetime.combine(day, time.fromisoformat(clock), SHANGHAI))

    async def run(self, statement: str, **values: Any) -> Any:
        async with self.hub.ground.database.transaction() as connection:
            found = await connection.execute(sa.text(statement), values)
            return [dict(row) for row in found.mappings()] if found.returns_rows else None

    async def row(self, table: str, row_id: str, column: str = "id") -> dict[str, Any]:
        found = await self.run(f"SELECT * FROM {table} WHERE {column} = :id", id=row_id)  # noqa: S608
        assert len(found) == 1
        row: dict[str, Any] = found[0]
        return row

    async def provider(
        self, role: str = "companion", name: str = "陪诊员小李", capacity: int = 1, slot: int = 30, works: bool = True
    ) -> Caller:
        """Somebody who works every day from 9 to 12."""
        found = await self.hub.person(role, name)
        if works:
            await self.run(_SCHEDULE, provider=found.id, starts=time(9), ends=time(12), slot=slot, capacity=capacity)
        return found

    async def doctor(self, **more: Any) -> tuple[Caller, str]:
        """A doctor of the directory; their account, and their id there."""
        account = await self.provider("doctor", "王医生", **more)
        hospital, department, doctor = new_id(), new_id(), new_id()
        await self.run(_HOSPITAL, id=hospital)
        await self.run(_DEPARTMENT, id=department, hospital=hospital)
        await self.run(_DOCTOR, id=doctor, user=account.id, department=department)
        return account, doctor

    async def service(self, *providers: Caller, price: str = "128.00", minutes: int = 60, **more: Any) -> str:
        staff = await self.hub.person("admin", "管理员")
        body = {"name": "全程陪诊", "category": "companion", "price": price, "durationMinutes": minutes}
        body |= {"providers": [each.id for each in providers]} | more
        made: str = (await self.hub.call(staff, "POST", "/admin/services", json=body))["id"]
        return made

    async def relate(self, person: Caller, actor: Caller) -> None:
        """From now on `actor` may act for `person`."""
        await self.run(_RELATION, person=person.id, actor=actor.id)

    async def book(
        self, who: Caller, service: str, clock: str = "09:00", status: int = 200, days: int = 1, **more: Any
    ) -> Any:
        headers = more.pop("headers", {})
        body = {"serviceId": service, "scheduledTime": self.at(clock, days), **CONTACT} | more
        return await self.hub.call(who, "POST", "/appointments", status, json=body, headers=headers)

    async def place(self, who: Caller, service: str, status: int = 200, **more: Any) -> Any:
        headers = more.pop("headers", {})
        body = {"serviceId": service, "contactInfo": {"name": "李四", "phone": "13900001111"}} | more
        return await self.hub.call(who, "POST", "/orders", status, json=body, headers=headers)

    async def advance(self, order: str, event: str) -> None:
        """As payments do it."""
        async with self.hub.ground.database.transaction() as connection:
            await advance(connection, order, event, now=self.hub.clock.now(), by=None)

    async def publish(self, happened: Event) -> None:
        async with self.hub.ground.database.transaction() as connection:
            await publish(connection, happened)

    async def settle(self) -> int:
        """All events are handled; none failed."""
        handled = await self.hub.ground.outbox.drain()
        assert await self.run("SELECT kind, error FROM events WHERE done_at IS NULL") == []
        return handled

    async def paid(self, who: Caller, service: str, clock: str = "09:00", **more: Any) -> Any:
        """A paid appointment, with all that follows."""
        booked = await self.book(who, service, clock, **more)
        await self.advance(booked["orderId"], "pay_success")
        await self.settle()
        return booked

    async def move(self, who: Caller, order: str, step: str, status: int = 200, **body: Any) -> Any:
        return await self.hub.call(who, "POST", f"/orders/{order}/{step}", status, **({"json": body} if body else {}))

    async def completed(self, who: Caller, provider: Caller, service: str, clock: str = "09:00") -> Any:
        booked = await self.paid(who, service, clock)
        for step in ("confirm", "start", "complete"):
            await self.move(provider, booked["orderId"], step)
        await self.settle()
        return booked

    async def entries(self, user: Caller, conversation: str) -> list[Entry]:
        """What this person may fetch of it."""
        history = History(self.hub.ground.database.log, self.hub.ground.sealer, 50)
        return (await history.page(user.id, conversation, after=0, limit=100)).entries

    async def cards(self, user: Caller, conversation: str) -> list[str]:
        """The titles of the cards there."""
        entries = await self.entries(user, conversation)
        return [msgspec.json.decode(each.body)["title"] for each in entries if each.type == "card"]

    async def inbox(self, user: Caller) -> list[str]:
        found = await self.run("SELECT id::text FROM conversations WHERE direct_key = :key", key=f"inbox:{user.id}")
        return await self.cards(user, found[0]["id"]) if found else []

    async def members(self, conversation: str) -> set[str]:
        rows = await self.run(
            "SELECT user_id::text AS id FROM members WHERE conversation = :id AND to_seq IS NULL", id=conversation
        )
        return {row["id"] for row in rows}

    async def grants(self, order: str) -> dict[str, tuple[str, bool]]:
        """Member → scope, and whether it holds now."""
        rows = await self.run("SELECT * FROM care_grants WHERE source = :id", id=order)
        now = self.hub.clock.now()
        return {str(row["member_id"]): (row["scope"], row["ends_at"] is None or row["ends_at"] > now) for row in rows}

    def statements(self) -> Any:
        """The statements that transactions run meanwhile."""
        return Scene(self.hub.ground.database).statements()

    def principal(self, user: str, role: str = "patient") -> Principal:
        return Principal(user, new_id(), role, datetime.max.replace(tzinfo=UTC).timestamp())


@asynccontextmanager
async def open_clinic(database: Database, redis_url: str, chosen: Settings | None = None) -> AsyncIterator[Clinic]:
    async with open_core(database, redis_url, chosen) as hub:
        yield Clinic(hub)
