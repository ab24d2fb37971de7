"""`bench api`: mixed reads and writes against one server over a large database; latency, and statements per endpoint."""

import asyncio
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from bench import statement
from bench.api_data import fill
from bench.api_mix import ENDPOINTS, Endpoint, World, pick
from bench.http_client import HttpClient
from bench.meter import BUSY, LOAD, Cores, Meter, Usage
from bench.pace import Pace, percentile
from bench.report import number
from bench.stage import SERVER
from bench.target import Storage, Target, hub_target
from hub.app import build_app, open_parts
from hub.platform import settings

RECORDS = 1_000_000
ORDERS = 200_000
CONNECTIONS = 48
WARM_S = 3.0
AIM_P95_MS = 50.0
COUNTED = 5  # requests of each endpoint whose statements are counted


class Phase(msgspec.Struct, frozen=True, rename="camel"):
    """What one phase of load came to; latencies in milliseconds, by endpoint and of `all`."""

    per_s: float
    p50_ms: dict[str, float]
    p95_ms: dict[str, float]
    p99_ms: dict[str, float]
    faults: dict[str, int]
    usage: Usage


class ApiResult(msgspec.Struct, frozen=True, rename="camel"):
    records: int
    orders: int
    saturated: Phase
    half: Phase
    statements: dict[str, float]
    met: bool


class Load:
    """Sends what the mix says and keeps how long each took."""

    def __init__(self, world: World, client: HttpClient) -> None:
        self._world = world
        self._client = client
        self._dice = random.Random(11)
        self.taken_ms: dict[str, list[float]] = defaultdict(list)
        self.faults: Counter[str] = Counter()

    async def one(self, due_s: float | None = None) -> None:
        """One request; the time counts from when it was due."""
        endpoint, request = pick(self._dice, self._world)
        began = time.perf_counter() if due_s is None else due_s
        try:
            status = (await self._client.ask(request)).status
        except (OSError, TimeoutError) as error:
            self.faults[f"{endpoint.name}: {type(error).__name__}"] += 1
            return
        if status != 200 and status not in endpoint.also:
            self.faults[f"{endpoint.name}: {status}"] += 1
        self.taken_ms[endpoint.name].append((time.perf_counter() - began) * 1000)

    def phase(self, seconds: float, usage: Usage) -> Phase:
        every = [taken for taken_ms in self.taken_ms.values() for taken in taken_ms]
        by_name: dict[str, Sequence[float]] = {"all": every, **dict(sorted(self.taken_ms.items()))}
        p50, p95, p99 = (
            {name: percentile(taken, share) for name, taken in by_name.items()} for share in (0.5, 0.95, 0.99)
        )
        return Phase(len(every) / seconds, p50, p95, p99, dict(self.faults), usage)


async def saturate(world: World, target: Target, meter: Meter, seconds: float) -> Phase:
    """Every connection asks again as soon as it is answered."""
    client = HttpClient(target.host, target.port, CONNECTIONS)
    load, until = Load(world, client), time.perf_counter() + seconds

    async def ask() -> None:
        while time.perf_counter() < until:
            await load.one()

    meter.start()
    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    usage = meter.stop()
    client.close()
    return load.phase(usage.wall_s, usage)


async def steady(world: World, target: Target, meter: Meter, seconds: float, rate: float) -> Phase:
    """Requests come at random moments, whether earlier ones are answered or not."""
    client = HttpClient(target.host, target.port, CONNECTIONS * 4)
    load = Load(world, client)
    asked: set[asyncio.Task[None]] = set()

    def send(due_s: float) -> None:
        task = asyncio.create_task(load.one(due_s))
        asked.add(task)
        task.add_done_callback(asked.discard)

    began = time.perf_counter()
    pace = Pace(rate, began, send)
    meter.start()
    while True:
        now = time.perf_counter()
        if now >= began + seconds:
            break
        await asyncio.sleep(max(0.0, min(pace(now) - time.perf_counter(), 0.05)))
    usage = meter.stop()
    await asyncio.gather(*asked)
    client.close()
    return load.phase(seconds, usage)


