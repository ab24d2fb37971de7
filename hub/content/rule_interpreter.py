"""The interpreter that is always there: compares each item with its published range and says what that usually means."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from hub.content.interpretation import DISCLAIMER, LABEL, Finding
from hub.content.reading import Json, Reading, Report, read
from hub.content.reference import Kind, Limits, Sex
from hub.content.reference_urine import kind_of

NAME = "rules"
ADULT_YEARS = 18
MOST_SURE = 0.9  # rules know the ranges, and nothing of the person

_SIGNS = {"weak": "弱阳性", "positive": "阳性", "negative": "阴性"}


class Judgement(NamedTuple):
    """What a reading is called, empty if it is normal, and what that means."""

    reading: Reading
    verdict: str
    meaning: str
    urgent: bool


class RuleInterpreter:
    """Needs nothing from outside, and never fails."""

    async def interpret(self, report_type: str, data: Json, known: Collection[str] = ()) -> Finding:
        """`known` is of no use here: nothing leaves."""
        kind = kind_of(report_type)
        report = read(kind, data)
        judged = [_judge(reading, report.sex) for reading in report.readings if not reading.why_not]
        urgent = [
            f"请尽快就医：{_said(each)}，{each.verdict}，已超过需要及时处理的界限" for each in judged if each.urgent
        ]
        return Finding(
            interpretation=_text(report_type, kind, report, judged, urgent),
            confidence=_confidence(kind, report, len(judged)),
            suggestions=_suggestions(kind, judged, urgent),
            interpreter=NAME,
            urgent=urgent,
        )


def _judge(reading: Reading, sex: Sex | None) -> Judgement:
    item, value = reading.item, reading.value
    if value is None:
        verdict = "" if reading.sign == "negative" else _SIGNS[reading.sign or "negative"]
        return Judgement(reading, verdict, item.when_high if verdict else "", False)
    limits = item.limits(sex)
    urgent = not item.critical.holds(value)
    if limits.low is not None and value < limits.low:
        return Judgement(reading, "偏低", item.when_low, urgent)
    grade = next((grade.name for grade in reversed(item.grades) if value >= grade.at_least), "")
    verdict = grade or ("偏高" if limits.high is not None and value > limits.high else "")
    return Judgement(reading, verdict, item.when_high if verdict else "", urgent)


def _text(
    report_type: str, kind: Kind | None, report: Report, judged: Sequence[Judgement], urgent: Sequence[str]
) -> str:
    title = kind.name if kind else report_type.strip()
    if not judged:
        lines = [f"{LABEL}{title}：没有识别出可以判断的项目。请按“项目 数值 单位”逐行填写，例如“白细胞 6.2 ×10^9/L”。"]
    else:
        abnormal = [each for each in judged if each.verdict]
        lines = [f"{LABEL}{title}：识别出 {len(judged)} 项，其中 {len(abnormal)} 项异常。", *urgent]
        lines += [
            f"· {_said(each)}，{each.verdict}{_range(each, report.sex)}。{_sentence(each.meaning)}" for each in abnormal
        ]
        normal = [each.reading.item.name for each in judged if not each.verdict]
        lines += [f"未见异常：{'、'.join(normal)}。"] if normal else []
    lines += _reservations(report, judged)
    sources = _once(each.reading.item.source for each in judged)
    lines += [f"参考范围：{'；'.join(sources)}。请以报告单上的参考范围为准。"] if sources else []
    return "\n".join([*lines, DISCLAIMER])


def _reservations(report: Report, judged: Sequence[Judgement]) -> list[str]:
    """What could not be judged, and what was taken for granted."""
    lines = [f"未能判断：{each.item.name}（{each.why_not}）。" for each in report.readings if each.why_not]
    if report.unknown:
        lines.append(f"另有 {report.unknown} 项不在可解读的范围内。")
    if any(not each.reading.has_unit for each in judged):
        lines.append("部分数值没有单位，按常用单位判断。")
    if report.sex is None and any(each.reading.item.female for each in judged):
        lines.append("未提供性别，按男女合并的参考范围判断。")
    if report.age is not None and report.age < ADULT_YEARS:
        lines.append("参考范围适用于成年人，儿童和青少年请咨询儿科医生。")
    return lines


def _suggestions(kind: Kind | None, judged: Sequence[Judgement], urgent: Sequence[str]) -> list[str]:
    abnormal = [each for each in judged if each.verdict]
    advice = _once(each.reading.item.advice for each in abnormal)
    if not judged:
        return ["请核对报告内容后重新提交，或咨询医生"]
    if not abnormal:
        return ["各项在参考范围内，请保持健康的生活方式并定期体检"]
    general = [kind.advice] if kind else []
    return [*urgent, *advice, *general, "请携带报告单咨询医生，由医生结合症状和病史判断"]


def _confidence(kind: Kind | None, report: Report, judged: int) -> float:
    """How much of the report was recognised, and how certainly it means what it was taken for."""
    if not judged:
        return 0.0
    share = judged / (len(report.readings) + report.unknown)
    with_unit = sum(reading.has_unit for reading in report.readings if not reading.why_not) / judged
    sure = MOST_SURE * share * (0.8 + 0.2 * with_unit) * (1.0 if kind else 0.8)
    return round(sure * (0.7 if report.age is not None and report.age < ADULT_YEARS else 1.0), 2)


def _said(each: Judgement) -> str:
    """「白细胞计数 11.2×10^9/L」."""
    item, value = each.reading.item, each.reading.value
    if value is None:
        return item.name
    joint = "×" if item.unit.startswith("10^") else " "
    return f"{item.name} {round(value, 3):g}{joint}{item.unit}".rstrip()


def _range(each: Judgement, sex: Sex | None) -> str:
    item = each.reading.item
    if each.reading.value is None:
        return "（参考：阴性）"
    limits = item.limits(sex)
    if item.grades:
        limits = Limits(limits.low, item.grades[0].at_least)
        return f"（参考 {'' if limits.low is None else f'≥{limits.low:g} 且 '}<{limits.high:g}）"
    if limits.low is None:
        return f"（参考 ≤{limits.high:g}）"
    return f"（参考 ≥{limits.low:g}）" if limits.high is None else f"（参考 {limits.low:g}–{limits.high:g}）"


def _sentence(text: str) -> str:
    return f"{text}。" if text else ""


def _once(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
