"""Puts a layout into the hub's database in bulk: thousands of people cannot sign in by SMS first."""

from datetime import UTC, datetime, timedelta

import asyncpg

from bench.layout import Layout

_TIMEOUT_S = 60


async def seed(database_url: str, layout: Layout) -> None:
    """Users, sessions, conversations, members in one transaction; then statistics, or plans are for empty tables."""
    now = datetime.now(UTC)
    later = now + timedelta(days=1)
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=_TIMEOUT_S)
    try:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "users", columns=["id", "name"], records=[(p.user, "测试员") for p in layout.people]
            )
            await connection.copy_records_to_table(
                "sessions",
                columns=["id", "user_id", "created_at", "last_seen_at", "expires_at"],
                records=[(p.session, p.user, now, now, later) for p in layout.people],
            )
            await connection.copy_records_to_table(
                "conversations",
                columns=["id", "kind", "created_by"],
                records=[(room.id, "group", layout.people[room.members[0]].user) for room in layout.rooms],
            )
            await connection.copy_records_to_table(
                "members",
                columns=["conversation", "user_id"],
                records=[(room.id, layout.people[m].user) for room in layout.rooms for m in room.members],
            )
        await connection.execute("ANALYZE users, sessions, conversations, members")
    finally:
        await connection.close(timeout=10)
