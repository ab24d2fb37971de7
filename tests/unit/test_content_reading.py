"""Reports as people bring them become readings: the right number with the right unit, or none."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.content.reading import Json, Report, read
from hub.content.reference_urine import KINDS, kind_of, vocabulary


def values(report: Report) -> dict[str, Any]:
    """Item → value, sign, or why it has neither."""
    return {each.item.name: each.why_not or each.sign or each.value for each in report.readings}


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("blood_routine", {"白细胞": 11.2}, {"白细胞计数": 11.2}),
        ("blood_routine", {"WBC": "11.2×10^9/L"}, {"白细胞计数": 11.2}),
        ("blood_routine", {"wbc": {"value": 11.2, "unit": "10^9/L"}}, {"白细胞计数": 11.2}),
        ("blood_routine", {"items": [{"name": "白细胞", "value": "11.2", "unit": "G/L?"}]}, {"白细胞计数": "单位无法识别"}),
        ("blood_routine", [{"项目": "血小板", "结果": 210, "单位": "10⁹/L", "参考": "125-350"}], {"血小板计数": 210}),
        ("blood_routine", "白细胞 11.2×10^9/L", {"白细胞计数": 11.2}),
        ("blood_routine", "白细胞计数（WBC）：１１．２ ×10⁹/L ↑ (3.5-9.5)", {"白细胞计数": 11.2}),
        ("blood_routine", "白细胞(10^9/L) 3.5~9.5 11.2 H", {"白细胞计数": 11.2}),
        ("blood_routine", "WBC 11.2 RBC 4.5, HGB 98g/L", {"白细胞计数": 11.2, "红细胞计数": 4.5, "血红蛋白": 98}),
        ("blood_routine", "白细胞 11,200/μL", {"白细胞计数": 11.2}),
        ("blood_routine", "血红蛋白 9.8 g/dL", {"血红蛋白": 98}),
        ("blood_routine", "白细胞正常，体温 38.5℃", {}),
        ("blood_routine", "白细胞 3.5-9.5", {}),
        ("blood_routine", "白细胞 11200", {"白细胞计数": "数值超出可能的范围，请核对数值和单位"}),
        ("blood_routine", "白细胞介素6 35 pg/mL，网织红细胞 1.2%", {}),
        ("blood_routine", "中性粒细胞% 82，中性粒细胞# 9.1", {"中性粒细胞百分比": 82, "中性粒细胞绝对值": 9.1}),
        ("blood_routine", "白细胞 5.0\n白细胞 12.0", {"白细胞计数": 5.0}),
        ("lipids", "LDL-C 165 mg/dL", {"低密度脂蛋白胆固醇": pytest.approx(4.267, abs=0.001)}),
        ("lipids", "非高密度脂蛋白胆固醇 4.5 mmol/L", {"非高密度脂蛋白胆固醇": 4.5}),
        ("liver_function", "前白蛋白 250 mg/L 白蛋白 42 g/L", {"白蛋白": 42}),
        ("liver_function", "salt 5", {}),
        ("kidney_function", "eGFR 58 ml/min/1.73m²", {"估算肾小球滤过率": 58}),
        ("kidney_function", {"肌酐": "1.5 mg/dL"}, {"肌酐": pytest.approx(132.6)}),
        ("glucose", "血糖 100 foo", {"空腹血糖": "单位无法识别"}),
        ("glucose", "餐后2小时血糖 12.1，糖化血红蛋白 6.8%", {"餐后2小时血糖": 12.1, "糖化血红蛋白": 6.8}),
        ("blood_pressure", "血压 135/85 mmHg，心率 88次/分", {"收缩压": 135, "舒张压": 85, "心率": 88}),
        ("blood_pressure", "今早 135/85", {"收缩压": 135, "舒张压": 85}),
        ("blood_pressure", {"systolic": 128, "diastolic": 78}, {"收缩压": 128, "舒张压": 78}),
        ("blood_pressure", "2026/01/05 测量", {}),
        ("blood_pressure", "收缩压 18 kPa", {"收缩压": pytest.approx(135.0, abs=0.1)}),
        ("urine_routine", "尿蛋白 2+ 葡萄糖 阴性(-) 潜血 ±", {"尿蛋白": "positive", "尿葡萄糖": "negative", "尿潜血": "weak"}),
        ("urine_routine", {"蛋白质": "-", "酮体": "+++"}, {"尿蛋白": "negative", "尿酮体": "positive"}),
        ("urine_routine", "白细胞 12/HP 红细胞 0-3/HP", {"尿白细胞": 12}),
        ("urine_routine", "尿蛋白 0.3 g/L", {"尿蛋白": "只能判断阴性或阳性"}),
        ("other", "血糖 7.8 mmol/L 总胆固醇 6.1", {"空腹血糖": 7.8, "总胆固醇": 6.1}),
        ("other", "双肺纹理增粗", {}),
        ("other", {}, {}),
    ],
)  # fmt: skip
def test_a_report_is_read_as_it_was_written(kind: str, data: Json, expected: dict[str, Any]) -> None:
    """Objects and text, several spellings and units; what is doubtful is not read."""
    assert values(read(kind_of(kind), data)) == expected


def test_sex_and_age_are_read_and_personal_lines_are_no_items() -> None:
    """They decide the range; dates and numbers of cases are not unknown items."""
    report = read(
        kind_of("血常规"), "性别：女 年龄：12岁\n住院号：12345678\n2026-01-03\n血红蛋白 110 g/L\n网织红细胞 1.2%"
    )

    assert (report.sex, report.age, report.unknown) == ("female", 12, 1)
    assert read(None, "男，45岁").sex == "male"
    assert read(None, {"gender": "male", "age": 70}).age == 70
    assert read(None, "男科门诊").sex is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_name_of_every_item_is_read(kind: Any) -> None:
    """Each alias leads to its item, in its kind of report, with its own unit."""
    for item in kind.items:
        for alias in (*item.aliases, *item.inside):
            limits = item.limits("male")
            normal = limits.low or (item.grades[0].at_least - 0.1 if item.grades else limits.high)
            said = "阴性" if item.is_qualitative else f"{normal} {item.unit}"
            report = read(kind, f"{alias} {said}")
            assert [reading.item.name for reading in report.readings] == [item.name], alias
            assert not report.readings[0].why_not, alias


def test_every_kind_is_known_by_its_names() -> None:
    """Code, Chinese name, and spellings with dashes or spaces."""
    assert [kind_of(name) for name in ("blood_routine", "血常规", "Blood Routine", "CBC", "blood-routine")] == [
        KINDS[0]
    ] * 5
    assert kind_of("CT") is None
    assert "白细胞" in vocabulary(None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["白细胞", "value", "name", "unit", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_nothing_that_can_be_brought_breaks_it(data: Json) -> None:
    """Whatever the form."""
    for kind in (None, *KINDS):
        for reading in read(kind, data).readings:
            assert reading.why_not or reading.value is not None or reading.sign


@pytest.mark.parametrize(
    "text", ["白细胞 " + "()" * 9000 + "中 5", "(1" * 9000, "血压" * 9000, "白细胞 1 " * 3000, "1" * 20_000, " " * 19_000 + "岁"]
)  # fmt: skip
def test_the_longest_report_costs_little(text: str) -> None:
    """No text makes the patterns go astray: milliseconds, where going astray would take years."""
    started = time.process_time()
    read(KINDS[0], text)

    assert time.process_time() - started < 2
