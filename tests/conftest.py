"""The real servers for tests: one embedded pair per run (per worker under xdist), one database per test module."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import certifi
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from hub.platform import settings
from hub.platform.database import Database, migrate, open_database
from hub.platform.embedded import Servers, open_servers
from hub.platform.embedded_postgres import OPTIONS
from hub.platform.identifier import new_id

TEMPLATE = "hub_template"
_HERE = Path(__file__).parent
_FOLDERS = ("e2e", "chaos", "integration", "contract", "unit")

# A busy machine must not fail a property: time is not what these tests are about.
hypothesis_settings.register_profile("hub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("hub")

# What is logged shows up beside a failed test, and only there.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here talks to the world outside, and reading all its authorities would cost each HTTP client 70 ms."""
    certificate, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    file.write_text(certificate + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    """A folder that the servers' user can reach, also when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session")
async def servers(data_folder: Path) -> AsyncIterator[Servers]:
    """PostgreSQL and Valkey, running; a test that stops one starts it again.

    A killed PostgreSQL loses nothing that it wrote, only a machine that crashes does, and none does here. Waiting for the
    disk would cost 3 s for each module's database, and 4 ms for each commit. Chaos tests open servers of their own that wait.
    """
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(OPTIONS, "fsync", "off")
            running = await stack.enter_async_context(open_servers(data_folder))
        yield running


@pytest_asyncio.fixture(scope="session")
async def template(servers: Servers) -> str:
    """The name of a migrated database that nobody is connected to."""
    await _administer(servers, f"CREATE DATABASE {TEMPLATE}")
    await migrate(settings.Database(url=servers.postgres.url_of(TEMPLATE)))
    return TEMPLATE


@asynccontextmanager
async def fresh_database(servers: Servers, template: str) -> AsyncIterator[str]:
    """The address of a migrated database, gone afterwards."""
    name = f"t_{new_id().replace('-', '')}"
    # A copy of the files is five times as fast as one through the log, once nobody waits for the disk.
    await _administer(servers, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield servers.postgres.url_of(name)
    await _administer(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module")
async def database_url(servers: Servers, template: str) -> AsyncIterator[str]:
    """A fresh migrated database, this module's own."""
    async with fresh_database(servers, template) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(servers: Servers) -> str:
    return servers.redis_url


@pytest_asyncio.fixture(scope="module")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A module's connections: making new ones would take longer than most tests. Whoever closes them takes `own_database`."""
    async with open_database(settings.Database(url=database_url)) as opened:
        yield opened


@pytest_asyncio.fixture
async def own_database(database_url: str) -> AsyncIterator[Database]:
    """The same database through connections of the test's own."""
    async with open_database(settings.Database(url=database_url)) as opened:
        yield opened


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders with the longest tests first: whoever begins one of them last decides when all are done."""
    items.sort(key=lambda item: _FOLDERS.index(item.path.relative_to(_HERE).parts[0]))


async def _administer(servers: Servers, statement: str) -> None:
    connection = await asyncpg.connect(servers.postgres.url_of("postgres"), timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
