"""Orders that wait for their payment, a hub with a merchant at the stand-in, and what scheduler and worker would do."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import text

from hub.orders import payment_duty, refund_duty
from hub.orders.payment_settlement import Till
from hub.orders.progress import advance
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.platform.settings import Settings
from tests.integration.core_app import Caller, CoreHub, open_core
from tests.standins.wechatpay import APP_ID, Notification, WechatPayStandin

NOTIFY = "/api/v1/payments/wechat/notify"
UNPAID_S = 900

_SERVICE = """
INSERT INTO services (id, name, category, price, duration_minutes) VALUES (:id, '全程陪诊', 'companion', 128.00, 60)
"""
_ORDER = """
INSERT INTO orders (id, order_no, user_id, actor_id, service_id, provider, quantity, amount, details, key_id,
  expires_at, created_at, updated_at)
VALUES (:id, 'ORDER20260102' || lpad(nextval('order_numbers')::text, 8, '0'), :user, :user, :service, :companion, 1,
  CAST(:amount AS text)::numeric, '', :id, :expires, :now, :now) RETURNING order_no
"""
_APPOINTMENT = """
INSERT INTO appointments (id, order_id, user_id, staff_id, starts_at, ends_at, key_id, created_at, updated_at)
VALUES (:id, :order, :user, :companion, :starts, :ends, :id, :now, :now)
"""
_BOOKING = """
INSERT INTO bookings (appointment_id, provider, place, starts_at, ends_at)
VALUES (:id, :companion, 0, :starts, :ends)
"""


@dataclass(frozen=True)
class Ordered:
    """An order that waits for its payment, and who pays."""

    id: str
    number: str
    owner: Caller

    @property
    def payment(self) -> str:
        """The number of its first payment."""
        return f"{self.number}-1"


@dataclass
class Shop:
    hub: CoreHub
    pay: WechatPayStandin

    @property
    def till(self) -> Till:
        till = self.hub.parts["payments"].till
        assert isinstance(till, Till)
        return till

    async def customer(self, openid: str | None = None) -> Caller:
        """A patient who signed in from the mini-program."""
        caller = await self.hub.person()
        await self.run(
            "UPDATE users SET wechat_openid = :openid WHERE id = :id", id=caller.id, openid=openid or new_id()
        )
        return caller

    async def order(self, amount: str = "128.00", owner: Caller | None = None) -> Ordered:
        """A pending order with an appointment that holds its slot."""
        owner = owner or await self.customer()
        companion = await self.hub.person("companion", "陪诊员小李")
        order, service, appointment, now = new_id(), new_id(), new_id(), self.hub.clock.now()
        starts = now + timedelta(days=3)
        await self.run(_SERVICE, id=service)
        placed = {"id": order, "user": owner.id, "service": service, "companion": companion.id, "amount": amount}
        rows = await self.run(_ORDER, **placed, now=now, expires=now + timedelta(seconds=UNPAID_S))
        slot = {"companion": companion.id, "starts": starts, "ends": starts + timedelta(hours=1)}
        await self.run(_APPOINTMENT, id=appointment, order=order, user=owner.id, now=now, **slot)
        await self.run(_BOOKING, id=appointment, **slot)
        return Ordered(order, rows[0]["order_no"], owner)

    async def waiting(self, amount: str = "128.00") -> Ordered:
        """An order that is shown to its payer."""
        order = await self.order(amount)
        await self.start(order)
        return order

    async def start(self, order: Ordered, method: str = "wechat", status: int = 200, **request: Any) -> Any:
        body = {"json": {"method": method}} | request
        return await self.hub.call(order.owner, "POST", f"/orders/{order.id}/pay", status, **body)

    async def tell(self, notification: Notification) -> tuple[int, bytes]:
        """What the hub answers to WeChat Pay."""
        answer = await self.hub.client.post(NOTIFY, content=notification.body, headers=notification.headers)
        return answer.status_code, answer.content

    async def cancel(self, order: Ordered) -> None:
        now = self.hub.clock.now()
        async with self.hub.ground.database.transaction() as connection:
            await advance(connection, order.id, "cancel", now=now, by=order.owner.id, reason="用户取消订单")

    async def work(self) -> int:
        """What a beat of the scheduler leads to, in the worker; the answer is how many jobs."""
        database, now, done = self.hub.ground.database, self.hub.clock.now(), 0
        for due, duty in (
            (payment_duty.due_payments, payment_duty.ask),
            (payment_duty.unpaid_orders, payment_duty.end_unpaid),
            (refund_duty.due_refunds, refund_duty.send),
        ):
            for row in await due(database, now, 100):
                await duty(self.till, row.id)
                done += 1
        return done

    async def after(self, seconds: float) -> int:
        await self.hub.clock.advance(seconds)
        return await self.work()

    # What is in the database

    async def run(self, statement: str, **values: Any) -> list[Any]:
        async with self.hub.ground.database.transaction() as connection:
            found = await connection.execute(text(statement), values)
            return list(found.mappings()) if found.returns_rows else []

    async def state(self, order: Ordered) -> str:
        rows = await self.run("SELECT state FROM orders WHERE id = :id", id=order.id)
        return str(rows[0]["state"])

    async def payments(self, order: Ordered) -> list[Any]:
        return await self.run("SELECT * FROM payments WHERE order_id = :id ORDER BY number", id=order.id)

    async def refunds(self, order: Ordered) -> list[Any]:
        return await self.run("SELECT * FROM refunds WHERE order_id = :id", id=order.id)

    async def events(self, order: Ordered) -> list[str]:
        rows = await self.run("SELECT kind FROM events WHERE subject = :id ORDER BY number", id=order.id)
        return [row["kind"] for row in rows]

    async def holds_slot(self, order: Ordered) -> bool:
        rows = await self.run(
            "SELECT released_at FROM bookings b JOIN appointments a ON a.id = b.appointment_id WHERE order_id = :id",
            id=order.id,
        )
        return rows[0]["released_at"] is None

    async def everything(self) -> list[Any]:
        """All rows that a notification could change."""
        tables = ("orders", "payments", "refunds", "bookings", "appointments", "events")
        return [await self.run(f"SELECT * FROM {table} ORDER BY 1") for table in tables]  # noqa: S608  constants


@asynccontextmanager
async def open_shop(database: Database, redis_url: str, pay: WechatPayStandin, **changed: Any) -> AsyncIterator[Shop]:
    """A hub whose merchant is known to this stand-in; `changed` are sections of the settings."""
    chosen = msgspec.structs.replace(
        Settings(payments=pay.settings(), wechat=settings.Wechat(app_id=APP_ID)), **changed
    )
    async with open_core(database, redis_url, chosen) as hub:
        pay.now = lambda: hub.clock.now().timestamp()
        shop = Shop(hub, pay)
        # What earlier tests of the module left is nothing to do.
        await shop.run("UPDATE payments SET due_at = NULL")
        await shop.run("UPDATE refunds SET due_at = NULL")
        await shop.run("UPDATE orders SET state = 'cancelled' WHERE state = 'pending'")
        yield shop


def opened_standin() -> Iterator[WechatPayStandin]:
    """For a fixture."""
    with WechatPayStandin() as running:
        yield running
