"""Glucose and blood pressure: data like `reference_blood`."""

from typing import Any

from hub.content.reference import Grade, Item, Kind, Limits
from hub.content.reference_blood import DIABETES, HYPERTENSION, PROCEDURES

_GLUCOSE = {"mmol/l": 1.0, "mg/dl": 1 / 18.0}
_PRESSURE = {"mmhg": 1.0, "kpa": 7.50062}


def _glucose(
    name: str, aliases: tuple[str, ...], limits: tuple[float | None, float | None], **more: Any
) -> Item:  # Any: fields of `Item`
    fields = (
        {"possible": Limits(0.5, 70), "critical": Limits(2.8, 22.2), "source": DIABETES}
        | {"normal": Limits(*limits)}
        | more
    )
    return Item(name=name, aliases=aliases, unit="mmol/L", factors=_GLUCOSE, **fields)


_GLUCOSE_LOW = "为低血糖，使用降糖药或胰岛素者尤其要警惕"
_GLUCOSE_ADVICE = "控制主食和甜食，餐后活动，控制体重；请复查空腹血糖和糖化血红蛋白，达到糖尿病标准者到内分泌科就诊"

GLUCOSE = Kind(
    code="glucose",
    name="血糖",
    aliases=("血糖", "糖代谢", "glucose", "bloodglucose", "bloodsugar"),
    advice="单次血糖升高不能诊断糖尿病，没有典型症状者需改日复查",
    items=(
        _glucose(
            "空腹血糖",
            ("空腹血糖", "空腹葡萄糖", "血清葡萄糖", "葡萄糖", "血糖", "fpg", "fbg", "glu"),
            (3.9, None),
            grades=(Grade(6.1, "偏高（空腹血糖受损）"), Grade(7.0, "升高（达到糖尿病诊断界限）")),
            when_high="如不是空腹测得，请以餐后的标准判断",
            when_low=_GLUCOSE_LOW,
            advice=_GLUCOSE_ADVICE,
        ),
        _glucose(
            "餐后2小时血糖",
            ("餐后2小时血糖", "餐后两小时血糖", "餐后血糖", "糖负荷后2小时血糖", "2hpg", "ogtt2h"),
            (3.9, None),
            grades=(Grade(7.8, "偏高（糖耐量减低）"), Grade(11.1, "升高（达到糖尿病诊断界限）")),
            when_low=_GLUCOSE_LOW,
            advice=_GLUCOSE_ADVICE,
        ),
        _glucose(
            "随机血糖",
            ("随机血糖", "rbg"),
            (3.9, None),
            grades=(Grade(11.1, "升高（达到糖尿病诊断界限）"),),
            when_low=_GLUCOSE_LOW,
            advice=_GLUCOSE_ADVICE,
        ),
        Item(
            name="糖化血红蛋白",
            aliases=("糖化血红蛋白a1c", "糖化血红蛋白", "hba1c", "ghb"),
            unit="%",
            factors={"%": 1.0},
            grades=(Grade(5.7, "偏高（糖尿病前期范围）"), Grade(6.5, "升高（达到糖尿病诊断界限）")),
            possible=Limits(2, 20),
            when_high="反映近2至3个月的平均血糖",
            advice=_GLUCOSE_ADVICE,
            source=DIABETES,
        ),
    ),
)

BLOOD_PRESSURE = Kind(
    code="blood_pressure",
    name="血压",
    aliases=("血压", "bloodpressure", "bp"),
    advice="请在安静休息5分钟后测量，不同日多次测量均升高才能诊断高血压",
    items=(
        Item(
            name="收缩压",
            aliases=("收缩压", "高压", "sbp", "systolic"),
            unit="mmHg",
            factors=_PRESSURE,
            normal=Limits(90, None),
            grades=(
                Grade(120, "正常高值"),
                Grade(140, "升高（1级）"),
                Grade(160, "升高（2级）"),
                Grade(180, "升高（3级）"),
            ),
            possible=Limits(40, 300),
            critical=Limits(80, 179),
            when_high="长期升高会损害心、脑、肾",
            when_low="如有头晕、乏力请就诊",
            advice="每天盐不超过5克，控制体重，限酒戒烟，坚持家庭自测血压并记录；已在服药者不要自行停药",
            source=HYPERTENSION,
        ),
        Item(
            name="舒张压",
            aliases=("舒张压", "低压", "dbp", "diastolic"),
            unit="mmHg",
            factors=_PRESSURE,
            normal=Limits(60, None),
            grades=(
                Grade(80, "正常高值"),
                Grade(90, "升高（1级）"),
                Grade(100, "升高（2级）"),
                Grade(110, "升高（3级）"),
            ),
            possible=Limits(20, 200),
            critical=Limits(40, 109),
            when_high="长期升高会损害心、脑、肾",
            when_low="如有头晕、乏力请就诊",
            advice="每天盐不超过5克，控制体重，限酒戒烟，坚持家庭自测血压并记录；已在服药者不要自行停药",
            source=HYPERTENSION,
        ),
        Item(
            name="心率",
            aliases=("心率", "脉搏", "脉率", "heartrate", "pulse", "hr"),
            unit="次/分",
            factors={"bpm": 1.0},
            normal=Limits(60, 100),
            possible=Limits(20, 300),
            critical=Limits(40, 140),
            when_high="可见于运动、紧张、发热、贫血或心律失常",
            when_low="经常锻炼者可以偏慢；伴头晕、乏力请就诊",
            source=PROCEDURES,
        ),
    ),
)
