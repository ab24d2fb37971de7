"""Writing the demo's profiles and readings, each sealed under the key of the person it is about."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.care import profile_store, record_store
from hub.care.indicator import assess
from hub.care.model import Circumstances, Reading
from hub.care.profile import BloodType, EmergencyContact, Profile, checked, circumstances
from hub.demo.cast import CAST, id_of, name_of
from hub.demo.persona import Persona, persona_of
from hub.demo.reading import Taken, year
from hub.directory.model import SHANGHAI
from hub.security.sealing import DataKey, Sealer

PATIENTS_AT_ONCE = 5  # about 5,000 rows: one is sealed while PostgreSQL takes the one before

Row = tuple[object, ...]


class _Patient:
    """Somebody whose year is told."""

    def __init__(self, number: int, user: str, key: DataKey) -> None:
        self.number = number
        self.user = user
        self.key = key
        self.persona: Persona = persona_of(number)
        self.dice = Random(number)  # noqa: S311 - the same readings in every installation
        self.height_cm = float(self.dice.randint(153, 184))

    def profile(self) -> Profile:
        """As of today."""
        dice, family = Random(self.number), CAST["patient"][1]  # noqa: S311 - as above
        allergy = dice.choice((None, None, None, None, "青霉素", "头孢类", "花粉", "海鲜"))
        relation, other = dice.choice(("配偶", "子女", "父母")), (self.number + 24) % family + 1
        blood_types: Sequence[BloodType] = ("A", "B", "AB", "O")
        return checked(
            Profile(
                blood_type=dice.choice(blood_types),
                height=self.height_cm,
                weight=round(self.persona.bmi.now * (self.height_cm / 100) ** 2, 1),
                has_allergy=allergy is not None,
                allergy_info=allergy,
                chronic_diseases=list(self.persona.diseases),
                family_history=dice.sample(("高血压", "糖尿病", "冠心病", "脑卒中"), dice.choice((0, 0, 1, 2))),
                emergency_contact=EmergencyContact(
                    name_of("patient", other), str(CAST["patient"][0] + other - 1), relation
                ),
            )
        )

    def rows(self, person: Circumstances, now: datetime) -> list[Row]:
        """The sealed readings up to now."""
        today = now.astimezone(SHANGHAI).date()
        taken = year(self.persona, self.height_cm, today, self.dice)
        return [self._row(each, person) for each in taken if each.at <= now]

    def _row(self, taken: Taken, person: Circumstances) -> Row:
        measured, at = taken.measurement, taken.at.astimezone(UTC)
        reading = Reading(
            id=id_of("reading", str(self.number), measured.type, at.isoformat()),
            user=self.user,
            actor=self.user,
            measurement=measured,
            assessment=assess(measured, person),
            source=taken.source,
            recorded_at=at,
            created_at=at,
            notes=taken.notes,
        )
        return record_store.seal(self.key, reading)


async def add_records(connection: AsyncConnection, sealer: Sealer, people: Mapping[str, str], now: datetime) -> int:
    """A profile and a year of readings for every patient; the answer is how many readings."""
    users = [people[f"p{number}"] for number in range(1, CAST["patient"][1] + 1)]
    keys = await asyncio.gather(*map(sealer.key_for, users))
    patients = [_Patient(n, user, key) for n, (user, key) in enumerate(zip(users, keys, strict=True), 1)]
    profiles = [each.profile() for each in patients]
    for patient, profile in zip(patients, profiles, strict=True):
        await profile_store.save(connection, patient.key, profile, patient.user, now)
        if patient.persona.tags:
            await profile_store.save_tags(connection, patient.key, list(patient.persona.tags), patient.user, now)
    return await _add_readings(connection, patients, profiles, now)


async def _add_readings(
    connection: AsyncConnection, patients: Sequence[_Patient], profiles: Sequence[Profile], now: datetime
) -> int:
    """By the driver's COPY, in the caller's transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, asyncpg.Connection)
    both = list(zip(patients, map(circumstances, profiles), strict=True))
    groups = [both[start : start + PATIENTS_AT_ONCE] for start in range(0, len(both), PATIENTS_AT_ONCE)]
    count, rows = 0, await asyncio.to_thread(_sealed, groups[0], now)
    for following in [*groups[1:], []]:
        async with asyncio.TaskGroup() as tasks:
            sealing = tasks.create_task(asyncio.to_thread(_sealed, following, now))
            await driver.copy_records_to_table("health_data_records", columns=record_store.COLUMNS, records=rows)
        count, rows = count + len(rows), sealing.result()
    return count


def _sealed(group: Sequence[tuple[_Patient, Circumstances]], now: datetime) -> list[Row]:
    return [row for patient, person in group for row in patient.rows(person, now)]
