"""A year of a patient's readings: what a persona's numbers do over seasons, weeks, good and bad days. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple

from hub.care.model import Measurement, Source
from hub.demo.persona import Glucose, Persona
from hub.directory.model import SHANGHAI

DAYS = 365
SEASON_MMHG = 4.0  # blood pressure in the depth of winter above the year's mean
SPIKE_SHARE = 0.012  # of blood pressures: a bad day
ILL_DAYS = 5  # of an infection; one a year, in the cold months
WORN_SHARE = 0.8  # of nights and days
VISIT_DAYS = 91  # from one visit to the clinic to the next


class Taken(NamedTuple):
    """A measurement at a moment, with what was said of it."""

    at: datetime
    measurement: Measurement
    source: Source
    notes: str = ""


@dataclass(frozen=True, slots=True)
class _Day:
    """What a day is like for somebody."""

    date: date
    progress: float
    """Of the year that is told: 0 at its beginning."""
    mood: float
    """Stress and salt, salad and sleep: runs on from day to day, about -1 to 1."""
    cold: float
    """1 in the middle of January, -1 in July."""
    is_ill: bool
    is_weekend: bool

    def at(self, hour: int, minute: int, dice: Random, spread_min: int = 12) -> datetime:
        """About that time in Shanghai, to the second."""
        moment = datetime.combine(self.date, time(hour, minute), SHANGHAI)
        return moment + timedelta(seconds=dice.randint(-60 * spread_min, 60 * spread_min))


def year(persona: Persona, height_cm: float, today: date, dice: Random) -> Iterator[Taken]:
    """From a year ago until the end of today, in no order within a day; never two of a type at one moment."""
    # Offsets of the person: two of one kind are alike, not the same.
    shift, first_visit = dice.gauss(0, 3), dice.randint(8, VISIT_DAYS)
    ill_from = _ill_from(today, dice)
    mood = 0.0
    for ago in range(DAYS, -1, -1):
        on = today - timedelta(days=ago)
        mood = 0.7 * mood + dice.gauss(0, 0.7)
        day = _Day(
            date=on,
            progress=1 - ago / DAYS,
            mood=mood,
            cold=math.cos(2 * math.pi * (on.timetuple().tm_yday - 15) / DAYS),
            is_ill=ill_from <= on < ill_from + timedelta(days=ILL_DAYS),
            is_weekend=on.isoweekday() > 5,
        )
        yield from _pressures(persona, day, shift, dice)
        if ago % VISIT_DAYS == first_visit % VISIT_DAYS:
            yield _at_the_clinic(persona, day, shift, dice)
        if persona.glucose is not None:
            yield from _glucoses(persona.glucose, day, dice)
        yield from _others(persona, height_cm, day, dice)


def _ill_from(today: date, dice: Random) -> date:
    """A day between November and March of the last year."""
    days = [today - timedelta(days=ago) for ago in range(DAYS, ILL_DAYS, -1)]
    return dice.choice([day for day in days if day.month in (11, 12, 1, 2, 3)])


def _pressures(persona: Persona, day: _Day, shift: float, dice: Random) -> Iterator[Taken]:
    source: Source = "manual" if persona.is_old else "device"
    if dice.random() < persona.cuff_share:
        yield _pressure(persona, day, day.at(7, 5, dice), shift + 3, source, dice)
        if persona.is_twice_daily and dice.random() < 0.9:
            yield _pressure(persona, day, day.at(20, 40, dice), shift - 4, source, dice)


def _pressure(persona: Persona, day: _Day, at: datetime, shift: float, source: Source, dice: Random) -> Taken:
    spike = dice.uniform(22, 36) if dice.random() < SPIKE_SHARE else 0.0
    off = shift + SEASON_MMHG * day.cold + 2.5 * day.mood + dice.gauss(0, persona.pressure_spread) + spike
    systolic = round(persona.systolic.at(day.progress) + off)
    diastolic = round(persona.diastolic.at(day.progress) + 0.5 * off + dice.gauss(0, 2.5))
    pulse = round(persona.pulse + 3 * day.mood + (14 if day.is_ill else 0) + dice.gauss(0, 4))
    notes = dice.choice(("昨晚没睡好", "和人吵了一架", "昨晚吃了火锅", "忘了吃药")) if spike else ""
    return Taken(at, Measurement("blood_pressure", systolic, min(diastolic, systolic - 18), pulse), source, notes)


def _at_the_clinic(persona: Persona, day: _Day, shift: float, dice: Random) -> Taken:
    """Higher than at home, as with most people."""
    taken = _pressure(persona, day, day.at(10, 10, dice, 40), shift + 6, "hospital", dice)
    return taken._replace(notes="门诊复查")


def _glucoses(glucose: Glucose, day: _Day, dice: Random) -> Iterator[Taken]:
    if day.date.isoweekday() > glucose.days_a_week:
        return
    fasting = glucose.fasting.at(day.progress) + 0.25 * day.mood + (0.9 if day.is_ill else 0)
    value = max(4.1, fasting + dice.gauss(0, glucose.spread))
    if dice.random() < glucose.low_share:
        low = Measurement("blood_glucose", round(dice.uniform(2.7, 3.8), 1), context="random")
        yield Taken(day.at(15, 40, dice), low, "device", "心慌、出冷汗，吃了三块方糖")
    yield Taken(day.at(6, 50, dice), Measurement("blood_glucose", round(value, 1), context="fasting"), "device")
    if dice.random() < 0.45:
        risen = max(4.4, value + glucose.rise + dice.gauss(0, 1.6 * glucose.spread) + (0.8 if day.is_weekend else 0))
        hour = dice.choice((9, 14, 20))
        after = Measurement("blood_glucose", round(risen, 1), context="after_meal")
        yield Taken(day.at(hour, 10, dice), after, "device")


def _others(persona: Persona, height_cm: float, day: _Day, dice: Random) -> Iterator[Taken]:
    if day.date.isoweekday() == 7:
        kg = persona.bmi.at(day.progress) * (height_cm / 100) ** 2 + 0.5 * day.cold + dice.gauss(0, 0.35)
        yield Taken(day.at(7, 20, dice), Measurement("weight", round(kg, 1)), "device")
    if persona.has_wristband and dice.random() < WORN_SHARE:
        yield from _wristband(persona, day, dice)
    if dice.random() < persona.spo2_share or day.is_ill:
        oxygen = min(99, round(persona.spo2 + dice.gauss(0, 0.7) - (2 if day.is_ill else 0)))
        yield Taken(day.at(7, 30, dice), Measurement("spo2", oxygen), "device")
    if day.is_ill:
        for hour in (8, 14, 21):
            warm = Measurement("temperature", round(dice.gauss(38.0, 0.5), 1))
            yield Taken(day.at(hour, 0, dice), warm, "manual", "感冒" if hour == 8 else "")


def _wristband(persona: Persona, day: _Day, dice: Random) -> Iterator[Taken]:
    resting = round(persona.pulse - 4 + 2 * day.mood + (12 if day.is_ill else 0) + dice.gauss(0, 2.5))
    yield Taken(day.at(5, 30, dice), Measurement("heart_rate", resting, context="resting"), "device")
    usual = persona.steps.at(day.progress) * (1.25 if day.is_weekend else 1) * (1 - 0.12 * day.cold)
    steps = round(usual * (0.25 if day.is_ill else dice.lognormvariate(-0.04, 0.3)))
    yield Taken(day.at(22, 30, dice), Measurement("steps", steps), "device")
    hours = persona.sleep_h + (0.7 if day.is_weekend else 0) - 0.3 * max(0.0, day.mood) + dice.gauss(0, 0.6)
    yield Taken(day.at(6, 20, dice), Measurement("sleep", round(min(11.5, max(2.5, hours)), 1)), "device")
