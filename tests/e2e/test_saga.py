"""The saga of an order under kill -9 between its steps: what was paid is paid once, what was not frees its slot.

A process is killed by the stand-in of WeChat Pay, when it gets a request or has done it and not answered yet; or a step is
done by the real code in this process, which then goes no further. Instead of waiting, what is due later is made due.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from hub.orders import payment_duty
from hub.orders.payment_settlement import Till, apply
from hub.orders.wechatpay import open_payment_provider
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import open_database
from hub.platform.identifier import new_id
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.security.keyring import create_key_file
from tests.hub_process import Helper, HubProcess
from tests.standins.wechatpay import APP_ID, WechatPayStandin

WAIT_S = 20.0
NOTIFY = "/api/v1/payments/wechat/notify"

_PEOPLE = """
INSERT INTO users (id, phone, name, role) VALUES ($1, $2, '陪诊员小李', 'companion')
"""
_SERVICE = """
INSERT INTO services (id, name, category, price, duration_minutes) VALUES ($1, '全程陪诊', 'companion', 128.00, 30)
"""
_SCHEDULE = """
INSERT INTO doctor_schedules (id, provider, weekday, starts, ends, slot_minutes, capacity, valid_from)
SELECT gen_random_uuid(), $1, n, '08:00', '20:00', 30, 1, DATE '2020-01-01' FROM generate_series(1, 7) n
"""


@dataclass
class House:
    """An installation: a server, a worker, a scheduler, its database, and WeChat Pay."""

    server: HubProcess
    worker: Helper
    scheduler: Helper
    database: asyncpg.Pool
    pay: WechatPayStandin
    chosen: Settings
    service: str
    companion: str
    tokens: dict[str, str] = field(default_factory=dict)
    booked: int = 0

    def shoot_server(self) -> None:
        process = self.server._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)

    def worker_dies(self, step: str, op: str, number: str) -> asyncio.Event:
        """At this step of WeChat Pay's; the event is set when it has happened."""
        shot, loop = asyncio.Event(), asyncio.get_running_loop()

        def shoot() -> None:
            self.worker.shoot()
            loop.call_soon_threadsafe(shot.set)

        setattr(self.pay, step, once(op, number, shoot))
        return shot

    async def call(self, method: str, path: str, **request: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens['patient']}"} if "patient" in self.tokens else {}
        async with httpx.AsyncClient(base_url=f"{self.server.url}/api/v1", trust_env=False, timeout=20) as client:
            answer = await client.request(method, path, headers=headers, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def sign_in(self) -> None:
        phone = "13700000001"
        sent = await self.call("POST", "/auth/sms-code", json={"phone": phone, "scene": "login"})
        signed_in = await self.call("POST", "/auth/login", json={"phone": phone, "code": sent["devCode"]})
        self.tokens["patient"] = signed_in["token"]

    async def book(self) -> tuple[str, str, str]:
        """An appointment of its own: the order, its first payment's number, and its time."""
        day = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
        at = (day.replace(hour=1) + timedelta(minutes=30 * self.booked)).isoformat()
        self.booked += 1
        body = {"serviceId": self.service, "scheduledTime": at, "contactPerson": "李四", "contactPhone": "13900001111"}
        booked = await self.call("POST", "/appointments", json=body)
        order = await self.value("SELECT order_id FROM appointments WHERE id = $1", booked["appointmentId"])
        return str(order), f"{booked['orderNo']}-1", at

    async def start(self, order: str) -> Any:
        return await self.call("POST", f"/orders/{order}/pay", json={"method": "wechat_native"})

    async def tell(self, number: str) -> int:
        sent = self.pay.paid(number)
        async with httpx.AsyncClient(base_url=self.server.url, trust_env=False, timeout=20) as client:
            return (await client.post(NOTIFY, content=sent.body, headers=sent.headers)).status_code

    async def is_free(self, at: str) -> bool:
        """Whether somebody else could book that time."""
        held = "SELECT count(*) FROM bookings WHERE provider = $1 AND starts_at = $2 AND released_at IS NULL"
        return bool(await self.value(held, self.companion, datetime.fromisoformat(at)) == 0)

    async def value(self, statement: str, *values: Any) -> Any:
        return await self.database.fetchval(statement, *values)

    async def state(self, order: str) -> str:
        return str(await self.value("SELECT state FROM orders WHERE id = $1", order))

    async def make_due(self, order: str) -> None:
        """The time until the next try has passed."""
        for table in ("payments", "refunds"):
            statement = f"UPDATE {table} SET due_at = now() WHERE order_id = $1 AND due_at IS NOT NULL"  # noqa: S608
            await self.database.execute(statement, order)

    async def make_late(self, order: str) -> None:
        """The fifteen minutes have passed."""
        await self.database.execute("UPDATE orders SET expires_at = now() WHERE id = $1", order)
        await self.make_due(order)

    async def becomes(self, order: str, state: str) -> None:
        await until(lambda: self.state(order), state)

    async def check_paid_once(self, order: str, at: str) -> None:
        """Paid by one payment, told once, one conversation with one card, and the slot is taken."""
        await self.becomes(order, "paid")
        await until(lambda: self.value("SELECT count(*) FROM conversations WHERE source = $1", order), 1)
        left = "SELECT count(*) FROM events WHERE subject = $1 AND done_at IS NULL"
        await until(lambda: self.value(left, order), 0)
        said = "SELECT count(*) FROM entries e JOIN conversations c ON c.id = e.conversation WHERE c.source = $1 AND type = 'card'"
        paid = "SELECT count(*) FROM events WHERE subject = $1 AND kind = 'OrderPaid'"
        succeeded = "SELECT count(*) FROM payments WHERE order_id = $1 AND state = 'succeeded'"
        assert [await self.value(each, order) for each in (paid, said, succeeded)] == [1, 1, 1]
        assert await self.value("SELECT count(*) FROM payments WHERE order_id = $1 AND due_at IS NOT NULL", order) == 0
        assert await self.value("SELECT count(*) FROM refunds WHERE order_id = $1", order) == 0
        assert not await self.is_free(at)


async def until(find: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while (found := await find()) != wanted:  # noqa: ASYNC110  other processes change it: nothing wakes us
            await asyncio.sleep(0.05)
    assert found == wanted


def once(wanted_op: str, wanted_number: str, act: Callable[[], None]) -> Callable[[str, str], None]:
    """For `on_request` and `on_effect`: do it the first time that this is asked."""
    done: list[str] = []

    def hook(op: str, number: str) -> None:
        if (op, number) == (wanted_op, wanted_number) and not done:
            done.append(op)
            act()

    return hook


def _environment(folder: Path, database_url: str, redis_url: str, pay: settings.Payments) -> dict[str, str]:
    keys = folder / "merchant.pem"
    keys.write_text(pay.private_key)
    chosen = {
        "DATA__DIR": str(folder),
        "DATABASE__URL": database_url,
        "REDIS__URL": redis_url,
        "REDIS__PREFIX": folder.name,
        "SCHEDULER__TICK_S": "0.2",
        "WECHAT__APP_ID": APP_ID,
        "PAYMENTS__MCH_ID": pay.mch_id,
        "PAYMENTS__SERIAL_NO": pay.serial_no,
        "PAYMENTS__PRIVATE_KEY": str(keys),
        "PAYMENTS__API_V3_KEY": pay.api_v3_key,
        "PAYMENTS__PUBLIC_KEY": pay.public_key,
        "PAYMENTS__PUBLIC_KEY_ID": pay.public_key_id,
        "PAYMENTS__NOTIFY_URL": pay.notify_url,
        "PAYMENTS__BASE_URL": pay.base_url,
    }
    return {f"HUB__{name}": value for name, value in chosen.items()}


@pytest_asyncio.fixture(scope="module")
async def house(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("saga")
    create_key_file(folder / "keys.json")
    with WechatPayStandin() as pay:
        environment = _environment(folder, database_url, redis_url, pay.settings())
        server = HubProcess(folder / "server.log", environment)
        worker, scheduler = (Helper(name, folder / f"{name}.log", environment) for name in ("work", "schedule"))
        async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as database:
            service, companion = new_id(), new_id()
            await database.execute(_PEOPLE, companion, "13700000002")
            await database.execute(_SERVICE, service)
            await database.execute("INSERT INTO service_providers VALUES ($1, $2)", service, companion)
            await database.execute(_SCHEDULE, companion)
            chosen = settings.load(None, environment)
            try:
                await asyncio.gather(server.start(), worker.start(), scheduler.start())
                house = House(server, worker, scheduler, database, pay, chosen, service, companion)
                await house.sign_in()
                yield house
            finally:
                await asyncio.gather(server.kill(), worker.end(), scheduler.end())


@pytest_asyncio.fixture(autouse=True)
async def moods(house: House) -> AsyncIterator[None]:
    """What a test asked of WeChat Pay is over with it."""
    yield
    house.pay.moods.clear()
    house.pay.on_request = house.pay.on_effect = lambda op, number: None


@pytest.mark.parametrize("step", ["on_request", "on_effect"])
async def test_server_that_dies_while_it_prepares_asks_for_the_same_payment_again(house: House, step: str) -> None:
    """Before WeChat Pay has done anything, or after and unanswered: the row is there, the next try is the same payment."""
    order, number, at = await house.book()
    setattr(house.pay, step, once("prepare", number, house.shoot_server))
    with suppress(httpx.HTTPError):
        await house.start(order)
    await house.server.kill()
    before = await house.value("SELECT state || ' ' || number FROM payments WHERE order_id = $1", order)
    await house.server.start()
    shown = await house.start(order)
    house.pay.pay(number)

    assert before == f"created {number}"
    assert house.pay.trades[number].prepay_id in shown["codeUrl"]
    assert await house.tell(number) == 204
    await house.check_paid_once(order, at)


async def test_order_is_opened_when_the_server_died_after_it_was_paid(house: House) -> None:
    """The payment is committed, nobody has handled the event, WeChat Pay was not answered and tells it again."""
    order, number, at = await house.book()
    await house.start(order)
    house.pay.pay(number)
    await house.server.kill()
    sent = house.pay.paid(number)
    async with (
        open_database(house.chosen.database) as database,
        open_payment_provider(house.chosen, SystemClock()) as provider,
    ):
        till = Till(database, provider, SystemClock(), Outbox(database))
        await apply(till, provider.read(sent.headers, sent.body, till.clock.now()))
    before = await house.value("SELECT count(*) FROM conversations WHERE source = $1", order)
    await house.server.start()

    assert before == 0
    assert await house.tell(number) == 204
    await house.check_paid_once(order, at)


@pytest.mark.parametrize("step", ["on_request", "on_effect"])
async def test_payment_is_found_when_the_worker_dies_asking(house: House, step: str) -> None:
    """The notification was lost, the worker asks and is killed before it knows: asked again, paid once."""
    order, number, at = await house.book()
    await house.start(order)
    house.pay.pay(number)
    shot = house.worker_dies(step, "query", number)
    await house.make_due(order)
    await asyncio.wait_for(shot.wait(), WAIT_S)
    await house.worker.end()
    before = await house.state(order)
    await house.make_due(order)
    await house.worker.start()

    assert before == "pending"
    await house.check_paid_once(order, at)


async def test_slot_is_free_when_the_worker_dies_between_closing_and_cancelling(house: House) -> None:
    """Closed at WeChat Pay, and nobody here knows: found closed, the order is cancelled, its slot free, once."""
    order, number, at = await house.book()
    await house.start(order)
    shot = house.worker_dies("on_effect", "close", number)
    await house.make_late(order)
    await asyncio.wait_for(shot.wait(), WAIT_S)
    await house.worker.end()
    before = (await house.state(order), await house.is_free(at), house.pay.trades[number].state)
    await house.make_due(order)
    await house.worker.start()
    await house.becomes(order, "cancelled")

    assert before == ("pending", False, "CLOSED")
    assert await house.is_free(at)
    assert await house.value("SELECT count(*) FROM events WHERE subject = $1 AND kind = 'OrderCancelled'", order) == 1
    assert await house.value("SELECT state FROM payments WHERE order_id = $1", order) == "closed"


async def test_refund_is_sent_once_when_the_worker_dies_sending_it(house: House) -> None:
    """The money is on its way back and nobody here knows; the same number again is the same refund."""
    order, number, at = await house.book()
    await house.start(order)
    house.pay.pay(number)
    await house.tell(number)
    await house.check_paid_once(order, at)
    house.pay.refund_status = "SUCCESS"
    shot = house.worker_dies("on_effect", "refund", f"{number}-R")
    await house.call("POST", f"/orders/{order}/cancel", json={"reason": "行程有变"})
    await asyncio.wait_for(shot.wait(), WAIT_S)
    await house.worker.end()
    before = await house.value("SELECT state FROM refunds WHERE order_id = $1", order)
    await house.make_due(order)
    await house.worker.start()
    await until(lambda: house.value("SELECT state FROM refunds WHERE order_id = $1", order), "succeeded")

    assert before == "pending"
    assert house.pay.count("refund", f"{number}-R") == 2
    assert [each for each in house.pay.refunds if each.startswith(number)] == [f"{number}-R"]
    shown = await house.call("GET", f"/orders/{order}/payments")
    assert [each["refund"]["status"] for each in shown["items"]] == ["succeeded"]
    assert await house.is_free(at)


async def test_unpaid_orders_end_when_the_scheduler_was_dead(house: House) -> None:
    """Nobody looked for a while: all that is due is found when a scheduler is there again, and so by two."""
    await house.scheduler.end()
    orders = [await house.book() for _ in range(3)]
    for order, _, _ in orders:
        await house.make_late(order)
    async with open_database(house.chosen.database) as database:
        due = await payment_duty.unpaid_orders(database, SystemClock().now(), 10)
    await house.scheduler.start()
    for order, _, _ in orders:
        await house.becomes(order, "cancelled")

    assert {order for order, _, _ in orders} <= {row.id for row in due}
    assert all([await house.is_free(at) for _, _, at in orders])
