"""A hub that serves, for the tests of the wire, and a journal of what it logs: never what people said."""

import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog

from hub.platform import settings
from hub.platform.telemetry import configure_logging
from tests.integration.wire import SECRET, Server, serving, settings_for

Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(scope="module")
def journal() -> Iterator[io.StringIO]:
    """Everything that is logged while a module's hubs run. Bad input is no error of ours, and content is never logged."""
    root, written = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging(settings.Log(level="debug", format="json"), written)
    clients = logging.getLogger("websockets")  # the tests' own; the hub's is called uvicorn.error
    clients.setLevel(logging.WARNING)
    yield written
    clients.setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for secret in (SECRET, SECRET.encode("unicode_escape").decode(), "eyJ"):
        assert secret not in written.getvalue()
    assert [line for line in written.getvalue().splitlines() if '"level": "error"' in line] == []


@pytest.fixture(scope="module")
def serve(journal: io.StringIO, database_url: str, redis_url: str, data_folder: Path) -> Serve:
    """A node on this module's database; its sections may be changed by name, and `like` makes it a second one of a hub."""

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
