"""The core over HTTP without sockets: all its handlers on the real database and Redis, with a clock that tests move."""

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.di import Provide
from sqlalchemy import text

from hub.accounts import api as accounts_api
from hub.accounts.access import Access
from hub.accounts.actions import Accounts
from hub.accounts.guard import Gate, build_guard, principal_of
from hub.accounts.sms import DevelopmentSender
from hub.accounts.wechat import DevelopmentWechat
from hub.core import Ground, build_core, handlers
from hub.messaging.actions import Messaging
from hub.orders.wechatpay import open_payment_provider
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.hot_read import open_hot_reads
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.identifier import new_id
from hub.platform.outbox import Outbox
from hub.security import token
from hub.security.audit import Audit
from hub.security.keyring import Keyring
from hub.security.ratelimit import open_rate_limits
from hub.security.sealing import Sealer
from hub.security.token import RevokedSessions
from tests.fake_clock import FakeClock
from tests.integration.scene import Announced

KEYRING = Keyring({"k": b"m" * 32}, b"s" * 32)
# Near the real time, because PostgreSQL stamps by its own clock and has partitions around it.
START = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0)  # 09:00 in Shanghai


@dataclass(frozen=True)
class Caller:
    """Somebody with an account, and the token they call with."""

    id: str
    token: str
    phone: str


@dataclass
class CoreHub:
    """One node, as clients and from inside."""

    client: httpx.AsyncClient
    ground: Ground
    parts: dict[str, Any]
    clock: FakeClock
    announced: Announced

    async def call(self, who: Caller | None, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """`data` of the answer, or the error with its fields, after the status was found as expected."""
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {who.token}"} if who else {})
        response = await self.client.request(method, f"/api/v1{path}", headers=headers, **request)
        assert response.status_code == status, response.text
        body = response.json()
        return body["data"] if body["success"] else body["error"]

    async def person(self, role: str = "patient", name: str = "张三丰") -> Caller:
        """Somebody new, signed in for a long time."""
        user, phone = new_id(), f"139{secrets.randbelow(10**8):08d}"
        statement = text("INSERT INTO users (id, phone, name, role) VALUES (:id, :phone, :name, :role)")
        async with self.ground.database.transaction() as connection:
            await connection.execute(statement, {"id": user, "phone": phone, "name": name, "role": role})
        return Caller(user, self.token_of(user, role), phone)

    def token_of(self, user: str, role: str) -> str:
        key = self.ground.keyring.derive(token.PURPOSE)
        return token.issue(key, user=user, session=new_id(), role=role, now=self.clock.now(), life_s=90 * 86400)


@asynccontextmanager
async def open_core(
    database: Database, redis_url: str, chosen: settings.Settings | None = None
) -> AsyncIterator[CoreHub]:
    """`chosen` may change any section but Redis and the database."""
    chosen = chosen or settings.Settings()
    clock, announced = FakeClock(START), Announced()
    redis = settings.Redis(url=redis_url, prefix=f"test-{new_id()}")
    sealer = Sealer(KEYRING, database)
    async with (
        open_hot_reads(redis) as hot_reads,
        open_rate_limits(redis) as limits,
        open_payment_provider(chosen, clock) as provider,
    ):
        revoked = RevokedSessions(chosen.accounts.access_token_s)
        ground = Ground(
            settings=chosen,
            database=database,
            keyring=KEYRING,
            sealer=sealer,
            clock=clock,
            hot_reads=hot_reads,
            outbox=Outbox(database),
            messaging=Messaging(database, sealer, clock, announced, chosen.messaging),
            access=Access(clock),
            audit=Audit(KEYRING, clock),
            revoked=revoked,
            provider=provider,
        )
        parts = dict(build_core(ground))
        parts["accounts"] = Accounts(
            database, KEYRING, chosen.accounts, DevelopmentSender(), DevelopmentWechat(), revoked, clock
        )
        # From an address of its own: the limits of one hub's callers are not another's.
        address = str(IPv4Address(0x0A000000 + secrets.randbelow(2**24)))
        with _lent(parts, Gate(KEYRING, revoked, limits, clock)) as app:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
                yield CoreHub(client, ground, parts, clock, announced)


class Stand:
    """What an application stands on at the moment: building one takes longer than most tests, so it serves many in turn."""

    def __init__(self, names: Iterable[str]) -> None:
        self.parts: Mapping[str, object] = {}
        self.gate: Any = None  # Any: a Gate, once it is lent
        self.app = _app(self, names)

    async def admit(self, connection: Any, handler: Any) -> None:  # Any: as the gate's
        await self.gate.admit(connection, handler)


_free: list[Stand] = []


@contextmanager
def _lent(
    parts: Mapping[str, object], gate: Gate
) -> Iterator[Any]:  # Any: Litestar's and httpx's idea of an ASGI scope differ
    stand = _free.pop() if _free else Stand(parts)
    stand.parts, stand.gate = parts, gate
    try:
        yield stand.app
    finally:
        _free.append(stand)


def _app(stand: Stand, names: Iterable[str]) -> Any:
    def provide(name: str) -> Provide:
        return Provide(lambda: stand.parts[name], sync_to_thread=False)

    router = Router(
        "/api/v1",
        route_handlers=[*accounts_api.handlers, *handlers],
        guards=[build_guard(stand)],  # type: ignore[arg-type]  # it asks the gate of the moment
        dependencies={
            **{name: provide(name) for name in names},
            "principal": Provide(principal_of, sync_to_thread=False),
        },
    )
    return Litestar(
        [router],
        exception_handlers=exception_handlers,
        middleware=[RequestContext()],
        before_send=[echo_request_id],
        logging_config=None,
    )
