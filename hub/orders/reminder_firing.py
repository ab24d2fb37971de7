"""Reminding people of appointments when the time has come: the handler of these timers, for the scheduler."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import actions as accounts
from hub.accounts.model import Person
from hub.messaging.posting import Post
from hub.notices.actions import Notices, Telling, notify_all, tell_all
from hub.notices.draft import Draft
from hub.orders import reminder_store as store
from hub.orders.detail import open_location
from hub.orders.reminder import KIND, ROOM, Target, Wishes, target, targets
from hub.orders.reminder_plan import wishes_of
from hub.orders.reminder_store import Hearer, Occasion
from hub.orders.reminder_wording import card_of, entry_of
from hub.platform.clock import rfc3339
from hub.security.sealing import DataKey
from hub.timers.actions import Due
from hub.timers.firing import Done, Firing

BATCH = 100  # what it writes into is locked until its commit: an alert may be for one of them


class _Known(msgspec.Struct, frozen=True):
    """What was read for a batch. `keys`: of the patients, None where it is destroyed."""

    occasions: Mapping[str, Occasion]
    hearers: Mapping[str, Hearer]
    people: Mapping[str, Person]
    keys: Mapping[str, DataKey | None]


class AppointmentReminders:
    """One per scheduler."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, firing: Firing) -> None:
        firing.subscribe(KIND, self._remind, batch=BATCH)

    async def _remind(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> Done:
        """Nothing is locked: who changes an appointment cancels its timers, and waits there for this transaction."""
        known = await self._look(connection, due, now)
        wishes = wishes_of(known.hearers)
        wanted = {key: _wanted(occasion, known, wishes) for key, occasion in known.occasions.items()}
        held = [each for each in due if target(each) in wanted.get(each.subject, ())]
        tellings = [_telling(each, known) for each in held if each.person is not None]
        posts = [_post(each, known.occasions[each.subject]) for each in held if each.person is None]
        outcomes = await notify_all(self._services, connection, tellings, posts, now=now)

        async def tell() -> None:
            tell_all(self._services, outcomes)

        going = {each.id for each in held}
        return Done(void=[each.id for each in due if each.id not in going], tell=[tell])

    async def _look(self, connection: AsyncConnection, due: Sequence[Due], now: datetime) -> _Known:
        """Four statements, however many."""
        occasions = await store.occasions(connection, {each.subject for each in due}, now)
        hearers = await store.hearers(connection, occasions.values())
        people = await accounts.people(connection, hearers)
        keys = await self._services.messaging.sealer.by_ids({each.key_id for each in occasions.values()})
        return _Known(occasions, hearers, people, keys)


def _wanted(occasion: Occasion, known: _Known, wishes: Wishes) -> set[Target]:
    """What is to be said of it now. Of a patient who is erased: nothing more, to nobody."""
    if known.keys[occasion.key_id] is None:
        return set()
    found = targets(occasion, wishes)
    return {each for each in found if each.whom != ROOM or occasion.conversation is not None}


def _telling(due: Due, known: _Known) -> Telling:
    occasion, user = known.occasions[due.subject], target(due).whom
    draft = Draft(
        user=user,
        dedupe_key=_name(due),
        subject=f"appointment:{occasion.id}",
        values={"time": rfc3339(occasion.starts_at)},
        expires_at=due.expires_at,
    )
    people, language = known.people, known.hearers[user].language
    part, patient = occasion.parts[user], people[occasion.patient]
    body = card_of(occasion, part, people[user], patient, _address(occasion, known), language)
    return Telling(code="appointment", draft=draft, body=body)


def _post(due: Due, occasion: Occasion) -> Post:
    assert occasion.conversation is not None
    return Post(conversation=occasion.conversation, body=entry_of(occasion), name=_name(due))


def _name(due: Due) -> str:
    """Of the entry: one for an appointment's revision and offset, ever, in an inbox or a conversation (P10)."""
    return f"reminder-{due.subject}-{due.revision}-{target(due).minutes}"


def _address(occasion: Occasion, known: _Known) -> str:
    """What the client's form says of the place, if it says it in words."""
    key = known.keys[occasion.key_id]
    if key is None or occasion.location is None:
        return ""
    address = open_location(key, occasion.id, occasion.location).get("address")
    return address if isinstance(address, str) else ""
