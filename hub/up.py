"""`hub up`: the whole hub on one machine, as child processes under one supervisor, with a demo to look at."""

import asyncio
import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import httpx
import msgspec

from hub import demo
from hub.platform import settings as chosen
from hub.platform.database import migrate
from hub.platform.embedded import ServerFailed, claim, supervise_servers
from hub.platform.embedded_home import free_port
from hub.platform.process import run_child
from hub.platform.settings import Settings
from hub.platform.supervisor import Supervisor
from hub.security.keyring import create_key_file, key_path

READY_S = 60.0  # how long the first answer of the server is waited for before that is said
STOP_S = 5.0  # what a child gets on top of the drain before it is killed
PORT_S = 3.0  # how long a port may still be held by a run that was just killed
DEVELOPMENT_LIMITS = {
    "codes_per_phone_minute": 30,
    "codes_per_phone_hour": 200,
    "codes_per_address_hour": 2000,
}

Say = Callable[[str], None]

SUMMARY = """
  the hub answers at {url}   (/healthz, /readyz, /metrics, API description at /schema)
  data              {data}
  people            patients 13800000001–50, companions 13810000001–10, doctors 13820000001–80,
                    staff 13830000001–05, admin 13840000001
  sign in           POST {url}/api/v1/auth/sms-code with {{"phone": "13800000001", "scene": "login"}};
                    with the development sender the code is in the answer, as devCode
  talk              ./dev hub chat --phone 13800000001     and, in another terminal,
                    ./dev hub chat --phone 13820000001
  look              ./dev hub demo, ./dev hub doctor
  stop              Ctrl-C
"""


async def up(settings: Settings, say: Say) -> None:
    """Run everything until cancelled; then stop servers first and databases last."""
    with claim(Path(settings.data.dir)):
        async with hold_port(settings.server) as server:
            settings = msgspec.structs.replace(settings, server=server)
            make_keys(settings, say)
            async with supervise_servers(settings, say) as resolved:
                say("databases run; bringing the schema up to date")
                await migrate(resolved.database)
                say(await demo.seed(resolved) or "the demo is there already")
                await _run_children(resolved, say)


def make_keys(settings: Settings, say: Say) -> None:
    """Development keys, if none are configured and there are none yet."""
    if settings.security.master_keys or settings.security.key_file:
        return
    path = key_path(settings)
    if create_key_file(path):
        say(f"made development keys in {path}: without them nothing that people wrote can be read again")


@contextlib.asynccontextmanager
async def hold_port(server: chosen.Server) -> AsyncIterator[chosen.Server]:
    """Keep the port for the children, also while one is restarted; port 0 becomes a free one. `ServerFailed` if taken."""
    port = server.port or free_port()
    deadline = time.monotonic() + PORT_S
    while (problem := _refusal(server.host, port)) is not None:
        if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            raise ServerFailed(_port_text(server.host, port, problem)) from problem
        await asyncio.sleep(0.2)
    with _bound(server.host, port, shared=True):
        yield msgspec.structs.replace(server, port=port)


def _refusal(host: str, port: int) -> OSError | None:
    """Why nobody could listen there now. Binds without SO_REUSEPORT, so it sees those who would share, too."""
    try:
        _bound(host, port, shared=False).close()
    except OSError as error:
        return error
    return None


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket with the address that does not listen: it gets no connections, and keeps strangers away."""
    family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(where)
    except OSError:
        holder.close()
        raise
    return holder


def _port_text(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another program: stop it or set HUB__SERVER__PORT"
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}: set HUB__SERVER__PORT to one above 1023"
    return f"cannot listen on {host}: {error.strerror or error}; set HUB__SERVER__HOST"


async def _run_children(settings: Settings, say: Say) -> None:
    commands: dict[str, tuple[str, ...]] = {
        f"server {n + 1}": ("serve", "--share-port") for n in range(settings.server.processes)
    }
    commands |= {"worker": ("work",), "scheduler": ("schedule",)}
    environment = _environment(settings)
    drain_s = settings.server.drain_s + STOP_S
    async with Supervisor(cleanup_s=drain_s + 15) as supervisor:
        for name, arguments in commands.items():
            start = partial(
                run_child,
                [sys.executable, "-m", "hub", *arguments],
                env=environment,
                say=partial(_prefixed, say, name),
                drain_s=drain_s,
            )
            supervisor.run(name, start)
        try:
            await _tell(settings, say)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say(f"stopping: sockets are moved first (up to {settings.server.drain_s:.0f} s), databases last")
            raise


async def _tell(settings: Settings, say: Say) -> None:
    if await _answers(address(settings.server)):
        say(SUMMARY.format(url=address(settings.server), data=settings.data.dir))
    else:
        say(f"the server has not become ready in {READY_S:.0f} s: see what it says above, and run ./dev hub doctor")


def _prefixed(say: Say, name: str, line: str) -> None:
    say(f"{name:<10}| {line}")


def _environment(settings: Settings) -> dict[str, str]:
    """What the children are told: the addresses that were found, in place of whatever the file says."""
    return (
        dict(os.environ)
        | _development_limits(settings.accounts)
        | {
            "HUB__DATA__DIR": settings.data.dir,
            "HUB__DATABASE__URL": settings.database.url,
            "HUB__REDIS__URL": settings.redis.url,
            "HUB__SERVER__PORT": str(settings.server.port),
            "PYTHONUNBUFFERED": "1",
        }
    )


def _development_limits(accounts: chosen.Accounts) -> dict[str, str]:
    """Whoever tries the hub asks for a code at every sign-in: where codes cost nothing, limits nobody chose are widened."""
    defaults = chosen.Accounts()
    return {
        f"HUB__ACCOUNTS__{name.upper()}": str(limit)
        for name, limit in DEVELOPMENT_LIMITS.items()
        if accounts.sms_sender == "development" and getattr(accounts, name) == getattr(defaults, name)
    }


def address(server: chosen.Server) -> str:
    """Where a client on this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


async def _answers(url: str) -> bool:
    """Wait until the server is ready, or for `READY_S`."""
    deadline = time.monotonic() + READY_S
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{url}/readyz")).status_code == httpx.codes.OK:
                    return True
            await asyncio.sleep(0.1)
    return False
