"""What a reminder says: to each in their words and language, and to all of them in the conversation. No I/O."""

from datetime import datetime

from hub.accounts.model import Person
from hub.directory.model import SHANGHAI
from hub.messaging.model import CardBody, SystemBody
from hub.orders.reminder import Part
from hub.orders.reminder_store import Occasion
from hub.platform.text import Language, text
from hub.security.masking import mask_name

EVENT = "appointment_reminder"


def card_of(
    occasion: Occasion, part: Part, hearer: Person, patient: Person, address: str, language: Language
) -> CardBody:
    """For the inbox of one of them.

    Others read the patient's name masked, and only the patient an address: what is sealed with the key of somebody else
    would outlive the patient's. The appointment, to which it leads, shows them while they are needed.
    """
    key = part.value if part is not Part.PROVIDER else "doctor" if hearer.role == "doctor" else "companion"
    place = [occasion.hospital, address if part is Part.PATIENT else ""]
    what = " · ".join(each for each in (occasion.service, time_of(occasion.starts_at, language), *place) if each)
    name = patient.name if part is Part.PATIENT else mask_name(patient.name)
    return CardBody(
        card="appointment",
        id=occasion.id,
        title=text(f"reminder_{key}_title", language, name=name),
        summary=text(f"reminder_{key}", language, what=what),
    )


def entry_of(occasion: Occasion) -> SystemBody:
    """For the conversation: what people are bothered for comes from their inboxes, so this is none of its cards."""
    return SystemBody(event=EVENT, note=f"{occasion.service} · {time_of(occasion.starts_at, 'zh')}")


def time_of(at: datetime, language: Language) -> str:
    """On the wall clock of China, where it takes place."""
    local = at.astimezone(SHANGHAI)
    if language == "zh":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local:%Y-%m-%d %H:%M} (Beijing time)"
