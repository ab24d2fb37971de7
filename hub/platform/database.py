"""PostgreSQL: one engine for ordinary statements, one pool of bare connections for the log's hand-written SQL, and migrations."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from hub.platform import settings

# An ack promises a commit that survives (P1), so no role or database default may weaken it.
# A process that freezes or loses its network inside a transaction holds locks that others need: the server ends it soon.
SERVER_SETTINGS = {
    "synchronous_commit": "on",
    "application_name": "hub",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Database:
    """The connections of one process. Open it with `open_database`."""

    def __init__(self, engine: AsyncEngine, log: asyncpg.Pool, append: asyncpg.Pool) -> None:
        self.engine = engine
        self.log = log
        self.append = append

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: commits when the block ends, rolls back when it raises."""
        async with self.engine.begin() as connection:
            yield connection


@asynccontextmanager
async def open_database(chosen: settings.Database) -> AsyncIterator[Database]:
    """Connect, and disconnect at the end; statements end after `timeout_s`."""
    engine = create_async_engine(
        _sqlalchemy_url(chosen.url),
        pool_size=chosen.pool_size,
        max_overflow=0,
        pool_timeout=chosen.timeout_s,
        pool_pre_ping=True,
        hide_parameters=True,  # an error that is logged must not carry what somebody wrote
        connect_args={"server_settings": SERVER_SETTINGS, "command_timeout": chosen.timeout_s, "timeout": 5},
    )
    log = append = None
    try:
        log = await _pool(chosen, chosen.log_pool_size)
        # Appends and receipts have connections of their own: however much is read, a send does not wait for it.
        append = await _pool(chosen, chosen.append_pool_size)
        yield Database(engine, log, append)
    finally:
        for pool in (log, append):
            if pool is not None:
                pool.terminate()
        await engine.dispose()


async def _pool(chosen: settings.Database, size: int) -> asyncpg.Pool:
    return await asyncpg.create_pool(
        _plain_url(chosen.url),
        min_size=1,
        max_size=size,
        command_timeout=chosen.timeout_s,
        timeout=5,
        server_settings=SERVER_SETTINGS,
        init=_teach_json,
        reset=_keep_as_is,
    )


async def _teach_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _keep_as_is(connection: asyncpg.Connection) -> None:
    """asyncpg would send a reset after each use: a second round trip for every statement. Nothing here changes a connection's state."""


async def migrate(chosen: settings.Database, revision: str = "head") -> None:
    """Bring the schema to `revision`; several processes may try at once, one does it."""
    engine = create_async_engine(_sqlalchemy_url(chosen.url), poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, revision)
    finally:
        await engine.dispose()


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    # 0x68756221 is "hub!": an arbitrary but fixed lock number, so that two migrations of one database take turns.
    connection.exec_driver_sql("SELECT pg_advisory_lock(1752523297)")
    try:
        if revision == "base":
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
        connection.commit()
    finally:
        connection.exec_driver_sql("SELECT pg_advisory_unlock(1752523297)")


def _sqlalchemy_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def _plain_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
