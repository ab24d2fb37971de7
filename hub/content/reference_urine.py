"""What is measured in urine, and every kind of report together: data like `reference_blood`."""

from collections.abc import Mapping
from typing import Any

from hub.content.reference import Item, Kind, Limits, named
from hub.content.reference_blood import BLOOD_ROUTINE, PROCEDURES
from hub.content.reference_chemistry import KIDNEY_FUNCTION, LIPID, LIVER
from hub.content.reference_glucose import BLOOD_PRESSURE, GLUCOSE

_RECHECK = "请留取清晨第一次尿的中段尿复查，女性避开月经期"


def _sign(name: str, aliases: tuple[str, ...], inside: tuple[str, ...], high: str, advice: str = _RECHECK) -> Item:
    """Negative or positive."""
    return Item(
        name=name, aliases=aliases, inside=inside, is_qualitative=True, when_high=high, advice=advice, source=PROCEDURES
    )


def _seen(
    name: str, aliases: tuple[str, ...], inside: tuple[str, ...], most: float, **more: Any
) -> Item:  # Any: fields
    """Counted under the microscope."""
    fields = {"possible": Limits(0, 10_000), "source": PROCEDURES, "advice": _RECHECK} | more
    return Item(
        name=name, aliases=aliases, inside=inside, unit="/HP", factors={"/hp": 1.0}, normal=Limits(None, most), **fields
    )


URINE_ROUTINE = Kind(
    code="urine_routine",
    name="尿常规",
    aliases=("尿常规", "尿液分析", "尿液常规", "urineroutine", "urinalysis"),
    advice="尿常规受饮水、运动和留取方法影响较大，单次异常请先复查",
    items=(
        _sign(
            "尿蛋白",
            ("尿蛋白",),
            ("蛋白质", "蛋白", "pro"),
            "可见于肾脏疾病，也可见于发热、剧烈运动后",
            "请复查尿常规并检查尿白蛋白/肌酐比值，持续阳性请到肾内科就诊",
        ),
        _sign(
            "尿葡萄糖",
            ("尿葡萄糖", "尿糖"),
            ("葡萄糖", "glu"),
            "常见于血糖升高，也可见于使用某些降糖药（SGLT2抑制剂）或孕期",
            "请检查空腹血糖和糖化血红蛋白",
        ),
        _sign(
            "尿酮体",
            ("尿酮体", "酮体", "ket"),
            (),
            "可见于饥饿、呕吐；糖尿病患者出现时要警惕酮症酸中毒",
            "糖尿病患者尿酮体阳性请当天就诊；其他人恢复进食后复查",
        ),
        _sign(
            "尿潜血", ("尿潜血", "尿隐血", "潜血", "隐血", "bld"), (), "可见于结石、感染、肾脏疾病，或女性月经期混入"
        ),
        _sign(
            "尿白细胞酯酶",
            ("尿白细胞酯酶", "白细胞酯酶", "leu"),
            (),
            "提示泌尿系感染可能",
            "如有尿频、尿急、尿痛，请多饮水并到泌尿科或肾内科就诊",
        ),
        _sign("尿亚硝酸盐", ("尿亚硝酸盐", "亚硝酸盐", "nit"), (), "提示泌尿系细菌感染可能"),
        _sign("尿胆红素", ("尿胆红素",), ("胆红素", "bil"), "可见于肝脏或胆道疾病", "请检查肝功能"),
        Item(
            name="尿酸碱度",
            aliases=("尿酸碱度", "尿ph"),
            inside=("酸碱度", "ph"),
            factors={"": 1.0},
            normal=Limits(4.5, 8.0),
            possible=Limits(3, 10),
            when_high="可见于素食、泌尿系感染或标本放置过久",
            when_low="可见于高蛋白饮食、酸中毒或痛风",
            source=PROCEDURES,
        ),
        Item(
            name="尿比重",
            aliases=("尿比重",),
            inside=("比重", "比密", "sg"),
            factors={"": 1.0},
            normal=Limits(1.003, 1.030),
            possible=Limits(1.0, 1.1),
            when_high="多见于饮水少、脱水，或尿中有葡萄糖",
            when_low="多见于大量饮水，也可见于肾脏浓缩功能下降",
            source=PROCEDURES,
        ),
        _seen("尿红细胞", ("尿红细胞",), ("红细胞", "rbc"), 3, when_high="提示血尿，可见于结石、感染或肾脏疾病"),
        _seen("尿白细胞", ("尿白细胞",), ("白细胞", "wbc"), 5, when_high="提示泌尿系感染可能"),
    ),
)

KINDS = (BLOOD_ROUTINE, LIPID, LIVER, KIDNEY_FUNCTION, GLUCOSE, BLOOD_PRESSURE, URINE_ROUTINE)
OTHER = "other"  # the kind of every report that is none of these

# Names that hold one of the above and mean something else: found first, and then not judged.
OTHERS_NAMES = (
    "网织红细胞",
    "有核红细胞",
    "异型淋巴细胞",
    "红细胞分布宽度",
    "红细胞沉降率",
    "血小板分布宽度",
    "血小板压积",
    "平均血小板体积",
    "前白蛋白",
    "微量白蛋白",
    "尿微量白蛋白",
    "糖化白蛋白",
    "间接胆红素",
    "尿肌酐",
    "内生肌酐清除率",
    "尿素酶",
    "甲胎蛋白",
    "脂蛋白a",
    "脂蛋白(a)",
    "载脂蛋白a1",
    "载脂蛋白b",
    "残余胆固醇",
    "尿胆原",
    "白细胞介素",
    "血小板聚集率",
    "肌酐清除率",
    "眼压",
    "隐血试验",
)

_BY_NAME = {alias: kind for kind in KINDS for alias in (*kind.aliases, kind.code, named(kind.name))}


def kind_of(report_type: str) -> Kind | None:
    """The kind of report with this code or name; None if the rules know none."""
    return _BY_NAME.get(named(report_type).replace("-", "_")) or _BY_NAME.get(named(report_type).replace("_", ""))


def vocabulary(kind: Kind | None) -> Mapping[str, Item]:
    """Name → what it means in a report of this kind. What is meant in urine is not meant in blood."""
    known: dict[str, Item] = {}
    for each in KINDS:
        if kind is URINE_ROUTINE and each is not URINE_ROUTINE:
            continue
        known |= {named(alias): item for item in each.items for alias in (named(item.name), *item.aliases)}
    if kind is not None:
        known |= {named(alias): item for item in kind.items for alias in (*item.aliases, *item.inside)}
    return known
