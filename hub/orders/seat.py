"""Taking a free place for somebody: what booking, moving and assigning have in common. In the caller's transaction."""

from collections.abc import Callable, Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.directory import actions as directory
from hub.orders import booking_store
from hub.orders.slot import Seat, Span, Windows, day_of, free_seats, least_busy, whole_day
from hub.platform.error import ErrorCode, Refusal

Rule = Callable[[Windows, Span], Mapping[str, int]]
"""Who could take somebody then, with their capacity: `slot.offering`, or `slot.working`."""


class Outrun(Refusal):
    """Somebody else was faster: the place was free a moment ago. With several providers there may be another."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CONFLICT, "slot_taken", fields={"scheduledTime": "slot_taken"})


def taken() -> Refusal:
    return Refusal(ErrorCode.CONFLICT, "slot_taken", fields={"scheduledTime": "slot_taken"})


async def take_seat(
    connection: AsyncConnection,
    person: str,
    providers: Collection[str],
    span: Span,
    rule: Rule,
    *,
    apart_from: str | None = None,
) -> Seat:
    """A place that stays free until the caller fills it in this transaction, with the least busy of the providers.

    `apart_from`: the appointment that gives its own place up for this one. Raises `Refusal`: 400 if it is no slot of
    anybody, 409 if all are full or the person is engaged; `Outrun` if trying again may help.
    """
    provider = await _likely(connection, person, providers, span, rule, apart_from)
    await booking_store.lock(connection, person, provider)
    if await booking_store.is_engaged(connection, person, span, apart_from=apart_from):
        raise Refusal(ErrorCode.CONFLICT, "appointment_overlaps", fields={"scheduledTime": "appointment_overlaps"})
    held = await booking_store.held(connection, [provider], span, apart_from=apart_from)
    seats = free_seats(await _still(connection, provider, span, rule), held, span)
    if not seats:
        raise Outrun
    return seats[0]


async def _likely(
    connection: AsyncConnection,
    person: str,
    providers: Collection[str],
    span: Span,
    rule: Rule,
    apart_from: str | None,
) -> str:
    """Who has a free place now. A look without any lock: of a crowd that wants what is gone, nobody queues for it."""
    day = day_of(span.starts_at)
    capacities = rule(await directory.working_windows(connection, list(providers), day), span)
    if not capacities:
        raise Refusal(ErrorCode.INVALID, fields={"scheduledTime": "slot_unknown"})
    around = await booking_store.held(connection, capacities, whole_day(day), apart_from=apart_from)
    seats = free_seats(capacities, around, span)
    if not seats:
        raise taken()
    return least_busy(seats, around, person).provider


async def _still(connection: AsyncConnection, provider: str, span: Span, rule: Rule) -> Mapping[str, int]:
    """The provider's capacity; from here on the working hours stay as they are until the booking is there."""
    await directory.hold_schedule(connection, provider)
    return rule(await directory.working_windows(connection, [provider], day_of(span.starts_at)), span)
