"""What fires at its time: the kinds of timers, each with the area that handles it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.alerts.firing import AlertSteps
from hub.care.occurrence_firing import PlanTimers
from hub.notices.actions import Notices
from hub.notices.class_book import ClassBook
from hub.orders.reminder_firing import AppointmentReminders
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.settings import Settings
from hub.realtime.herald import open_herald
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer
from hub.timers.firing import Firing


@asynccontextmanager
async def open_firing(settings: Settings, database: Database, keyring: Keyring, clock: Clock) -> AsyncIterator[Firing]:
    """With what the handlers stand on."""
    sealer = Sealer(keyring, database, clock)
    async with open_herald(settings, database, sealer, clock) as herald:
        notices = Notices(herald.messaging, ClassBook(database, clock), clock, settings.notices, herald.bell.note)
        yield build_firing(settings, database, sealer, notices)


def build_firing(settings: Settings, database: Database, sealer: Sealer, notices: Notices) -> Firing:
    """Every kind of timer and its handler."""
    firing = Firing(database)
    AppointmentReminders(notices).subscribe(firing)
    PlanTimers(sealer, notices).subscribe(firing)
    AlertSteps(notices).subscribe(firing)
    return firing
