"""Everything breaks while sixty people talk; then what was promised is compared with what each of them holds (P1-P6).

`HUB_CHAOS_S` sets how long they talk (60 s), `HUB_CHAOS_SEED` repeats a run's choices.
"""

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from clients.terminal.account import Account
from clients.terminal.client import HubClient
from hub.messaging.history import History
from hub.platform import settings
from hub.platform.database import migrate, open_database
from hub.platform.embedded import Servers, open_servers
from hub.platform.identifier import new_id
from hub.security import token
from hub.security.keyring import create_key_file, load_keyring
from hub.security.sealing import Sealer
from tests.chaos.crowd import Doorkeeper, Person, Witness
from tests.hub_process import HubProcess, hub_processes

PEOPLE = 60
STEADY = 14  # conversations of 3 to 6 whose members stay
UNSTEADY = 4  # conversations whose members change under way
PACE_S = 0.5
QUIET_S = 90.0

Windows = dict[tuple[str, str], list[tuple[int, int]]]


@pytest.mark.timeout(400)
async def test_what_was_acked_is_held_by_everybody_once_and_in_order_when_everything_breaks(
    data_folder: Path,
) -> None:
    """P1-P6: after kills, a flush, and restarts of Valkey and PostgreSQL nobody lacks, doubles or reorders anything."""
    seconds = float(os.environ.get("HUB_CHAOS_S", "60"))
    seed = int(os.environ.get("HUB_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    dice = random.Random(seed)
    async with open_world(data_folder) as world:
        await world.begin(dice)
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for person in world.people:
                group.create_task(person.live(random.Random(dice.random()), world.hubs, until, PACE_S))
            group.create_task(world.keeper.work(world.hubs, world.unsteady, until - 5))
            group.create_task(break_things(world, dice, seconds))
        await world.settle()
        report = await check(world)
    print(f"chaos seed={seed} {report}")


class World:
    def __init__(
        self, servers: Servers, hubs: list[HubProcess], chosen: settings.Settings, http: httpx.AsyncClient
    ) -> None:
        self.servers = servers
        self.hubs = hubs
        self.settings = chosen
        self.people: list[Person] = []
        self.unsteady: dict[str, list[str]] = {}
        self.keeper: Doorkeeper
        self.faults: Counter[str] = Counter()
        self._http = http
        self._stack = AsyncExitStack()

    async def begin(self, dice: random.Random) -> None:
        """Everybody signed in and connected, every conversation made."""
        users = [new_id() for _ in range(PEOPLE)]
        staff = new_id()
        connection = await asyncpg.connect(self.settings.database.url)
        rows = [(user, "patient") for user in users] + [(staff, "staff")]
        await connection.executemany("INSERT INTO users (id, role) VALUES ($1, $2)", rows)
        await connection.close()
        desk = self._account(staff, "staff", dice)
        groups = [dice.sample(users, dice.randint(3, 6)) for _ in range(STEADY)]
        rooms = {(await self._open(desk, members)): members for members in [users, *groups]}
        for _ in range(UNSTEADY):
            members = dice.sample(users, 5)
            self.unsteady[await self._open(desk, members)] = members
        self.keeper = Doorkeeper(desk, dice, self.settings.database.url)
        for user in users:
            mine = [room for room, members in {**rooms, **self.unsteady}.items() if user in members]
            view = Witness()
            packed = dice.random() < 0.5
            client = HubClient(self._account(user, "patient", dice), view=view, packed=packed)
            self.people.append(Person(user, await self._stack.enter_async_context(client), mine))

    async def close(self) -> None:
        await self._stack.aclose()

    def _account(self, user: str, role: str, dice: random.Random) -> Account:
        account = Account(dice.choice(self.hubs).url, self._http)
        key = load_keyring(self.settings).derive(token.PURPOSE)
        account.token = token.issue(key, user=user, session=new_id(), role=role, now=datetime.now(UTC), life_s=7200)
        return account

    async def _open(self, desk: Account, members: list[str]) -> str:
        answer = await desk.post("/conversations", {"kind": "group", "title": "随访小组", "members": members})
        return str(answer["id"])

    async def settle(self) -> None:
        """All is repaired; everybody catches up until their digest is the database's."""
        async with open_database(self.settings.database) as database:
            history = History(
                database.log, Sealer(load_keyring(self.settings), database), self.settings.messaging.large_conversation
            )
            async with asyncio.timeout(QUIET_S):
                while True:
                    digests = await history.digests([person.user for person in self.people])
                    behind = [p for p in self.people if p.view.missing() or p.view.digest() != digests[p.user]]
                    if not behind:
                        break
                    await asyncio.sleep(0.5)
            for person in self.people:
                await person.read_back()


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    async with open_servers(folder / "data") as servers, httpx.AsyncClient() as http:
        environment = {
            "HUB__DATA__DIR": str(folder / "data"),
            "HUB__DATABASE__URL": servers.database_url,
            "HUB__REDIS__URL": servers.redis_url,
            "HUB__REALTIME__HEARTBEAT_MS": "3000",
        }
        chosen = settings.load(None, environment)
        create_key_file(folder / "data" / "keys.json")
        await migrate(chosen.database)
        async with hub_processes(3, folder, environment) as hubs:
            world = World(servers, hubs, chosen, http)
            try:
                yield world
            finally:
                await world.close()


async def break_things(world: World, dice: random.Random, seconds: float) -> None:
    """A server dies three times, Valkey is flushed and then killed for four seconds, PostgreSQL is restarted once."""
    plan = [
        (0.12, "server", kill_server),
        (0.27, "flush", flush_valkey),
        (0.32, "valkey", restart_valkey),
        (0.50, "server", kill_server),
        (0.65, "postgresql", restart_postgres),
        (0.82, "server", kill_server),
    ]
    clock = asyncio.get_running_loop().time
    began = clock()
    for share, name, fault in plan:
        await asyncio.sleep(max(0.0, began + share * seconds - clock()))
        await fault(world, dice)
        world.faults[name] += 1


async def kill_server(world: World, dice: random.Random) -> None:
    hub = dice.choice(world.hubs)
    await hub.kill()
    await asyncio.sleep(1.5)
    await hub.start()


async def flush_valkey(world: World, dice: random.Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(world.servers.redis_url).port)
    password = httpx.URL(world.servers.redis_url).password
    writer.write((f"AUTH {password}\r\n" if password else "").encode() + b"FLUSHALL\r\n")
    await reader.readline()
    writer.close()


async def restart_valkey(world: World, dice: random.Random) -> None:
    await world.servers.valkey.kill()
    await asyncio.sleep(4)
    await world.servers.valkey.start()


async def restart_postgres(world: World, dice: random.Random) -> None:
    await world.servers.postgres.stop()
    await asyncio.sleep(0.5)
    await world.servers.postgres.start()


async def check(world: World) -> str:
    """The database against what was promised, and every view against the database. Answers the counts."""
    connection = await asyncpg.connect(world.settings.database.url)
    rows = await connection.fetch(
        "SELECT conversation::text, seq, sender::text, client_msg_id, type FROM entries ORDER BY 1, 2"
    )
    heads = dict(await connection.fetch("SELECT id::text, head FROM conversations"))
    places = await connection.fetch("SELECT conversation::text, user_id::text, from_seq, to_seq FROM members")
    await connection.close()
    stored = {(row[0], row[1]): row for row in rows}
    counted = Counter(row[0] for row in rows)
    last = {conversation: max(seq for where, seq in stored if where == conversation) for conversation in counted}

    assert counted == Counter(heads), "P2: there are not as many entries as numbers"
    assert last == heads, "P2: numbers have gaps"
    check_promises(world, stored)
    check_views(world, stored, heads, {(p[0], p[1]): (p[2], p[3] or heads[p[0]]) for p in places})
    acked = sum(len(person.acked) for person in world.people)
    refused = Counter(code for person in world.people for code in person.refused)
    return (
        f"acked={acked} stored={len(rows)} conversations={len(heads)} memberships changed={world.keeper.changes} "
        f"faults={dict(world.faults)} refused={dict(refused)}"
    )


def check_promises(world: World, stored: dict[tuple[str, int], asyncpg.Record]) -> None:
    for person in world.people:
        assert person.doubled == [], "P3: one number was promised to two sends"
        for (conversation, seq), client_msg_id in person.acked.items():
            row = stored.get((conversation, seq))
            assert row is not None, f"P1: {conversation} {seq} was acked and is not there"
            assert (row["sender"], row["client_msg_id"]) == (person.user, client_msg_id), "P1: acked as another entry"
    once = Counter((row["conversation"], row["sender"], row["client_msg_id"]) for row in stored.values())
    assert max(once.values()) == 1, "P3: a send was stored twice"


def check_views(
    world: World,
    stored: dict[tuple[str, int], asyncpg.Record],
    heads: dict[str, int],
    places: dict[tuple[str, str], tuple[int, int]],
) -> None:
    entries: dict[str, list[int]] = defaultdict(list)
    for conversation, seq in stored:
        entries[conversation].append(seq)
    for person in world.people:
        assert person.view.contradictions == [], "P2: one number came with two contents"
        for conversation in person.conversations:
            first, until = places[conversation, person.user]
            told = person.view.told[conversation]
            lacking = [seq for seq in entries[conversation] if first <= seq <= until and seq not in told]
            assert lacking == [], f"P4: {person.user} lacks {lacking[:5]} of {conversation}"
            for seq, (sender, _, client_msg_id, _) in told.items():
                row = stored[conversation, seq]
                shown = None if row["sender"].startswith("00000000") else row["sender"]
                assert (shown, row["client_msg_id"]) == (sender, client_msg_id), "P2: told something else than stored"
            check_removals(world, person, conversation, until, heads[conversation])


def check_removals(world: World, person: Person, conversation: str, until: int, head: int) -> None:
    """P5: between a removal and the next coming in, nothing came."""
    beyond = [seq for seq in person.view.told[conversation] if seq > until]
    assert beyond == [], f"P5: {person.user} was told {beyond[:5]} of {conversation} after {until} (head {head})"
    outside = world.keeper.outside(conversation, person.user)
    leaked = [seq for seq in person.view.told[conversation] if any(low < seq < high for low, high in outside)]
    assert leaked == [], f"P5: {person.user} was told {leaked[:5]} of {conversation} while outside"
