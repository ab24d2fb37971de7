"""HTTP of the health profile. Takes the dependencies `principal` and `health_profiles`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.api import NO_STORE
from hub.care.indicator import bmi
from hub.care.profile import HEIGHT_CM, WEIGHT_KG, BloodType, EmergencyContact, Profile
from hub.care.profile_actions import ME, HealthProfiles
from hub.platform.http import FAILURES, Answer, answer
from hub.security.token import Principal

# Sealed columns would keep U+0000, but nothing that people write has one, and other stores refuse it.
_NO_NUL = r"^[^\x00]*$"
Word = Annotated[str, Meta(min_length=1, max_length=100, pattern=_NO_NUL)]
Tag = Annotated[str, Meta(min_length=1, max_length=30, pattern=_NO_NUL)]
Words = Annotated[list[Word], Meta(max_length=50)]


class Inbound(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; what is not named here is refused."""


class ContactBody(Inbound, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=50, pattern=_NO_NUL)]
    phone: Annotated[str, Meta(max_length=20)]
    relation: Annotated[str, Meta(min_length=1, max_length=20, pattern=_NO_NUL)]


class ProfileBody(Inbound, frozen=True):
    blood_type: BloodType | None = None
    height: Annotated[float, Meta(ge=HEIGHT_CM[0], le=HEIGHT_CM[1])] | None = None
    weight: Annotated[float, Meta(ge=WEIGHT_KG[0], le=WEIGHT_KG[1])] | None = None
    has_allergy: bool | None = None
    allergy_info: Annotated[str, Meta(max_length=500, pattern=_NO_NUL)] | None = None
    chronic_diseases: Words | None = None
    family_history: Words | None = None
    emergency_contact: ContactBody | None = None


class TagsBody(Inbound, frozen=True):
    tags: Annotated[list[Tag], Meta(max_length=50)]


class ContactView(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    phone: str
    relation: str


class ProfileView(msgspec.Struct, frozen=True, rename="camel"):
    blood_type: BloodType | None
    height: float | None
    weight: float | None
    bmi: float | None
    has_allergy: bool | None
    allergy_info: str | None
    chronic_diseases: Sequence[str] | None
    family_history: Sequence[str] | None
    emergency_contact: ContactView | None
    tags: Sequence[str]


# `/users/me` is a path of its own, so the router does not take its `me` for a person.
PROFILE = ["/users/{person:str}/health-profile", "/users/me/health-profile"]
TAGS = ["/users/{person:str}/health-tags", "/users/me/health-tags"]


@get(PROFILE, responses=FAILURES, cache_control=NO_STORE)
async def show_profile(
    principal: NamedDependency[Principal], health_profiles: NamedDependency[HealthProfiles], person: FromPath[str] = ME
) -> Answer[ProfileView]:
    """What is known of somebody's health; `me` is oneself. Who has no part in all of it sees the rest as null."""
    return answer(_view(await health_profiles.show(principal, person)))


@put(PROFILE, responses=FAILURES)
async def replace_profile(
    data: JSONBody[ProfileBody],
    principal: NamedDependency[Principal],
    health_profiles: NamedDependency[HealthProfiles],
    person: FromPath[str] = ME,
) -> Answer[ProfileView]:
    """Replace the profile: what is left out is unknown from now on. Tags stay."""
    return answer(_view(await health_profiles.replace(principal, person, _profile(data))))


@put(TAGS, responses=FAILURES)
async def replace_tags(
    data: JSONBody[TagsBody],
    principal: NamedDependency[Principal],
    health_profiles: NamedDependency[HealthProfiles],
    person: FromPath[str] = ME,
) -> Answer[None]:
    """Replace the tags of a profile."""
    await health_profiles.tag(principal, person, data.tags)
    return answer(None)


handlers: list[ControllerRouterHandler] = [show_profile, replace_profile, replace_tags]


def _profile(body: ProfileBody) -> Profile:
    contact = body.emergency_contact
    return Profile(
        blood_type=body.blood_type,
        height=body.height,
        weight=body.weight,
        has_allergy=body.has_allergy,
        allergy_info=body.allergy_info,
        chronic_diseases=body.chronic_diseases or (),
        family_history=body.family_history or (),
        emergency_contact=None if contact is None else EmergencyContact(contact.name, contact.phone, contact.relation),
    )


def _view(profile: Profile) -> ProfileView:
    contact = profile.emergency_contact
    return ProfileView(
        blood_type=profile.blood_type,
        height=profile.height,
        weight=profile.weight,
        bmi=bmi(profile.weight, profile.height),
        has_allergy=profile.has_allergy,
        allergy_info=profile.allergy_info,
        chronic_diseases=profile.chronic_diseases,
        family_history=profile.family_history,
        emergency_contact=None if contact is None else ContactView(contact.name, contact.phone, contact.relation),
        tags=profile.tags,
    )
