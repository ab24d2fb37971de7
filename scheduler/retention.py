"""What is deleted when its time is over, by class of record. What is not here is never deleted by a sweep.

Audit rows, health records, orders and conversations are kept: the law has them kept for years (病历 15, 图文对话 3), and what
a person wants gone goes by destroying their key. See docs/scheduler.md.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from hub.accounts import actions as accounts
from hub.notices import address_store, callback_store
from hub.notices import retention as notices
from hub.platform import outbox
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.settings import Settings
from hub.schedule import actions as schedule
from hub.timers import actions as timers
from hub.webhooks import duty as webhook_duty

TIMERS = 1000  # in one transaction
BATCHES = 50  # of one class in one sweep; the next sweep goes on

Forget = Callable[[], Awaitable[int]]


def forgets(settings: Settings, database: Database, clock: Clock) -> dict[str, Forget]:
    """Class of records → deletes what is too old of it, in small transactions. What is kept for ever is left out."""
    kept = settings.retention
    by_setting = {
        "old notices": (kept.notices_days, partial(in_batches, partial(notices.forget, database, kept.notices_days))),
        "old timers": (
            kept.timers_days,
            partial(in_batches, partial(timers.forget, database, kept.timers_days, TIMERS)),
        ),
        "handled events": (
            kept.events_days,
            partial(in_batches, partial(outbox.forget_handled, database, kept.events_days)),
        ),
        "callbacks of providers": (
            kept.callbacks_days,
            partial(callback_store.forget_callbacks, database, kept.callbacks_days),
        ),
    }

    async def forget_told() -> int:
        return await webhook_duty.forget(database, clock.now(), kept.webhook_log_days)

    async def forget_sign_ins() -> int:
        return await accounts.sweep(database, clock.now())

    return {
        **{name: forget for name, (days, forget) in by_setting.items() if days},
        "told notice events": forget_told,
        "expired rows": forget_sign_ins,
        "gone addresses": partial(address_store.forget, database),
        "gone schedulers": partial(schedule.forget, database),
    }


async def in_batches(forget: Forget) -> int:
    """Batch after batch, until one finds nothing or others should have a turn."""
    forgotten = 0
    for _ in range(BATCHES):
        batch = await forget()
        forgotten += batch
        if not batch:
            break
    return forgotten
