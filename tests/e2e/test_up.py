"""`hub up` as somebody runs it: started, looked at, killed, started again, stopped; one clear line when it cannot."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from hub.platform.process import command_line

ROOT = Path(__file__).parents[2]
STARTED = re.compile(r"the hub answers at (\S+)")


@pytest.fixture
def data(data_folder: Path) -> Path:
    """A data folder of the test's own, not there yet."""
    return data_folder / f"up-{os.urandom(4).hex()}"


def environment(data: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return clean | {"HUB__DATA__DIR": str(data), "HUB__SERVER__PORT": "0", "HUB__SERVER__DRAIN_S": "1"} | more


async def hub(data: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """Run a command to its end: its exit status and all it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hub", *arguments),
        cwd=ROOT,
        env=environment(data, **more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


@asynccontextmanager
async def upped(data: Path, **more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, list[str]]]:
    """A running `hub up`: the process, its address, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hub", "up"),
        cwd=ROOT,
        env=environment(data, **more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(120):
            while not (found := STARTED.search(said[-1] if said else "")):
                line = await process.stdout.readline()
                assert line, f"hub up ended: {said}"
                said.append(line.decode())
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen(process.stdout, said))
            yield process, found[1], said
            if process.returncode is None:
                listening.cancel()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await nobody_is_left(data)


async def listen(stream: asyncio.StreamReader, said: list[str]) -> None:
    async for line in stream:
        said.append(line.decode())


def processes(data: Path) -> list[int]:
    """Every process that was started for this data folder: they inherit the environment that names it."""
    mark = f"HUB__DATA__DIR={data}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def servers(data: Path) -> list[int]:
    return [pid for pid in processes(data) if " serve " in command_line(pid)]


async def nobody_is_left(data: Path) -> None:
    """Wait until no process of this data folder exists any more."""
    async with asyncio.timeout(30):
        while processes(data):  # noqa: ASYNC110  not our children: nothing wakes us
            await asyncio.sleep(0.05)


async def name_of(url: str, phone: str) -> str:
    """Sign in with the development code, and answer who one is."""
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=10) as client:
        asked = await client.post("/auth/sms-code", json={"phone": phone, "scene": "login"})
        code = asked.json()["data"]["devCode"]
        answer = await client.post("/auth/login", json={"phone": phone, "code": code})
        return str(answer.json()["data"]["user"]["name"])


async def status(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        with suppress(httpx.HTTPError):
            return (await client.get(url)).status_code
    return 0


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


async def test_hub_comes_back_whole_when_it_was_killed(data: Path) -> None:
    """Fresh, after kill -9 of the parent, and after a clean stop: the same people, and no process left in between."""
    async with upped(data) as (process, url, _):
        assert await status(f"{url}/healthz") == 200
        first = await name_of(url, "13800000001")
        assert (data / "keys.json").stat().st_mode & 0o777 == 0o600
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await nobody_is_left(data)

    async with upped(data) as (process, url, said):
        assert await name_of(url, "13800000001") == first
        assert any("the demo is there already" in line for line in said)
        for _ in range(4):  # more than a phone gets in a minute elsewhere
            await name_of(url, "13800000001")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
        assert processes(data) == []

    assert "stopping: sockets are moved first (up to 1 s), databases last\n" in said


async def test_server_is_started_again_when_it_dies(data: Path) -> None:
    """One of two server processes is killed: the other goes on, and the first comes back."""
    async with upped(data, HUB__SERVER__PROCESSES="2") as (_, url, said):
        victim, other = servers(data)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(30):
            while len(servers(data)) < 2 or victim in servers(data):  # noqa: ASYNC110  not our children
                await asyncio.sleep(0.05)
            # What it says comes through a pipe, which may be read later than the process table.
            while not any("loop down" in line and "server" in line for line in said):  # noqa: ASYNC110  a list
                await asyncio.sleep(0.05)

        assert other in servers(data)
        assert await status(f"{url}/healthz") == 200


async def test_other_commands_find_the_databases_while_it_runs(data: Path) -> None:
    """Commands need no addresses beside a running `hub up`; a second one on the same data is refused in one line."""
    async with upped(data) as (_, url, _said):
        port = url.rsplit(":", 1)[1]
        checked, report = await hub(data, "doctor", HUB__SERVER__PORT=port)
        migrated, _ = await hub(data, "migrate")
        refused, line = await hub(data, "up")

    assert checked == 0, report
    assert "✗" not in report
    assert migrated == 0
    assert (refused, line.count("\n")) == (2, 1)
    assert f"the data folder {data} is in use by process" in line


async def test_doctor_says_what_to_do_when_nothing_runs(data: Path) -> None:
    """Exit status 1, and each thing that is missing has its line."""
    code, report = await hub(data, "doctor")

    assert code == 1
    assert "✗ databases: no database: start ./dev up or set HUB__DATABASE__URL" in report


async def test_one_line_and_exit_2_when_the_port_is_taken(data: Path) -> None:
    """A taken port is seen before anything is started."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        code, line = await hub(data, "up", HUB__SERVER__PORT=str(stranger.getsockname()[1]))

    assert (code, line.count("\n")) == (2, 1)
    assert "is taken by another program" in line


async def test_one_line_and_exit_2_when_the_data_folder_is_not_writable() -> None:
    """A place where nothing can be written is named."""
    code, line = await hub(Path("/dev/null/below"), "up")

    assert (code, line.count("\n")) == (2, 1)
    assert "cannot write to the data folder /dev/null/below" in line


@pytest.mark.parametrize("command", ["serve", "work", "schedule", "migrate", "seed", "demo"])
async def test_one_line_and_exit_2_when_there_is_no_database(data: Path, command: str) -> None:
    """What to do is part of the line."""
    code, line = await hub(data, command)

    assert (code, line) == (2, "hub: no database: start ./dev up or set HUB__DATABASE__URL\n")


async def test_one_line_and_exit_2_when_a_setting_is_unknown(data: Path) -> None:
    """The setting is named."""
    code, line = await hub(data, "up", HUB__SERVER__PROT="1")

    assert (code, line) == (2, "hub: HUB__SERVER__PROT: there is no such setting\n")
