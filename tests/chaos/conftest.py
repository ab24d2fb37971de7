"""Servers as users run them: here they are stopped and killed, and nothing that was acknowledged may be missing (P1)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.platform.embedded import Servers, open_servers


@pytest_asyncio.fixture(scope="session")
async def servers(data_folder: Path) -> AsyncIterator[Servers]:
    """PostgreSQL that waits for the disk at each commit, and Valkey."""
    async with open_servers(data_folder) as running:
        yield running
