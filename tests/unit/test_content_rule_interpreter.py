"""The rules: what is high or low by which range, what is urgent, and how sure that is."""

from typing import Any

import pytest

from hub.content.interpretation import DISCLAIMER, LABEL, Finding
from hub.content.reading import Json
from hub.content.reference import Item
from hub.content.reference_urine import KINDS
from hub.content.rule_interpreter import RuleInterpreter


async def found(kind: str, data: Json) -> Finding:
    return await RuleInterpreter().interpret(kind, data)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("blood_routine", "白细胞 11.2×10^9/L", "白细胞计数 11.2×10^9/L，偏高（参考 3.5–9.5）"),
        ("blood_routine", "白细胞 3.1×10^9/L", "白细胞计数 3.1×10^9/L，偏低（参考 3.5–9.5）"),
        ("blood_routine", "白细胞 9.5×10^9/L", "未见异常：白细胞计数"),
        ("blood_routine", "白细胞 3.5×10^9/L", "未见异常：白细胞计数"),
        ("blood_routine", "性别：女 血红蛋白 120 g/L", "未见异常：血红蛋白"),
        ("blood_routine", "性别：男 血红蛋白 120 g/L", "血红蛋白 120 g/L，偏低（参考 130–175）"),
        ("blood_routine", "血红蛋白 120 g/L", "未提供性别，按男女合并的参考范围判断"),
        ("lipids", "总胆固醇 5.2 mmol/L", "总胆固醇 5.2 mmol/L，边缘升高（参考 <5.2）"),
        ("lipids", "总胆固醇 6.2 mmol/L", "总胆固醇 6.2 mmol/L，升高（参考 <5.2）"),
        ("lipids", "高密度脂蛋白 0.9 mmol/L", "偏低（参考 ≥1）"),
        ("glucose", "空腹血糖 6.9 mmol/L", "偏高（空腹血糖受损）（参考 ≥3.9 且 <6.1）"),
        ("glucose", "空腹血糖 7.0 mmol/L", "升高（达到糖尿病诊断界限）"),
        ("kidney_function", "尿酸 421 μmol/L", "偏高（参考 ≤420）"),
        ("blood_pressure", "血压 141/92 mmHg", "收缩压 141 mmHg，升高（1级）"),
        ("urine_routine", "尿蛋白 2+", "尿蛋白，阳性（参考：阴性）"),
        ("urine_routine", "尿蛋白 阴性", "未见异常：尿蛋白"),
        ("blood_routine", "血小板 9000×10^9/L", "未能判断：血小板计数（数值超出可能的范围"),
        ("blood_routine", "白细胞 5.0，网织红细胞 1.2%", "另有 1 项不在可解读的范围内"),
        ("blood_routine", "白细胞 5.0", "部分数值没有单位，按常用单位判断"),
        ("blood_routine", "年龄 6岁 白细胞 5.0×10^9/L", "参考范围适用于成年人"),
        ("CT", "双肺纹理增粗", "CT：没有识别出可以判断的项目"),
    ],
)
async def test_a_value_is_judged_by_its_published_range(kind: str, data: str, said: str) -> None:
    """With the range, and what was taken for granted."""
    finding = await found(kind, data)

    assert said in finding.interpretation
    assert finding.interpretation.startswith(LABEL)
    assert finding.interpretation.endswith(DISCLAIMER)


@pytest.mark.parametrize(
    ("kind", "data", "urgent"),
    [
        ("blood_routine", "血小板 18×10^9/L", True),
        ("blood_routine", "血小板 90×10^9/L", False),
        ("glucose", "血糖 2.5 mmol/L", True),
        ("glucose", "血糖 25 mmol/L", True),
        ("blood_pressure", "血压 185/95 mmHg", True),
        ("blood_pressure", "血压 179/109 mmHg", False),
        ("kidney_function", "肌酐 600 μmol/L", True),
    ],
)
async def test_what_is_urgent_is_said_first(kind: str, data: str, urgent: bool) -> None:
    """In the text and as the first suggestion."""
    finding = await found(kind, data)

    assert bool(finding.urgent) is urgent
    assert finding.suggestions[0].startswith("请尽快就医") is urgent
    assert ("请尽快就医" in finding.interpretation) is urgent


async def test_confidence_is_how_much_was_recognised() -> None:
    """Everything with units most; half of it half; a child's, an unknown kind's less; nothing none."""
    report = {"白细胞": "5.0×10^9/L", "血小板": "210×10^9/L"}
    full = (await found("blood_routine", report)).confidence
    half = (await found("blood_routine", {**report, "甲": 1.5, "乙项": 2.5, "丙项": 3.5})).confidence
    unknown_kind = (await found("体检", report)).confidence
    no_units = (await found("blood_routine", {"白细胞": 5.0, "血小板": 210})).confidence
    child = (await found("blood_routine", {**report, "年龄": 6})).confidence

    assert full == 0.9
    assert (half, unknown_kind, no_units, child) == (0.36, 0.72, 0.72, 0.63)
    assert (await found("blood_routine", "很好")).confidence == 0.0


async def test_a_normal_report_gets_no_advice_to_worry() -> None:
    """And an unreadable one is asked for again."""
    assert (await found("blood_routine", "白细胞 5.0×10^9/L")).suggestions == [
        "各项在参考范围内，请保持健康的生活方式并定期体检"
    ]
    assert (await found("blood_routine", "")).suggestions == ["请核对报告内容后重新提交，或咨询医生"]


ITEMS = [item for kind in KINDS for item in kind.items]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_the_table_is_whole(item: Item) -> None:
    """Every item has a source, a range within what is possible, and says what its deviations mean."""
    assert item.source
    limits: Any = item.limits(None)
    ends = [end for end in (*limits, *(grade.at_least for grade in item.grades)) if end is not None]
    assert ends or item.is_qualitative
    assert all(item.possible.holds(end) for end in ends)
    assert [grade.at_least for grade in item.grades] == sorted(grade.at_least for grade in item.grades)
    assert item.when_high or (limits.high is None and not item.is_qualitative)
    assert item.when_low or limits.low is None
    # What is urgent is abnormal, too.
    assert item.critical.low is None or limits.low is None or item.critical.low <= limits.low
    assert item.critical.high is None or all(item.critical.high + 1 >= end for end in ends)
