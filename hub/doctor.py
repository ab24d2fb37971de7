"""`hub doctor`: looks at an installation and says in plain words what is wrong and what to do."""

import asyncio
import importlib.metadata
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import redis.asyncio
from alembic.config import Config
from alembic.script import ScriptDirectory
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hub import doctor_channel
from hub.alerts import duty_actions
from hub.messaging.attachment_store import open_object_store
from hub.platform import migrations
from hub.platform.clock import SystemClock, rfc3339
from hub.platform.database import open_database
from hub.platform.embedded import NotRunning, resolve
from hub.platform.settings import BadSettings, Settings, load
from hub.platform.supervisor import describe
from hub.security.keyring import key_path, load_keyring
from hub.up import address

ASK_S = 5.0
OLDEST_POSTGRESQL = 15
PINS = Path(__file__).parents[1] / "requirements" / "run.txt"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\$", re.MULTILINE)  # lines with a marker (";") may be for another machine

Say = Callable[[str], None]


class Wrong(Exception):
    """A check that failed: what, and what to do about it."""


async def examine(say: Say) -> int:
    """Make every check that can be made; the answer is the exit status: 1 if anything is wrong."""
    good = [await _say_check(say, "Python", _python), await _say_check(say, "packages", _packages)]
    try:
        settings = load()
    except BadSettings as error:
        say(f"✗ settings: {error}")
        return 1
    say("✓ settings: config.toml and the environment are understood")
    here: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
        ("data folder", _data_folder),
        ("keys", _keys),
        ("attachments", _attachments),
        ("port", _port),
    )
    good += [await _say_check(say, name, check, settings) for name, check in here]
    good += [await _say_check(say, name, doctor_channel.channel, name, settings) for name in doctor_channel.CHANNELS]
    good += await _check_servers(say, settings)
    say("all is well" if all(good) else "something is wrong: see the lines with ✗")
    return 0 if all(good) else 1


async def _check_servers(say: Say, settings: Settings) -> list[bool]:
    try:
        resolved = resolve(settings)
    except NotRunning as error:
        say(f"✗ databases: {error}")
        return [False]
    good = [await _say_check(say, "PostgreSQL", _postgresql, resolved)]
    if good[0]:
        good.append(await _say_check(say, "duty roster", _duty_roster, resolved))
    for number, url in enumerate(resolved.redis.url.split(",")):
        good.append(await _say_check(say, f"Redis {number}" if number else "Redis", _redis, url.strip()))
    if all(good):
        good.append(await _say_check(say, "notices", _notices, resolved))
    return good


async def _say_check(say: Say, name: str, check: Callable[..., Awaitable[str]], *subject: object) -> bool:
    try:
        async with asyncio.timeout(ASK_S * 3):
            say(f"✓ {name}: {await check(*subject)}")
    except (Wrong, BadSettings) as error:
        say(f"✗ {name}: {error}")
    except (OSError, TimeoutError, asyncpg.PostgresError, RedisError, httpx.HTTPError) as error:
        say(f"✗ {name}: {describe(error)}")
    else:
        return True
    return False


async def _python() -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"  # an older one than 3.11 does not come this far


async def _packages() -> str:
    """What is installed against what is pinned."""
    pins = PIN.findall(PINS.read_text(encoding="utf-8"))
    wrong = [f"{name} {version}" for name, version in pins if _installed(name) != version]
    if wrong:
        raise Wrong(f"not installed as pinned: {', '.join(wrong)}; ./dev up installs them")
    return f"{len(pins)} are installed as pinned"


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


async def _data_folder(settings: Settings) -> str:
    data = _absolute(settings.data.dir)
    probe = data / ".writable"
    try:
        probe.touch()
        probe.unlink()
    except FileNotFoundError as error:
        raise Wrong(f"{data} is not there yet; ./dev up makes it") from error
    except OSError as error:
        raise Wrong(f"{data} is not writable ({error.strerror}); change its owner or set HUB__DATA__DIR") from error
    return f"{data} is writable"


def _absolute(path: str) -> Path:
    return Path(path).resolve()


async def _keys(settings: Settings) -> str:
    security = settings.security
    if not (security.master_keys or security.signing_key or security.key_file or key_path(settings).exists()):
        raise Wrong(f"{key_path(settings)} is not there yet; ./dev up makes one")
    keyring = load_keyring(settings)
    return f"{len(keyring.master_keys)} master key(s); {keyring.current} seals"


