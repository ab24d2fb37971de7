"""What an alarming reading is called by those who raise an alarm for it: the rule that found it, and its version. Nothing of its value."""

import hashlib
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import guideline, plan_store
from hub.care.table import health_data_records as records
from hub.security.sealing import Sealer


class Rule(NamedTuple):
    name: str
    version: str


def _version() -> str:
    """Another one whenever a limit is another: a digest of all of them."""
    limits = {name: value for name, value in vars(guideline).items() if name.isupper()}
    return hashlib.sha256(repr(sorted(limits.items())).encode()).hexdigest()[:12]


VERSION = _version()


async def rule_of(connection: AsyncConnection, record: str) -> Rule | None:
    """The rule that found this reading; None if the reading was taken back."""
    kind = (await connection.execute(sa.select(records.c.type).where(records.c.id == record))).scalar_one_or_none()
    return None if kind is None else Rule(f"reading_critical:{kind}", VERSION)


async def rule_of_missed(connection: AsyncConnection, sealer: Sealer, plan: str) -> str | None:
    """The rule by which a measurement of this plan is missed; None if the key of its person was destroyed."""
    found = (await plan_store.find_all(connection, sealer, [plan])).get(plan)
    return None if found is None else f"measurement_missed:{found.measurement_type or 'any'}"
