"""The health profile: what it holds, what is consistent, what of it whom is shown. Pure."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Literal

import msgspec

from hub.care.model import Circumstances
from hub.platform.error import ErrorCode, Refusal
from hub.security.masking import mask_phone

BloodType = Literal["A", "B", "AB", "O"]

HEIGHT_CM = (30, 250)
WEIGHT_KG = (0.5, 500)

# A mobile or a landline number; children and old people are often reached at the latter.
_PHONE = re.compile(r"1[3-9][0-9]{9}|0[0-9]{2,3}-?[0-9]{7,8}")
# Tags with one of these words tell a companion how somebody moves, hears, sees or understands; no other tag is their business.
_SERVICE_WORDS = (
    *("轮椅", "行动", "行走", "拐杖", "助行", "搀扶", "卧床", "跌倒", "偏瘫", "截肢"),
    *("听力", "听障", "失聪", "视力", "视障", "失明", "语言", "失语", "手语", "方言", "认知", "走失"),
    *("wheelchair", "mobility", "walking", "fall", "hearing", "vision", "blind", "deaf", "speech"),
)
# What a chronic disease is not, though its entry names diabetes.
_NO_DIABETES = (
    "前期",
    "家族",
    "风险",
    "无糖尿病",
    "否认",
    "妊娠",
    "尿崩",
    "prediabetes",
    "pre-diabetes",
    "gestational",
    "insipidus",
)


class Sight(Enum):
    """How much of a profile somebody sees."""

    FULL = "full"  # oneself, or who may act for the person
    CARE = "care"  # a doctor: everything but the phone number of somebody who is not the patient
    SERVICE = "service"  # a companion or staff member while the service lasts: what could matter on the way


class EmergencyContact(msgspec.Struct, frozen=True):
    name: str
    phone: str
    relation: str


class Profile(msgspec.Struct, frozen=True):
    """None: not known. An empty list: nothing is named."""

    blood_type: BloodType | None = None
    height: float | None = None  # cm
    weight: float | None = None  # kg
    has_allergy: bool | None = None
    allergy_info: str | None = None
    chronic_diseases: Sequence[str] | None = ()
    family_history: Sequence[str] | None = ()
    emergency_contact: EmergencyContact | None = None
    tags: Sequence[str] = ()


def checked(profile: Profile) -> Profile:
    """The profile, or a refusal naming the field."""
    if profile.has_allergy is False and profile.allergy_info:
        raise Refusal(ErrorCode.INVALID, fields={"allergyInfo": "profile_allergy"})
    contact = profile.emergency_contact
    if contact is not None and not _PHONE.fullmatch(contact.phone):
        raise Refusal(ErrorCode.INVALID, fields={"emergencyContact.phone": "contact_phone_invalid"})
    return profile


def seen(profile: Profile, sight: Sight) -> Profile:
    """What of it is shown."""
    contact = profile.emergency_contact
    match sight:
        case Sight.FULL:
            return profile
        case Sight.CARE:
            masked = contact and msgspec.structs.replace(contact, phone=mask_phone(contact.phone))
            return msgspec.structs.replace(profile, emergency_contact=masked)
        case Sight.SERVICE:
            return Profile(
                has_allergy=profile.has_allergy,
                allergy_info=profile.allergy_info,
                chronic_diseases=None,
                family_history=None,
                emergency_contact=contact,
                tags=[tag for tag in profile.tags if _is_for_service(tag)],
            )


def circumstances(profile: Profile) -> Circumstances:
    """What of it readings are judged by."""
    return Circumstances(profile.height, any(map(_is_diabetes, profile.chronic_diseases or ())))


def _is_for_service(tag: str) -> bool:
    return any(word in tag.lower() for word in _SERVICE_WORDS)


def _is_diabetes(disease: str) -> bool:
    name = disease.lower()
    return ("糖尿病" in name or "diabetes" in name) and not any(word in name for word in _NO_DIABETES)
