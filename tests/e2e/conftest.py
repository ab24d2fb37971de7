"""One hub process with the demo, for tests that come from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hub.demo import seed
from hub.platform import settings
from hub.security.keyring import create_key_file
from tests.hub_process import hub_processes


@pytest_asyncio.fixture(scope="module")
async def server_url(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where a seeded `hub serve` answers; the module's own."""
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
    async with hub_processes(1, folder, environment) as servers:
        await servers[0].until("/readyz")
        yield servers[0].url