async def count_statements(world: World, storage: Storage) -> dict[str, float]:
    """Statements per request of each endpoint, warm, in a server of our own."""
    chosen = settings.Settings(
        data=settings.Data(dir=str(storage.folder)),
        database=settings.Database(url=storage.database_url),
        redis=settings.Redis(url=storage.redis_url, prefix="count"),
    )
    dice = random.Random(5)
    async with open_parts(chosen) as parts:
        transport = httpx.ASGITransport(build_app(parts))  # type: ignore[arg-type]  # two notions of an ASGI scope
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return {each.name: await _count(each, world, client, parts.database, dice) for each in ENDPOINTS}


async def _count(
    endpoint: Endpoint, world: World, client: httpx.AsyncClient, database: object, dice: random.Random
) -> float:
    who = world.patients[0]
    requests = [endpoint.build(dice, world, who) for _ in range(COUNTED + 1)]
    await _replay(client, requests[0])  # the first makes keys and copies
    with statement.counting(database) as counted:  # type: ignore[arg-type]
        for request in requests[1:]:
            await _replay(client, request)
    return counted.statements / COUNTED


async def _replay(client: httpx.AsyncClient, request: bytes) -> None:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    await client.request(method, path, headers=headers, content=body or None)


def run(console: Console, cores: Cores, seconds: float, records: int = RECORDS, orders: int = ORDERS) -> ApiResult:
    """Fill, count, saturate, then measure at half of that."""
    with Storage(cores) as storage:
        console.print(f"filling a database with {records:,} records and {orders:,} orders …")
        began = time.monotonic()
        world = asyncio.run(fill(storage, records, orders))
        console.print(f"filled in {time.monotonic() - began:.0f} s")
        statements = asyncio.run(count_statements(world, storage))
        with hub_target(storage, cores) as target:
            meter = Meter({**target.processes}, SERVER, cores.server)
            with asyncio.Runner() as runner:
                runner.run(saturate(world, target, meter, WARM_S))
                full = runner.run(saturate(world, target, meter, seconds))
                half = runner.run(steady(world, target, meter, seconds * 2, full.per_s / 2))
    result = ApiResult(records, orders, full, half, statements, half.p95_ms["all"] <= AIM_P95_MS)
    show(console, result)
    return result


def show(console: Console, result: ApiResult) -> None:
    table = Table(
        title=f"api: {result.records:,} records, {result.orders:,} orders; saturated {number(result.saturated.per_s)}/s, "
        f"then {number(result.half.per_s)}/s",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("", no_wrap=True)
    for column in ("statements", "p50 ms", "p95 ms", "p99 ms", "p95 ms saturated"):
        table.add_column(column, justify="right")
    half = result.half
    for name in half.p50_ms:
        counted = "" if name == "all" else number(result.statements.get(name, math.nan))
        figures = (half.p50_ms[name], half.p95_ms[name], half.p99_ms[name], result.saturated.p95_ms.get(name, math.nan))
        table.add_row(name, counted, *map(number, figures))
    console.print(table)
    colour = "green" if result.met else "red"
    console.print(f"  [{colour}]aim: p95 ≤ {AIM_P95_MS:g} ms at half of saturation: {half.p95_ms['all']:.1f} ms[/]")
    for phase, name in ((result.saturated, "saturated"), (half, "half")):
        shares = ", ".join(f"{role} {share:.0%}" for role, share in phase.usage.shares.items())
        console.print(f"  CPU, {name}: {shares}")
        if phase.usage.shares[LOAD] > BUSY:
            console.print(f"  [yellow]note[/] {name}: the load generator may be the limit")
        for fault, times in phase.faults.items():
            console.print(f"  [red]{name}[/] {fault} × {times}")
