"""The demo's patients as they live: what they have, what they measure, and where their numbers lie. Pure data."""

from dataclasses import dataclass
from typing import NamedTuple


class Course(NamedTuple):
    """A quantity at the beginning and at the end of the year."""

    then: float
    now: float

    def at(self, progress: float) -> float:
        return self.then + (self.now - self.then) * progress


USUAL_BMI = Course(22.3, 22.3)
USUAL_STEPS = Course(7600, 7800)


@dataclass(frozen=True, slots=True)
class Glucose:
    """How somebody with a meter measures: fasting in the morning on so many days a week, after a meal on some of them."""

    fasting: Course
    rise: float
    """From before a meal to two hours after it began."""
    days_a_week: int
    spread: float = 0.7
    low_share: float = 0.0
    """How often it falls too low, with insulin or tablets that can do that."""


@dataclass(frozen=True, slots=True)
class Persona:
    name: str
    patients: tuple[int, ...]
    systolic: Course
    diastolic: Course
    cuff_share: float
    """On how many mornings the blood pressure is taken."""
    diseases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    is_twice_daily: bool = False
    pressure_spread: float = 5.0
    glucose: Glucose | None = None
    bmi: Course = USUAL_BMI
    pulse: float = 68
    has_wristband: bool = True
    steps: Course = USUAL_STEPS
    sleep_h: float = 7.3
    spo2: float = 97.6
    spo2_share: float = 0.1
    is_old: bool = False


PERSONAS = (
    Persona(
        "健康",
        (6, 7, 10, 11, 15, 18, 22, 26, 31, 36, 41, 46),
        systolic=Course(115, 115),
        diastolic=Course(73, 73),
        cuff_share=0.3,
        pressure_spread=4.5,
    ),
    Persona(
        "孕期",
        (12,),
        systolic=Course(108, 116),
        diastolic=Course(66, 72),
        cuff_share=0.7,
        bmi=Course(21.4, 24.6),
        pulse=80,
        tags=("孕期",),
    ),
    Persona(
        "术后康复",
        (2,),
        systolic=Course(124, 122),
        diastolic=Course(76, 75),
        cuff_share=0.5,
        bmi=Course(24.6, 23.9),
        steps=Course(6200, 2400),
        tags=("行动不便", "拐杖"),
    ),
    Persona(
        "高血压，控制中",
        (5, 9, 13, 17, 21, 25, 29, 33, 37),
        systolic=Course(152, 129),
        diastolic=Course(96, 82),
        cuff_share=0.95,
        is_twice_daily=True,
        diseases=("高血压",),
        tags=("规律服药",),
        bmi=Course(25.6, 25.0),
        has_wristband=False,
    ),
    Persona(
        "高血压，控制不佳",
        (16, 24, 32, 40),
        systolic=Course(151, 155),
        diastolic=Course(94, 97),
        cuff_share=0.6,
        is_twice_daily=True,
        pressure_spread=8.0,
        diseases=("高血压", "高脂血症"),
        tags=("吸烟", "常忘服药"),
        bmi=Course(26.8, 27.3),
        pulse=79,
        steps=Course(4300, 3900),
        sleep_h=6.3,
    ),
    Persona(
        "2 型糖尿病，好转",
        (1, 3, 19, 27, 35, 43),
        systolic=Course(128, 125),
        diastolic=Course(79, 77),
        cuff_share=0.7,
        glucose=Glucose(Course(8.3, 6.5), rise=2.6, days_a_week=7, spread=0.6, low_share=0.004),
        diseases=("2型糖尿病",),
        tags=("控糖小组",),
        bmi=Course(26.4, 24.9),
        steps=Course(5600, 8600),
    ),
    Persona(
        "2 型糖尿病合并高血压，控制不佳",
        (4, 20, 28, 44),
        systolic=Course(146, 143),
        diastolic=Course(88, 87),
        cuff_share=0.9,
        pressure_spread=7.0,
        glucose=Glucose(Course(8.6, 8.9), rise=4.1, days_a_week=5, spread=1.4, low_share=0.025),
        diseases=("2型糖尿病", "高血压"),
        tags=("胰岛素",),
        bmi=Course(27.4, 27.8),
        pulse=77,
        steps=Course(4200, 4000),
        sleep_h=6.5,
    ),
    Persona(
        "肥胖，减重中",
        (14, 23, 30, 39, 47),
        systolic=Course(136, 129),
        diastolic=Course(86, 81),
        cuff_share=0.4,
        glucose=Glucose(Course(6.2, 5.8), rise=1.9, days_a_week=3, spread=0.4),
        diseases=("肥胖症", "脂肪肝"),
        tags=("减重计划",),
        bmi=Course(31.2, 28.4),
        pulse=76,
        steps=Course(4600, 9300),
        sleep_h=6.6,
    ),
    Persona(
        "睡眠差",
        (34, 42, 48, 49),
        systolic=Course(124, 126),
        diastolic=Course(80, 81),
        cuff_share=0.3,
        diseases=("失眠症",),
        tags=("夜班",),
        pulse=75,
        steps=Course(6100, 5800),
        sleep_h=5.2,
    ),
    Persona(
        "老年",
        (8, 38, 45),
        systolic=Course(139, 134),
        diastolic=Course(72, 70),
        cuff_share=0.97,
        is_twice_daily=True,
        pressure_spread=8.0,
        diseases=("高血压", "骨质疏松"),
        tags=("听力下降", "行走需搀扶"),
        bmi=Course(21.8, 21.3),
        pulse=70,
        has_wristband=False,
        spo2=95.9,
        spo2_share=0.8,
        is_old=True,
    ),
    Persona(
        "慢阻肺",
        (50,),
        systolic=Course(134, 132),
        diastolic=Course(78, 77),
        cuff_share=0.8,
        diseases=("慢性阻塞性肺疾病",),
        tags=("戒烟中", "家庭氧疗"),
        bmi=Course(20.6, 20.1),
        pulse=84,
        has_wristband=False,
        spo2=93.4,
        spo2_share=1.0,
        is_old=True,
    ),
)


def persona_of(patient: int) -> Persona:
    return next(each for each in PERSONAS if patient in each.patients)
