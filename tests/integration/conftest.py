"""A hub that serves, for the tests of the wire."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.wire import Server, serving, settings_for

Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(scope="module")
def serve(database_url: str, redis_url: str, data_folder: Path) -> Serve:
    """A node of this module's database; its sections may be changed by name, and `like` makes it a second node of another."""

    def build(like: Server | None = None, send_buffer: int | None = None, **sections: dict[str, Any]) -> Any:
        if like is not None:
            return serving(like.parts.settings, send_buffer)
        return serving(settings_for(database_url, redis_url, str(data_folder), **sections), send_buffer)

    return build


@pytest_asyncio.fixture(scope="module")
async def running(serve: Serve) -> AsyncIterator[Server]:
    async with serve() as server:
        yield server


@pytest_asyncio.fixture
async def hub(running: Server) -> AsyncIterator[Server]:
    """One node that the module's tests share; each leaves it without sockets."""
    yield running
    await running.hang_up()
    await running.connections(0)