async def _attachments(settings: Settings) -> str:
    data = _absolute(settings.data.dir)
    if settings.attachments.store == "local" and not data.is_dir():
        return f"will be kept in {data}"  # opening the store would make the folder
    open_object_store(settings.attachments, data)
    return f"kept in the {settings.attachments.store} store"


async def _port(settings: Settings) -> str:
    server = settings.server
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError:
            return await _our_server(settings)
    return f"{server.host}:{server.port} is free"


async def _our_server(settings: Settings) -> str:
    url = address(settings.server)
    async with httpx.AsyncClient(timeout=ASK_S, trust_env=False) as client:
        try:
            answer = await client.get(f"{url}/readyz")
        except httpx.HTTPError as error:
            raise Wrong(f"{url} is taken, and no hub answers there; stop it or set HUB__SERVER__PORT") from error
    if answer.status_code in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        try:
            resolve(settings)
        except NotRunning as error:
            raise Wrong("taken by a hub of another data folder; set HUB__SERVER__PORT") from error
    if answer.status_code == httpx.codes.OK:
        return f"the hub answers at {url} and is ready"
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Wrong(f"the hub at {url} is not ready: {answer.text[:500]}")
    raise Wrong(f"{url} is taken by another program; stop it or set HUB__SERVER__PORT")


async def _postgresql(settings: Settings) -> str:
    try:
        url = make_url(settings.database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    except (ArgumentError, ValueError) as error:  # their texts may repeat the address, and with it a password
        raise Wrong("database.url is no address; it must look like postgresql://user@host/database") from error
    connection = await asyncpg.connect(url, timeout=ASK_S, command_timeout=ASK_S)
    try:
        if connection.get_server_version().major < OLDEST_POSTGRESQL:
            raise Wrong(f"it is older than {OLDEST_POSTGRESQL}; that or newer is needed")
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            value = await connection.fetchval("SELECT current_setting($1)", name)
            if value in ("off", "local"):
                raise Wrong(f"{name} is {value}: an acknowledged message could be lost; set it to on")
        await _check_schema(connection)
        version = str(await connection.fetchval("SHOW server_version")).split()[0]
    finally:
        await connection.close(timeout=ASK_S)
    return f"version {version}, durable, schema up to date"


async def _check_schema(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    wanted = set(ScriptDirectory.from_config(config).get_heads())
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        raise Wrong("the database is empty; run ./dev hub migrate")
    found = {row["version_num"] for row in await connection.fetch("SELECT version_num FROM alembic_version")}
    if found != wanted:
        raise Wrong(f"the schema is at {', '.join(sorted(found)) or 'nothing'}; run ./dev hub migrate")


async def _duty_roster(settings: Settings) -> str:
    async with open_database(settings.database) as database, database.transaction() as connection:
        gaps = await duty_actions.soon_uncovered(connection, SystemClock().now())
    if gaps:
        said = ", ".join(f"{gap.role} {rfc3339(gap.starts_at)} to {rfc3339(gap.ends_at)}" for gap in gaps)
        raise Wrong(f"nobody is on duty: {said}; plan it with POST /api/v1/duties")
    return "every role has somebody for the next 24 hours, or no alert was ever raised here"


async def _redis(url: str) -> str:
    try:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=ASK_S, socket_connect_timeout=ASK_S)
    except ValueError as error:
        raise Wrong("redis.url is no address; it must look like redis://host/0") from error
    async with client, client.pubsub() as listener:
        channel = f"doctor:{uuid4().hex}"
        await listener.subscribe(channel)
        await listener.get_message(timeout=ASK_S)  # the confirmation
        await client.publish(channel, "?")
        message = await listener.get_message(ignore_subscribe_messages=True, timeout=ASK_S)
        if message is None:
            raise Wrong("what is published does not come back; check that this user may use pub/sub")
        version = _redis_version(await client.info("server"))
    return f"{version}, published messages come back"


async def _notices(settings: Settings) -> str:
    said, is_well = await doctor_channel.delivery(settings)
    if not is_well:
        raise Wrong(said)
    return said


def _redis_version(server: Mapping[str, object]) -> str:
    """Valkey calls itself Redis 7.2.4 for the sake of old clients, and says its own name beside it."""
    name = server.get("server_name", "redis")
    return f"{name} {server.get(f'{name}_version') or server.get('redis_version', '?')}"
