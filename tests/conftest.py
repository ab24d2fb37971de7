"""The real servers for tests: one embedded pair per run (per worker under xdist), one database per test module."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from hub.platform import settings
from hub.platform.database import Database, migrate, open_database
from hub.platform.embedded import Servers, open_servers
from hub.platform.identifier import new_id

TEMPLATE = "hub_template"

# A busy machine must not fail a property: time is not what these tests are about.
hypothesis_settings.register_profile("hub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("hub")

# What is logged shows up beside a failed test, and only there.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    """A folder that the servers' user can reach, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session")
async def servers(data_folder: Path) -> AsyncIterator[Servers]:
    """PostgreSQL and Valkey, running; a test that stops one starts it again."""
    async with open_servers(data_folder) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def template(servers: Servers) -> str:
    """The name of a migrated database that nobody is connected to."""
    await _administer(servers, f"CREATE DATABASE {TEMPLATE}")
    await migrate(settings.Database(url=servers.postgres.url_of(TEMPLATE)))
    return TEMPLATE


@pytest_asyncio.fixture(scope="module")
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    """A fresh migrated database, this module's own."""
    name = f"t_{new_id().replace('-', '')}"
    await _administer(servers, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield servers.postgres.url_of(name)
    await _administer(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_url(servers: Servers) -> str:
    return servers.redis_url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(settings.Database(url=database_url)) as opened:
        yield opened


async def _administer(servers: Servers, statement: str) -> None:
    connection = await asyncpg.connect(servers.postgres.url_of("postgres"), timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
