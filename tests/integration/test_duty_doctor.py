"""`hub doctor` says when nobody would be told of an alert."""

import asyncpg
import pytest

from hub.doctor import _duty_roster, _say_check
from hub.platform import settings
from hub.platform.identifier import new_id


@pytest.mark.parametrize("is_used", [False, True], ids=["no roster yet", "a roster with gaps"])
async def test_gaps_are_named_once_rosters_are_used(database_url: str, is_used: bool) -> None:
    """P11: role by role; a hub that has never had a shift or an alert is well without."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM duty_shifts")
    if is_used:
        doctor = new_id()
        await connection.execute("INSERT INTO users (id, name, role) VALUES ($1, '李医生', 'doctor')", doctor)
        await connection.execute(
            "INSERT INTO duty_shifts (id, role, user_id, starts_at, ends_at, created_by) "
            "VALUES ($1, 'doctor_on_call', $2, now() - interval '1 hour', now() + interval '2 days', $2)",
            *(new_id(), doctor),
        )
    await connection.close()
    said: list[str] = []
    chosen = settings.Settings(database=settings.Database(url=database_url))
    is_well = await _say_check(said.append, "duty roster", _duty_roster, chosen)

    assert is_well is not is_used
    assert ("backup" in said[0], "coordinator" in said[0], "doctor_on_call" in said[0]) == (is_used, is_used, False)
