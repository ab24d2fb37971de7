"""What an order keeps sealed under the key of its person (P12): contact, what the service needs to know, notes, reasons."""

from typing import Any

import msgspec

from hub.orders.model import Appointment, Order
from hub.security.sealing import DataKey


class Contact(msgspec.Struct, frozen=True):
    name: str
    phone: str


class Details(msgspec.Struct, frozen=True):
    contact: Contact
    service_info: dict[str, Any]  # Any: the client's own form, bounded when it came in


class Remarks(msgspec.Struct, frozen=True):
    """What an appointment keeps sealed."""

    notes: str = ""
    location: dict[str, Any] | None = None  # Any: as above


def seal_details(key: DataKey, order_id: str, details: Details) -> bytes:
    return key.seal(msgspec.json.encode(details), _context(order_id, "details"))


def open_details(key: DataKey, order: Order) -> Details:
    return msgspec.json.decode(key.open(order.details, _context(order.id, "details")), type=Details)


def seal_reason(key: DataKey, order_id: str, reason: str) -> bytes | None:
    return key.seal(reason.encode(), _context(order_id, "reason")) if reason else None


def open_reason(key: DataKey, order: Order) -> str:
    return key.open(order.reason, _context(order.id, "reason")).decode() if order.reason is not None else ""


def seal_remarks(key: DataKey, appointment_id: str, remarks: Remarks) -> dict[str, bytes | None]:
    """The sealed columns of an appointment."""
    location = None if remarks.location is None else msgspec.json.encode(remarks.location)
    return {
        "notes": key.seal(remarks.notes.encode(), _context(appointment_id, "notes")) if remarks.notes else None,
        "location": None if location is None else key.seal(location, _context(appointment_id, "location")),
    }


def open_remarks(key: DataKey, kept: Appointment) -> Remarks:
    notes = "" if kept.notes is None else key.open(kept.notes, _context(kept.id, "notes")).decode()
    if kept.location is None:
        return Remarks(notes)
    return Remarks(notes, open_location(key, kept.id, kept.location))


def open_location(key: DataKey, appointment_id: str, location: bytes) -> dict[str, Any]:  # Any: as above
    return msgspec.json.decode(key.open(location, _context(appointment_id, "location")), type=dict[str, Any])


def _context(row: str, what: str) -> bytes:
    return f"order|{row}|{what}".encode()
