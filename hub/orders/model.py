"""Orders and appointments without I/O: what they are, and the moves that they may make (the contract's table)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import msgspec

from hub.platform.error import ErrorCode, Refusal

STAFF_ROLES = frozenset({"staff", "admin"})
PROVIDER_ROLES = frozenset({"companion", "doctor"})


class State(StrEnum):
    """Of an order."""

    PENDING = "pending"
    PAID = "paid"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class Trigger(StrEnum):
    """What moves an order."""

    PAY_SUCCESS = "pay_success"
    PAY_FAILED = "pay_failed"
    PAYMENT_TIMEOUT = "payment_timeout"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    START_SERVICE = "start_service"
    COMPLETE_SERVICE = "complete_service"
    REFUND = "refund"


MOVES: Mapping[tuple[State, Trigger], State] = MappingProxyType(
    {
        (State.PENDING, Trigger.PAY_SUCCESS): State.PAID,
        (State.PENDING, Trigger.PAY_FAILED): State.CANCELLED,
        (State.PENDING, Trigger.CANCEL): State.CANCELLED,
        (State.PENDING, Trigger.PAYMENT_TIMEOUT): State.CANCELLED,
        (State.PAID, Trigger.CONFIRM): State.CONFIRMED,
        (State.PAID, Trigger.CANCEL): State.CANCELLED,
        (State.CONFIRMED, Trigger.START_SERVICE): State.IN_PROGRESS,
        (State.IN_PROGRESS, Trigger.COMPLETE_SERVICE): State.COMPLETED,
        (State.COMPLETED, Trigger.REFUND): State.REFUNDED,
    }
)


class AppointmentState(StrEnum):
    PENDING = "pending"
    SCHEDULED = "scheduled"
    CONFIRMED = "confirmed"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


class Attendance(StrEnum):
    """What the patient, or who acts for them, says about coming."""

    CONFIRMED = "confirmed"
    DECLINED = "declined"


# An appointment follows its order; what is missing here leaves it as it is.
FOLLOWS: Mapping[State, AppointmentState] = MappingProxyType(
    {
        State.PAID: AppointmentState.SCHEDULED,
        State.CONFIRMED: AppointmentState.CONFIRMED,
        State.IN_PROGRESS: AppointmentState.IN_PROGRESS,
        State.COMPLETED: AppointmentState.COMPLETED,
        State.CANCELLED: AppointmentState.CANCELLED,
    }
)
# Where an appointment stays, whatever becomes of its order.
FINAL = (AppointmentState.COMPLETED, AppointmentState.CANCELLED, AppointmentState.NO_SHOW)
# While its time may still change.
MOVABLE = (AppointmentState.PENDING, AppointmentState.SCHEDULED, AppointmentState.CONFIRMED)
# While it may turn out that nobody comes.
MISSABLE = (AppointmentState.SCHEDULED, AppointmentState.CONFIRMED)
# While people are reminded of it, and may say whether they come.
REMINDED = (AppointmentState.SCHEDULED, AppointmentState.CONFIRMED)
# While somebody else may take an order over.
ASSIGNABLE = (State.PENDING, State.PAID, State.CONFIRMED, State.IN_PROGRESS)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A row as stored: what tells something about health is sealed under the key of `user_id`."""

    id: str
    order_no: str
    user_id: str
    """The person whom it is for."""
    actor_id: str
    """Who ordered."""
    service_id: str
    provider: str | None
    coordinator: str | None
    quantity: int
    amount: Decimal
    state: State
    details: bytes
    reason: bytes | None
    key_id: str
    client_digest: bytes | None
    conversation: str | None
    expires_at: datetime
    """Until when it may be paid."""
    paid_at: datetime | None
    confirmed_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    refunded_at: datetime | None
    closes_at: datetime | None
    closed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Appointment(msgspec.Struct, frozen=True, kw_only=True):
    """A row as stored; `notes` and `location` are sealed under the key of `user_id`."""

    id: str
    order_id: str
    user_id: str
    staff_id: str
    doctor_id: str | None
    hospital_id: str | None
    state: AppointmentState
    starts_at: datetime
    ends_at: datetime
    location: bytes | None
    notes: bytes | None
    key_id: str
    revision: int
    attendance: Attendance | None
    """What was answered to this revision."""
    attendance_at: datetime | None
    attendance_by: str | None
    attendance_answers: int
    """How many there were, to this revision."""
    created_at: datetime
    updated_at: datetime


# The column that keeps when an order came to a state.
STAMPS: Mapping[State, str] = MappingProxyType(
    {
        State.PAID: "paid_at",
        State.CONFIRMED: "confirmed_at",
        State.IN_PROGRESS: "started_at",
        State.COMPLETED: "completed_at",
        State.CANCELLED: "cancelled_at",
        State.REFUNDED: "refunded_at",
    }
)


def move(state: State, trigger: Trigger) -> State:
    """The state after `trigger`. Raises `Refusal`, naming the state, for a move that the table does not have."""
    after = MOVES.get((state, trigger))
    if after is None:
        raise conflict(state)
    return after


def conflict(state: State | AppointmentState) -> Refusal:
    """This is not possible in the state that an order or an appointment is in."""
    return Refusal(ErrorCode.CONFLICT, f"order_is_{state}", fields={"status": state.value})


def took_money(before: State, after: State) -> bool:
    """Whether this move gives back what was paid."""
    return (before, after) in ((State.PAID, State.CANCELLED), (State.COMPLETED, State.REFUNDED))
