"""The profile: what contradicts itself is refused, and each viewer gets what their part needs."""

import pytest

from hub.care.profile import EmergencyContact, Profile, Sight, checked, circumstances, seen
from hub.platform.error import Refusal

PROFILE = Profile(
    blood_type="AB",
    height=160,
    weight=55.5,
    has_allergy=True,
    allergy_info="青霉素",
    chronic_diseases=["2型糖尿病", "高血压"],
    family_history=["脑卒中"],
    emergency_contact=EmergencyContact("王小明", "13800008000", "儿子"),
    tags=["需要轮椅", "高血压随访", "听力下降", "Wheelchair"],
)


def test_full_sight_is_everything() -> None:
    """Oneself, and who may act for the person."""
    assert seen(PROFILE, Sight.FULL) == PROFILE


def test_doctor_sees_everything_but_the_number_of_the_relative() -> None:
    """The relative is not the patient."""
    found = seen(PROFILE, Sight.CARE)

    assert found.emergency_contact == EmergencyContact("王小明", "138****8000", "儿子")
    assert (found.chronic_diseases, found.tags) == (PROFILE.chronic_diseases, PROFILE.tags)
    assert seen(Profile(), Sight.CARE) == Profile()


def test_companion_sees_what_the_way_needs() -> None:
    """Allergies, whom to call, and how somebody moves and hears; no disease, no measure."""
    found = seen(PROFILE, Sight.SERVICE)

    assert found == Profile(
        has_allergy=True,
        allergy_info="青霉素",
        chronic_diseases=None,
        family_history=None,
        emergency_contact=PROFILE.emergency_contact,
        tags=["需要轮椅", "听力下降", "Wheelchair"],
    )


def test_allergy_must_not_contradict_itself() -> None:
    """None there, and yet described."""
    with pytest.raises(Refusal) as refused:
        checked(Profile(has_allergy=False, allergy_info="青霉素"))
    assert list(refused.value.fields) == ["allergyInfo"]
    for fine in (Profile(has_allergy=False, allergy_info=""), Profile(has_allergy=True), Profile(allergy_info="不详")):
        assert checked(fine) == fine


@pytest.mark.parametrize(
    ("phone", "accepted"),
    [
        ("13800008000", True),
        ("010-12345678", True),
        ("07551234567", True),
        ("12800008000", False),
        ("１３８00008000", False),
        ("13800008000\n", False),
        ("138****8000", False),
        ("", False),
    ],
)
def test_emergency_contact_can_be_called(phone: str, accepted: bool) -> None:
    """A mobile or a landline number; a masked one that comes back is none."""
    profile = Profile(emergency_contact=EmergencyContact("王小明", phone, "儿子"))
    if accepted:
        assert checked(profile) == profile
        return
    with pytest.raises(Refusal) as refused:
        checked(profile)
    assert list(refused.value.fields) == ["emergencyContact.phone"]


@pytest.mark.parametrize(
    ("diseases", "diabetic"),
    [
        (["2型糖尿病"], True),
        (["高血压", "糖尿病肾病"], True),
        (["Type 2 Diabetes, depression"], True),
        (["糖尿病前期"], False),
        (["妊娠糖尿病"], False),
        (["无糖尿病"], False),
        (["prediabetes"], False),
        (["高血压"], False),
        ([], False),
        (None, False),
    ],
)
def test_diabetes_is_recognised_by_its_name(diseases: list[str] | None, diabetic: bool) -> None:
    """So that glucose is judged by the targets of treatment, and not for who only might get it."""
    assert circumstances(Profile(chronic_diseases=diseases, height=160)).diabetic is diabetic
    assert circumstances(Profile(chronic_diseases=diseases, height=160)).height_cm == 160
