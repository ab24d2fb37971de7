"""The limits that readings are judged by: data, each row with where it is published. Changing one is a medical decision.

What the sources say was checked against public copies and reports of them, not against the printed originals. Rows of `HUB`
have no published source: they are this platform's own, and say so wherever they are given as a reason.
"""

from collections.abc import Mapping
from typing import NamedTuple

from hub.care.model import Level, RecordType, RiskLevel

# Keys of the text catalogue, which has their full names.
HYPERTENSION = "guideline_hypertension_2024"  # 中国高血压防治指南（2024年修订版）
DIABETES = "guideline_diabetes_2024"  # 中国糖尿病防治指南（2024版）
PUBLIC_HEALTH = "guideline_public_health_2017"  # 国家基本公共卫生服务规范（第三版）: what must be referred at once
NEWS2 = "guideline_news2_2017"  # Royal College of Physicians, National Early Warning Score 2, December 2017
COVID = "guideline_covid_2023"  # 新型冠状病毒感染诊疗方案（试行第十版）: saturation at rest of 93 % or less is severe
WEIGHT = "guideline_weight_2013"  # WS/T 428—2013 成人体重判定; repeated in 体重管理指导原则（2024年版）
HEALTHY_CHINA = "guideline_healthy_china_2019"  # 健康中国行动（2019—2030年）
DIAGNOSTICS = "guideline_diagnostics"  # 诊断学, the textbook of Chinese medical schools; edition not checked
FIRST_AID = "guideline_first_aid_2024"  # American Heart Association and Red Cross, first aid, 2024: hypothermia
HUB = "guideline_hub"

LOWEST = float("-inf")


class Band(NamedTuple):
    """From `at_least` to the next band. Bands before the normal one are reached by falling below the next."""

    at_least: float
    level: Level
    risk: RiskLevel
    finding: str
    guideline: str


Bands = tuple[Band, ...]

SYSTOLIC: Bands = (
    Band(LOWEST, "very_low", "critical", "bp_very_low", HUB),  # below 80; NEWS2 gives 90 and less its highest score
    Band(80, "low", "medium", "bp_low", DIAGNOSTICS),  # below 90/60
    Band(90, "normal", "low", "bp_normal", HYPERTENSION),
    Band(120, "elevated", "low", "bp_high_normal", HYPERTENSION),
    Band(140, "high", "medium", "bp_grade_1", HYPERTENSION),
    Band(160, "high", "high", "bp_grade_2", HYPERTENSION),
    Band(180, "very_high", "critical", "bp_grade_3", PUBLIC_HEALTH),  # grade 3, which that standard refers at once
)
DIASTOLIC: Bands = (
    Band(LOWEST, "low", "medium", "bp_low", DIAGNOSTICS),
    Band(60, "normal", "low", "bp_normal", HYPERTENSION),
    Band(80, "elevated", "low", "bp_high_normal", HYPERTENSION),
    Band(90, "high", "medium", "bp_grade_1", HYPERTENSION),
    Band(100, "high", "high", "bp_grade_2", HYPERTENSION),
    Band(110, "very_high", "critical", "bp_grade_3", PUBLIC_HEALTH),
)
# Isolated systolic hypertension: the one at or above, the other below its limit; and the reverse.
HYPERTENSION_SYSTOLIC = 140
HYPERTENSION_DIASTOLIC = 90

