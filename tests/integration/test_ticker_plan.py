"""P10: looking for what is due is a probe of an index, whatever waits in the future and whatever lies behind."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.notices import callback_store, retention
from hub.platform import outbox
from hub.platform.database import Database
from hub.security import rotation
from hub.timers import store

ROWS = 10_000

_TIMERS = """
INSERT INTO timers (id, kind, subject, key, due_at, next_at, state, ended_at)
SELECT gen_random_uuid(), 'kind-' || n % 3, gen_random_uuid(), '', at, CASE WHEN n % 5 > 0 THEN at END,
  CASE WHEN n % 5 > 0 THEN 'pending' ELSE 'fired' END, CASE WHEN n % 5 = 0 THEN at - interval '1 year' END
FROM generate_series(1, CAST(:rows AS int)) n, LATERAL (SELECT statement_timestamp() + make_interval(mins => n) AS at) t
"""


@pytest_asyncio.fixture
async def filled(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction that is rolled back, with many timers in the future, and many rows that are not old enough."""
    async with database.engine.connect() as connection:
        await connection.execute(text(_TIMERS), {"rows": ROWS})
        for statement in (
            "INSERT INTO users (id) VALUES ('00000000-0000-7000-8000-000000000001')",
            """INSERT INTO notices (id, user_id, class, lane, shard, template, dedupe_key, state, begins_at, expires_at, ended_at)
               SELECT gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'chat', 'normal', 0, 'chat', n::text, 'seen', now(),
                 now(), now() - make_interval(mins => n) FROM generate_series(1, 10000) n""",
            """INSERT INTO events (kind, subject, payload, done_at)
               SELECT 'x', gen_random_uuid(), '{}', now() - make_interval(mins => n) FROM generate_series(1, 10000) n""",
            """INSERT INTO provider_callbacks (provider, key, received_at)
               SELECT 'sms', n::text, now() - make_interval(secs => n) FROM generate_series(1, 10000) n""",
            """INSERT INTO data_keys (id, subject, wrapped, master_key)
               SELECT gen_random_uuid(), gen_random_uuid(), ''::bytea, 'new' FROM generate_series(1, 10000)""",
            "ANALYZE timers, notices, events, provider_callbacks, data_keys",
        ):
            await connection.execute(text(statement))
        yield connection


def numbered(statement: str) -> tuple[str, list[str]]:
    """The statement with `$1` for `:name`, and the names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"(?<!:):(\w+)", number, statement), names


async def plan_of(connection: AsyncConnection, statement: str, mode: str, **values: str) -> str:
    """How PostgreSQL would do it; `values` as SQL writes them."""
    prepared, names = numbered(statement)
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    await raw.execute(f"SET LOCAL plan_cache_mode = {mode}; PREPARE it AS {prepared}")
    given = f"({', '.join(values[name] for name in names)})" if names else ""
    plan = "\n".join(row[0] for row in await raw.fetch(f"EXPLAIN EXECUTE it{given}"))
    await raw.execute("DEALLOCATE it")
    return plan


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_claiming_reads_what_is_due_and_nothing_else(filled: AsyncConnection, mode: str) -> None:
    """Kind and time are conditions of the index, the rows are then found by their ids: with a plan for these values or for any."""
    plan = await plan_of(filled, store._CLAIM.text, mode, kind="'kind-1'", now="NULL", most="250")

    assert re.search(
        r"Index Scan using timers_due on timers[^\n]*\n\s*Index Cond: \(\(kind = .*\) AND \(next_at <= ", plan
    ), plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_the_status_counts_no_further_than_it_says(filled: AsyncConnection, mode: str) -> None:
    """A few probes for each kind: it may be asked every two seconds, by everybody who looks at the metrics."""
    plan = await plan_of(filled, store._BACKLOG.text, mode, most="1000")

    assert "Seq Scan" not in plan, plan
    assert len(re.findall(r"Index Cond: \(\(kind = [^\n]* AND \(next_at", plan)) == 3, plan
    found = await store.backlog(filled, 1000)
    assert [(each.kind, each.due, each.oldest) for each in found] == [(f"kind-{n}", 0, None) for n in range(3)]


@pytest.mark.parametrize(
    ("statement", "index", "values"),
    [
        pytest.param(store._FORGET.text, "timers_ended", {"days": "90", "most": "1000"}, id="timers"),
        pytest.param(retention._FORGET.text, "notices_old", {"days": "1095", "most": "200"}, id="notices"),
        pytest.param(outbox._FORGET.text, "events_done", {"days": "30"}, id="events"),
        pytest.param(
            callback_store._FORGET.text, "provider_callbacks_received", {"days": "7", "batch": "1000"}, id="callbacks"
        ),
    ],
)
async def test_what_is_old_is_found_by_index(
    filled: AsyncConnection, statement: str, index: str, values: dict[str, str]
) -> None:
    """With nothing old enough, a sweep costs one probe."""
    plan = await plan_of(filled, statement, "force_custom_plan", **values)

    assert re.search(rf"Index (Only )?Scan using {index} [^\n]*\n\s*Index Cond: \(\w+_at < ", plan), plan
    assert "Seq Scan" not in plan, plan


async def test_master_keys_in_use_are_found_by_leaps(filled: AsyncConnection) -> None:
    """When all data keys are wrapped by the newest, asking for others is a probe for each master key."""
    statement = rotation._OTHERS.replace("$1", ":current")
    plan = await plan_of(filled, statement, "force_custom_plan", current="'new'")

    assert "Index Only Scan using data_keys_master_key" in plan, plan
    assert "Seq Scan" not in plan, plan
