"""The composition root of a server process: every part made once, joined, started, drained and closed in order."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from channels.email import open_email
from channels.sms import open_sms
from hub import core, probe
from hub.accounts import api as accounts_api
from hub.accounts.access import Access
from hub.accounts.actions import Accounts
from hub.accounts.guard import Gate, build_guard, principal_of
from hub.accounts.sms import build_sender
from hub.accounts.wechat import open_wechat
from hub.messaging import api as messaging_api
from hub.messaging.attachment_actions import Attachments
from hub.messaging.attachment_api import build_attachment_router
from hub.messaging.attachment_store import open_object_store
from hub.orders.wechatpay import open_payment_provider
from hub.platform.clock import SystemClock
from hub.platform.database import Database, open_database
from hub.platform.hot_read import open_hot_reads
from hub.platform.http import RequestContext, echo_request_id
from hub.platform.http_error import exception_handlers
from hub.platform.http_timing import RequestTimer
from hub.platform.memory import settle_memory
from hub.platform.outbox import Outbox
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.platform.telemetry import configure_logging
from hub.realtime.engine import HubHttp, HubWebSocket
from hub.realtime.node import Node
from hub.realtime.sse import Streams, events
from hub.realtime.upgrade import Upgrade, upgrade
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from hub.security.ratelimit import open_rate_limits
from hub.security.sealing import Sealer
from hub.security.token import RevokedSessions, read_revocations, watch_revocations

URGENT_PAUSE_S = 2.0  # at most, before urgent events are looked for again after a failure
BACKLOG = 4096  # connections waiting for accept: a returning crowd, not one by one


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server process is made of."""

    settings: Settings
    database: Database
    node: Node
    accounts: Accounts
    attachments: Attachments
    gate: Gate
    revoked: RevokedSessions
    supervisor: Supervisor
    core: Mapping[str, object]


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Everything connected and every loop running until the block ends."""
    clock = SystemClock()
    keyring = load_keyring(settings)
    async with (
        open_database(settings.database) as database,
        open_rate_limits(settings.redis) as limits,
        open_hot_reads(settings.redis) as hot_reads,
        open_wechat(settings.wechat, development=settings.accounts.sms_sender == "development") as wechat,
        open_payment_provider(settings, clock) as provider,
        open_sms(settings.sms, clock) as sms,
        open_email(settings.email, clock) as email,
        Supervisor() as supervisor,
    ):
        sealer = Sealer(keyring, database)
        revoked = RevokedSessions(settings.accounts.access_token_s)
        sender = build_sender(settings.accounts, sms)
        outbox = Outbox(database)
        node = Node(settings, clock, database, sealer, outbox.wake)
        ground = core.Ground(
            settings=settings,
            database=database,
            keyring=keyring,
            sealer=sealer,
            clock=clock,
            hot_reads=hot_reads,
            outbox=outbox,
            messaging=node.messaging,
            access=Access(clock),
            audit=Audit(keyring, clock),
            revoked=revoked,
            provider=provider,
            email=email,
            begun=node.bell.note,
        )
        parts = Parts(
            settings=settings,
            database=database,
            node=node,
            accounts=Accounts(database, keyring, settings.accounts, sender, wechat, revoked, clock),
            attachments=Attachments(
                database,
                sealer,
                open_object_store(settings.attachments, Path(settings.data.dir)),
                settings.attachments,
                clock,
                keyring.derive("attachment-links"),
            ),
            gate=Gate(keyring, revoked, limits, clock),
            revoked=revoked,
            supervisor=supervisor,
            core=core.build_core(ground),
        )
        await read_revocations(database, revoked, clock)
        node.start(supervisor)
        supervisor.run("events", partial(outbox.run, urgent=False))
        supervisor.run("urgent events", partial(outbox.run, urgent=True), longest_s=URGENT_PAUSE_S)
        supervisor.run("revocations", lambda: watch_revocations(database, revoked, node.gateway.revoke))
        try:
            yield parts
        finally:
            await node.close()


def build_app(parts: Parts) -> Litestar:
    """The routes over these parts."""
    node, clock = parts.node, SystemClock()
    people = Router(
        "/api/v1",
        route_handlers=[
            *accounts_api.handlers,
            *messaging_api.handlers,
            *core.handlers,
            events,
            build_attachment_router(parts.attachments),
        ],
        guards=[build_guard(parts.gate)],
        dependencies={
            **{name: _provide(part) for name, part in parts.core.items()},
            "principal": Provide(principal_of, sync_to_thread=False),
            "accounts": _provide(parts.accounts),
            "messaging": _provide(node.messaging),
            "collector": _provide(node.collector),
            "history": _provide(node.history),
            "receipts": _provide(node.receipts),
            "listing": _provide(node.listing),
        },
    )
    app = Litestar(
        route_handlers=[people, upgrade, *probe.handlers],
        exception_handlers=exception_handlers,
        middleware=[RequestContext(), RequestTimer()],
        before_send=[echo_request_id],
        openapi_config=OpenAPIConfig(
            title="Hub", version="0.1.0", path="/schema", render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])]
        ),
        logging_config=None,
    )
    app.state["upgrade"] = Upgrade(parts.gate, parts.accounts, node.gateway, clock)
    app.state["streams"] = Streams(node.gateway, node.reader, clock)
    app.state["readiness"] = probe.Readiness(parts.database, node, parts.supervisor)
    return app


def _provide(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


class HubServer(uvicorn.Server):
    """Asks its sockets to move before it stops."""

    def __init__(self, config: uvicorn.Config, node: Node, drain_s: float) -> None:
        super().__init__(config)
        self._node = node
        self._drain_s = drain_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but without raising the signal again at the end: that would end the process before anything is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, drain, then what uvicorn does."""
        for server in self.servers:
            server.close()
        if not self.force_exit:
            await self._node.gateway.drain(self._drain_s)
        await super().shutdown(sockets)


def build_config(parts: Parts) -> uvicorn.Config:
    """How uvicorn carries the app: our protocols, our limits, no log and no signals of its own."""
    settings = parts.settings
    return uvicorn.Config(
        build_app(parts),
        loop="none",
        http=HubHttp,
        ws=HubWebSocket,
        ws_max_size=settings.realtime.max_frame_bytes,
        ws_per_message_deflate=settings.realtime.deflate,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.server.trusted_proxies,
        limit_concurrency=settings.server.max_connections + 1000,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
    )


async def serve(settings: Settings, *, reuse_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Raises `OSError` when the port is taken."""
    configure_logging(settings.log)
    listening = listen(settings.server.host, settings.server.port, reuse_port=reuse_port)
    async with open_parts(settings) as parts:
        config = build_config(parts)
        settle_memory()
        await HubServer(config, parts.node, settings.server.drain_s).serve(sockets=[listening])


def listen(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A listening socket; with `reuse_port` several processes share the port and the kernel spreads connections."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def run(settings: Settings, *, reuse_port: bool = False) -> None:
    """Serve on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, reuse_port=reuse_port))