# Hypoglycaemia is published for people with diabetes (level 1 below 3.9, level 2 below 3.0); we tell everybody.
_GLUCOSE_FALLING: Bands = (
    Band(LOWEST, "very_low", "critical", "glucose_very_low", DIABETES),
    Band(3.0, "low", "medium", "glucose_low", DIABETES),
    Band(3.9, "normal", "low", "glucose_normal", DIABETES),
)
_GLUCOSE_CRITICAL = Band(16.7, "very_high", "critical", "glucose_very_high", PUBLIC_HEALTH)
_FASTING: Bands = (
    *_GLUCOSE_FALLING,
    Band(6.1, "elevated", "medium", "glucose_impaired_fasting", DIABETES),
    Band(7.0, "high", "high", "glucose_diabetic_range", DIABETES),
    _GLUCOSE_CRITICAL,
)
_AFTER_MEAL: Bands = (
    *_GLUCOSE_FALLING,
    Band(7.8, "elevated", "medium", "glucose_impaired_tolerance", DIABETES),  # two hours after glucose, to be exact
    Band(11.1, "high", "high", "glucose_diabetic_range", DIABETES),
    _GLUCOSE_CRITICAL,
)
_RANDOM: Bands = (
    *_GLUCOSE_FALLING,
    Band(7.8, "elevated", "low", "glucose_raised", HUB),  # nothing is published between these two for a random reading
    Band(11.1, "high", "high", "glucose_diabetic_range", DIABETES),
    _GLUCOSE_CRITICAL,
)
GLUCOSE: Mapping[str, Bands] = {
    "fasting": _FASTING,
    "after_meal": _AFTER_MEAL,
    "random": _RANDOM,
    "before_sleep": _RANDOM,
}
# With diabetes in the profile: against the targets of treatment (fasting below 7.0, otherwise below 10.0).
_DIABETIC_FALLING: Bands = (
    Band(LOWEST, "very_low", "critical", "glucose_very_low", DIABETES),
    Band(3.0, "low", "high", "glucose_low", PUBLIC_HEALTH),  # 3.9 and less is referred at once under treatment
    Band(3.9, "normal", "low", "glucose_on_target", DIABETES),
)
_DIABETIC_FASTING: Bands = (
    *_DIABETIC_FALLING,
    Band(7.0, "elevated", "medium", "glucose_above_target", DIABETES),
    Band(11.1, "high", "high", "glucose_far_above_target", HUB),
    _GLUCOSE_CRITICAL,
)
_DIABETIC_OTHER: Bands = (
    *_DIABETIC_FALLING,
    Band(10.0, "elevated", "medium", "glucose_above_target", DIABETES),
    Band(13.9, "high", "high", "glucose_far_above_target", HUB),
    _GLUCOSE_CRITICAL,
)
GLUCOSE_DIABETIC: Mapping[str, Bands] = {
    "fasting": _DIABETIC_FASTING,
    "after_meal": _DIABETIC_OTHER,
    "random": _DIABETIC_OTHER,
    "before_sleep": _DIABETIC_OTHER,
}

# At rest.
HEART_RATE: Bands = (
    Band(LOWEST, "very_low", "critical", "heart_rate_very_low", HUB),  # below 40; NEWS2's highest score from 40 down
    Band(40, "low", "medium", "heart_rate_low", NEWS2),  # 50 and less scores
    Band(51, "low", "low", "heart_rate_low", DIAGNOSTICS),
    Band(60, "normal", "low", "heart_rate_normal", DIAGNOSTICS),
    Band(101, "elevated", "medium", "heart_rate_high", DIAGNOSTICS),
    Band(131, "high", "high", "heart_rate_high", NEWS2),
    Band(160, "very_high", "critical", "heart_rate_very_high", HUB),
)
SPO2: Bands = (
    Band(LOWEST, "very_low", "critical", "spo2_very_low", HUB),  # below 90; NEWS2's highest score from 91 down
    Band(90, "low", "high", "spo2_low", COVID),
    Band(94, "low", "medium", "spo2_low", NEWS2),
    Band(95, "normal", "low", "spo2_normal", DIAGNOSTICS),
)
# In the armpit.
TEMPERATURE: Bands = (
    Band(LOWEST, "very_low", "critical", "temperature_very_low", FIRST_AID),  # below 32: moderate hypothermia
    Band(32.0, "low", "high", "temperature_low", FIRST_AID),  # below 35: mild hypothermia
    Band(35.0, "low", "low", "temperature_lowish", NEWS2),
    Band(36.0, "normal", "low", "temperature_normal", DIAGNOSTICS),
    Band(37.3, "elevated", "low", "fever_low", DIAGNOSTICS),
    Band(38.1, "high", "medium", "fever_moderate", DIAGNOSTICS),
    Band(39.1, "very_high", "high", "fever_high", DIAGNOSTICS),
    Band(41.1, "very_high", "critical", "fever_extreme", DIAGNOSTICS),
)
# The bands and their names are the standard's, the risks ours. For adults.
BMI: Bands = (
    Band(LOWEST, "low", "medium", "weight_low", WEIGHT),
    Band(18.5, "normal", "low", "weight_normal", WEIGHT),
    Band(24.0, "elevated", "medium", "weight_over", WEIGHT),
    Band(28.0, "high", "high", "weight_obese", WEIGHT),
)
STEPS: Bands = (
    Band(LOWEST, "low", "low", "steps_few", HEALTHY_CHINA),
    Band(6000, "normal", "low", "steps_enough", HEALTHY_CHINA),
)
SLEEP: Bands = (
    Band(LOWEST, "very_low", "medium", "sleep_very_short", HUB),
    Band(5, "low", "low", "sleep_short", HEALTHY_CHINA),  # seven to eight hours are recommended
    Band(7, "normal", "low", "sleep_enough", HEALTHY_CHINA),
    Band(10, "elevated", "low", "sleep_long", HUB),
)
# The types that one table judges; the others ask for more than their value.
PLAIN: Mapping[RecordType, Bands] = {
    "spo2": SPO2,
    "temperature": TEMPERATURE,
    "steps": STEPS,
    "sleep": SLEEP,
}
