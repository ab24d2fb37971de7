"""Slots and places: what is offered, what is free, and that no place ever holds two at once."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.directory.model import SHANGHAI, Window
from hub.orders.slot import (
    Held,
    Seat,
    Span,
    check_day,
    day_of,
    free_place,
    free_seats,
    least_busy,
    offering,
    slots,
    whole_day,
    working,
)
from hub.platform.error import Refusal

DAY = datetime(2026, 3, 2, tzinfo=SHANGHAI)
HOUR = timedelta(hours=1)


def at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return DAY.replace(hour=int(hour), minute=int(minute))


def span(start: str, end: str) -> Span:
    return Span(at(start), at(end))


def window(start: str = "09:00", end: str = "12:00", slot: int = 30, capacity: int = 1) -> Window:
    return Window(at(start), at(end), slot, capacity)


def held(start: str, end: str, place: int = 0, provider: str = "甲") -> Held:
    return Held(provider, place, span(start, end))


def times(windows: dict[str, list[Window]], taken: list[Held], minutes: int, now: str = "08:00") -> dict[str, object]:
    found = slots(windows, taken, timedelta(minutes=minutes), at(now))
    return {f"{slot.starts_at:%H:%M}": slot.available or slot.reason for slot in found}


def test_a_service_begins_on_the_steps_of_the_window_while_it_fits() -> None:
    """What is longer than the rest of the window is not offered there."""
    assert times({"甲": [window("09:00", "10:30")]}, [], 45) == {"09:00": True, "09:30": True}
    assert times({"甲": [window("09:00", "10:30")]}, [], 90) == {"09:00": True}
    assert times({"甲": [window("09:00", "10:30")]}, [], 91) == {}


def test_a_booking_takes_what_it_overlaps_and_no_more() -> None:
    """From its beginning until before its end."""
    assert times({"甲": [window("09:00", "11:00")]}, [held("09:30", "10:00")], 30) == {
        "09:00": True,
        "09:30": "slot_full",
        "10:00": True,
        "10:30": True,
    }


def test_a_slot_is_there_once_however_many_offer_it() -> None:
    """Free if one of them is free; of different steps, each has its own."""
    windows = {"甲": [window("09:00", "10:00")], "乙": [window("09:00", "10:00", slot=20)]}

    assert times(windows, [held("09:00", "10:00")], 20) == {
        "09:00": True,
        "09:20": True,
        "09:30": "slot_full",
        "09:40": True,
    }


def test_what_has_begun_is_past_even_if_it_is_full() -> None:
    """The moment of beginning is too late."""
    assert times({"甲": [window("09:00", "10:30")]}, [held("09:00", "09:30")], 30, "09:30") == {
        "09:00": "slot_past",
        "09:30": "slot_past",
        "10:00": True,
    }


def test_a_slot_is_offered_on_its_step_but_somebody_works_at_any_time() -> None:
    """Booking follows the steps; handing over only needs the provider to be there."""
    windows = {"甲": [window(capacity=2)], "乙": [window("13:00", "15:00")]}

    assert offering(windows, span("09:30", "10:30")) == {"甲": 2}
    assert offering(windows, span("09:40", "10:40")) == {}
    assert working(windows, span("09:40", "10:40")) == {"甲": 2}
    assert working(windows, span("11:40", "12:40")) == {}
    utc = Span(at("09:30").astimezone(UTC), at("10:30").astimezone(UTC))
    assert offering(windows, utc) == {"甲": 2}


def test_the_lowest_free_place_is_taken() -> None:
    """Places of others, and of other times, do not count."""
    taken = [held("09:00", "10:00", 0), held("09:00", "10:00", 2), held("10:00", "11:00", 1)]

    assert free_place(3, taken, span("09:00", "10:00")) == 1
    assert free_place(3, taken, span("09:30", "10:30")) is None
    assert free_place(1, taken, span("11:00", "12:00")) == 0
    assert free_seats({"甲": 1, "乙": 1}, taken, span("09:00", "10:00")) == [Seat("乙", 0)]


def test_who_has_least_to_do_comes_first_and_of_equals_one_for_each_person() -> None:
    """Work is spread, for one person always the same way, and a crowd over all that are equal."""
    seats = [Seat("丙", 0), Seat("乙", 0), Seat("甲", 0)]
    busy = [held("09:00", "10:00", provider=each) for each in "甲乙"]
    crowd = [least_busy(seats, [], f"患者{n}") for n in range(100)]

    assert least_busy(seats, busy, "患者").provider == "丙"
    assert least_busy(seats, [], "患者") == least_busy(seats[::-1], [], "患者")
    assert set(crowd) == set(seats)


def test_a_day_is_that_of_shanghai() -> None:
    """Late in the evening in UTC it is tomorrow there."""
    evening = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)

    assert day_of(evening) == date(2026, 3, 2)
    assert whole_day(date(2026, 3, 2)) == Span(evening, evening + timedelta(days=1))
    check_day(date(2026, 3, 2), evening, 60, "date")
    check_day(date(2026, 5, 1), evening, 60, "date")
    for day, reason in ((date(2026, 3, 1), "date_past"), (date(2026, 5, 2), "date_far")):
        with pytest.raises(Refusal) as refused:
            check_day(day, evening, 60, "date")
        assert refused.value.fields == {"date": reason}


steps = st.integers(0, 35)
requests = st.lists(st.tuples(st.sampled_from("甲乙"), steps, st.integers(1, 12)), max_size=60)


@given(requests, st.integers(1, 3), st.integers(1, 3))
def test_no_place_ever_holds_two_at_once(asked: list[tuple[str, int, int]], one: int, other: int) -> None:
    """Whatever is asked for in whatever order: each place is free when it is given, and no place is given needlessly."""
    capacities = {"甲": one, "乙": other}
    given_away: list[Held] = []
    for provider, start, length in asked:
        wanted = Span(DAY + start * timedelta(minutes=5), DAY + (start + length) * timedelta(minutes=5))
        theirs = [each for each in given_away if each.provider == provider]
        place = free_place(capacities[provider], theirs, wanted)
        busy = {each.place for each in theirs if each.span.overlaps(wanted)}
        if place is None:
            assert len(busy) == capacities[provider]
            continue
        assert place == min(set(range(capacities[provider])) - busy)
        given_away.append(Held(provider, place, wanted))

    for provider, capacity in capacities.items():
        for place in range(capacity):
            spans = sorted(
                (each.span for each in given_away if (each.provider, each.place) == (provider, place)),
                key=lambda each: each.starts_at,
            )
            assert all(first.ends_at <= second.starts_at for first, second in pairwise(spans))


@given(st.lists(st.tuples(steps, st.integers(1, 12)), max_size=12), st.integers(5, 90), st.integers(1, 3))
def test_what_is_shown_as_available_can_be_taken(taken: list[tuple[int, int]], minutes: int, capacity: int) -> None:
    """For every slot: available says the same as a free seat of who offers it."""
    windows = {"甲": [window(capacity=capacity)]}
    busy = [
        Held(
            "甲",
            n % capacity,
            Span(at("09:00") + a * timedelta(minutes=5), at("09:00") + (a + b) * timedelta(minutes=5)),
        )
        for n, (a, b) in enumerate(taken)
    ]
    for slot in slots(windows, busy, timedelta(minutes=minutes), at("08:00")):
        wanted = Span(slot.starts_at, slot.starts_at + timedelta(minutes=minutes))
        assert slot.available == bool(free_seats(offering(windows, wanted), busy, wanted))
        assert (slot.reason is None) == slot.available
