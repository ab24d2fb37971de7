"""One hub process with the demo, for tests that come from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hub.demo import seed
from hub.platform import settings
from hub.platform.embedded import Servers
from hub.security.keyring import create_key_file
from tests.conftest import fresh_database
from tests.hub_process import hub_processes


@pytest_asyncio.fixture(scope="package")
async def server_url(
    servers: Servers, template: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Where a seeded `hub serve` answers, for all modules that come with people of their own."""
    async with fresh_database(servers, template) as database_url:
        folder: Path = tmp_path_factory.mktemp("hub")
        environment = {
            "HUB__DATA__DIR": str(folder),
            "HUB__DATABASE__URL": database_url,
            "HUB__REDIS__URL": redis_url,
            "HUB__REDIS__PREFIX": folder.name,
            "HUB__ACCOUNTS__CODES_PER_ADDRESS_HOUR": "1000",
            "HUB__ACCOUNTS__CODES_PER_PHONE_HOUR": "100",
        }
        create_key_file(folder / "keys.json")
        await seed(settings.load(None, environment))
        async with hub_processes(1, folder, environment) as [process]:
            await process.until("/readyz")
            yield process.url
