"""Who of the demo may act for whom, and what people agreed to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts.consent import CARE_SHARING, HEALTH_DATA, MARKETING, PURPOSES, Code
from hub.accounts.relation import Kind, State
from hub.demo.cast import CAST, id_of

_RELATION = text("""
INSERT INTO user_relations (id, person_id, actor_id, kind, state, asked_by, asked_at, answered_at, expires_at, ended_at)
VALUES (:id, :person, :actor, :kind, :state, :asked_by, :asked_at, :answered_at, :expires_at, :ended_at)
""")
_CONSENT = text("""
INSERT INTO consents (id, user_id, purpose, version, actor_id, given_at, withdrawn_at)
VALUES (:id, :user, :purpose, :version, :user, :given_at, :withdrawn_at)
""")

Values = dict[str, Any]  # Any: the columns of a row


@dataclass(frozen=True, slots=True)
class Tie:
    """`actor` may act for `person`, or is asked whether. Days are counted back from today, `expires` ahead."""

    person: str
    actor: str
    kind: Kind
    state: State
    asked_by: str
    asked: int
    ended: int | None = None
    expires: int | None = None


TIES = (
    Tie("p8", "p7", "family", "active", "p7", asked=210),  # whose mother has the check-up of `order-7`
    Tie("p2", "p26", "family", "active", "p2", asked=48),  # the daughter who is told how the dressing went
    Tie("p38", "p22", "family", "active", "p22", asked=160),
    Tie("p45", "p31", "caregiver", "active", "p45", asked=20, expires=70),
    Tie("p14", "p23", "family", "active", "p14", asked=90),
    Tie("p1", "p6", "family", "asked", "p1", asked=1),  # she has not answered yet
    Tie("p20", "p41", "family", "declined", "p41", asked=33),
    Tie("p29", "p46", "caregiver", "ended", "p29", asked=300, ended=120),
)


async def add_relations(connection: AsyncConnection, people: Mapping[str, str], now: datetime) -> int:
    """The answer is how many."""
    await connection.execute(_RELATION, [_relation(tie, people, now) for tie in TIES])
    return len(TIES)


async def add_consents(connection: AsyncConnection, people: Mapping[str, str], now: datetime) -> None:
    """Everybody lets the hub keep their data and the doctor read it during care, some have taken something back."""
    rows = [row for number in range(1, CAST["patient"][1] + 1) for row in _consents(number, people, now)]
    await connection.execute(_CONSENT, rows)


def _relation(tie: Tie, people: Mapping[str, str], now: datetime) -> Values:
    asked_at = now - timedelta(days=tie.asked)
    return {
        "id": id_of("relation", tie.person, tie.actor),
        "person": people[tie.person],
        "actor": people[tie.actor],
        "kind": tie.kind,
        "state": tie.state,
        "asked_by": people[tie.asked_by],
        "asked_at": asked_at,
        "answered_at": None if tie.state == "asked" else asked_at + timedelta(hours=3),
        "expires_at": None if tie.expires is None else now + timedelta(days=tie.expires),
        "ended_at": None if tie.ended is None else now - timedelta(days=tie.ended),
    }


def _consents(number: int, people: Mapping[str, str], now: datetime) -> Iterator[Values]:
    given_at = now - timedelta(days=366 + number)  # before the first of the readings
    yield _consent(number, HEALTH_DATA, people, given_at, None)
    yield _consent(number, CARE_SHARING, people, given_at, now - timedelta(days=9) if number == 40 else None)
    if number % 3 == 0:
        yield _consent(number, MARKETING, people, given_at, now - timedelta(days=30) if number % 2 == 0 else None)


def _consent(
    number: int, purpose: Code, people: Mapping[str, str], given_at: datetime, withdrawn_at: datetime | None
) -> Values:
    return {
        "id": id_of("consent", str(number), purpose),
        "user": people[f"p{number}"],
        "purpose": purpose,
        "version": PURPOSES[purpose].version,
        "given_at": given_at,
        "withdrawn_at": withdrawn_at,
    }
