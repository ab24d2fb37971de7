"""Lipids, liver and kidney: data like `reference_blood`."""

from typing import Any

from hub.content.reference import Grade, Item, Kind, Limits
from hub.content.reference_blood import (
    BILIRUBIN,
    ENZYMES,
    KDIGO,
    KIDNEY,
    LIPIDS,
    PROCEDURES,
    PROTEINS,
    URIC_ACID,
)

_CHOLESTEROL = {"mmol/l": 1.0, "mg/dl": 1 / 38.67}
_GRAMS = {"g/l": 1.0, "g/dl": 10.0}
_ENZYME = {"u/l": 1.0}

_LIPID_ADVICE = "少吃动物油、内脏和油炸食品，每周至少150分钟中等强度运动，控制体重、戒烟"


def _lipid(name: str, aliases: tuple[str, ...], **more: Any) -> Item:  # Any: fields of `Item`
    fields = {"factors": _CHOLESTEROL, "possible": Limits(0.1, 40), "source": LIPIDS, "advice": _LIPID_ADVICE} | more
    return Item(name=name, aliases=aliases, unit="mmol/L", **fields)


def _grades(border: float, high: float) -> tuple[Grade, ...]:
    return (Grade(border, "边缘升高"), Grade(high, "升高"))


LIPID = Kind(
    code="lipids",
    name="血脂",
    aliases=("血脂", "血脂四项", "血脂七项", "lipid", "lipids", "bloodlipids"),
    advice="血脂的目标值因人而异：有冠心病、脑卒中、糖尿病或高血压者要求更低，请由医生评估风险后确定",
    items=(
        _lipid(
            "总胆固醇",
            ("血清总胆固醇", "总胆固醇", "胆固醇", "tc", "chol"),
            grades=_grades(5.2, 6.2),
            when_high="增加动脉粥样硬化的风险",
        ),
        _lipid(
            "甘油三酯",
            ("甘油三酯", "三酰甘油", "甘油三脂", "tg"),
            factors={"mmol/l": 1.0, "mg/dl": 1 / 88.57},
            possible=Limits(0.05, 100),
            critical=Limits(None, 11.3),
            grades=_grades(1.7, 2.3),
            when_high="与饮食、饮酒和肥胖有关，明显升高时有急性胰腺炎的风险",
            advice="限制饮酒、甜食和精制主食，控制体重，复查前空腹12小时",
        ),
        _lipid(
            "低密度脂蛋白胆固醇",
            ("低密度脂蛋白胆固醇", "低密度脂蛋白", "ldl-c", "ldlc", "ldl"),
            grades=_grades(3.4, 4.1),
            when_high="是动脉粥样硬化最主要的危险因素",
        ),
        _lipid(
            "高密度脂蛋白胆固醇",
            ("高密度脂蛋白胆固醇", "高密度脂蛋白", "hdl-c", "hdlc", "hdl"),
            normal=Limits(1.0, None),
            when_low="对血管的保护作用减弱，常见于缺乏运动、吸烟和肥胖",
            advice="坚持有氧运动、戒烟、控制体重有助于提高高密度脂蛋白胆固醇",
        ),
        _lipid(
            "非高密度脂蛋白胆固醇",
            ("非高密度脂蛋白胆固醇", "非高密度脂蛋白", "non-hdl-c", "nonhdl"),
            grades=_grades(4.1, 4.9),
            when_high="增加动脉粥样硬化的风险",
        ),
    ),
)


def _enzyme(name: str, aliases: tuple[str, ...], male: Limits, female: Limits, **more: Any) -> Item:  # Any: as above
    fields = {"possible": Limits(0, 20_000), "source": ENZYMES} | more
    return Item(name=name, aliases=aliases, unit="U/L", factors=_ENZYME, normal=male, female=female, **fields)


_LIVER_CELLS = "提示肝细胞可能受损，常见于脂肪肝、病毒性肝炎、饮酒和药物影响"
_LIVER_ADVICE = "停止饮酒，避免自行用药和保健品，1至2周后复查；仍升高请到肝病科或消化科就诊"
_MICROMOLES = {"umol/l": 1.0, "mg/dl": 17.1}

LIVER = Kind(
    code="liver_function",
    name="肝功能",
    aliases=("肝功能", "肝功", "liverfunction", "liver"),
    advice="熬夜、饮酒和剧烈运动会使转氨酶暂时升高，复查前请避免",
    items=(
        _enzyme(
            "丙氨酸氨基转移酶",
            ("丙氨酸氨基转移酶", "谷丙转氨酶", "谷丙", "alt", "gpt"),
            Limits(9, 50),
            Limits(7, 40),
            critical=Limits(None, 1000),
            when_high=_LIVER_CELLS,
            when_low="通常没有明显意义",
            advice=_LIVER_ADVICE,
        ),
        _enzyme(
            "天门冬氨酸氨基转移酶",
            ("天门冬氨酸氨基转移酶", "天冬氨酸氨基转移酶", "谷草转氨酶", "谷草", "ast", "got"),
            Limits(15, 40),
            Limits(13, 35),
            critical=Limits(None, 1000),
            when_high="可见于肝脏、心肌或肌肉损伤",
            when_low="通常没有明显意义",
            advice=_LIVER_ADVICE,
        ),
        _enzyme(
            "γ-谷氨酰转移酶",
            ("γ-谷氨酰基转移酶", "γ-谷氨酰转移酶", "谷氨酰转肽酶", "谷氨酰转移酶", "ggt"),
            Limits(10, 60),
            Limits(7, 45),
            when_high="常见于饮酒、脂肪肝、胆道疾病和药物影响",
            when_low="通常没有明显意义",
            advice="停止饮酒，必要时做腹部超声",
        ),
        _enzyme(
            "碱性磷酸酶",
            ("碱性磷酸酶", "alp", "akp"),
            Limits(45, 125),
            Limits(35, 135),
            when_high="可见于胆道疾病或骨骼疾病，青少年生长期和孕期也会升高",
            when_low="通常没有明显意义",
        ),
        Item(
            name="总胆红素",
            aliases=("血清总胆红素", "总胆红素", "tbil"),
            unit="μmol/L",
            factors=_MICROMOLES,
            normal=Limits(None, 26),
            female=Limits(None, 21),
            possible=Limits(0, 1200),
            critical=Limits(None, 171),
            when_high="可见于肝脏或胆道疾病、溶血，也可为体质性的轻度升高",
            advice="如有皮肤、眼睛发黄或尿色加深，请尽快到消化科或肝病科就诊",
            source=BILIRUBIN,
        ),
        Item(
            name="直接胆红素",
            aliases=("直接胆红素", "结合胆红素", "dbil"),
            unit="μmol/L",
            factors=_MICROMOLES,
            normal=Limits(None, 6.8),
            possible=Limits(0, 800),
            when_high="可见于胆道梗阻或肝细胞受损",
            advice="如有皮肤、眼睛发黄或尿色加深，请尽快到消化科或肝病科就诊",
            source=PROCEDURES,
        ),
        Item(
            name="总蛋白",
            aliases=("血清总蛋白", "总蛋白", "tp"),
            unit="g/L",
            factors=_GRAMS,
            normal=Limits(65, 85),
            possible=Limits(10, 200),
            when_high="可见于脱水或慢性炎症",
            when_low="可见于营养不良、肝脏或肾脏疾病",
            source=PROTEINS,
        ),
        Item(
            name="白蛋白",
            aliases=("血清白蛋白", "白蛋白", "alb"),
            unit="g/L",
            factors=_GRAMS,
            normal=Limits(40, 55),
            possible=Limits(5, 100),
            critical=Limits(20, None),
            when_high="多见于脱水",
            when_low="可见于营养不良、肝脏或肾脏疾病",
            advice="保证鸡蛋、奶、鱼、瘦肉和豆制品等优质蛋白的摄入，肾病患者请先咨询医生",
            source=PROTEINS,
        ),
    ),
)

KIDNEY_FUNCTION = Kind(
    code="kidney_function",
    name="肾功能",
    aliases=("肾功能", "肾功", "kidneyfunction", "renalfunction", "kidney"),
    advice="多喝水，避免自行服用止痛药和来源不明的中草药；复查前避免高蛋白饮食和剧烈运动",
    items=(
        Item(
            name="肌酐",
            aliases=("血清肌酐", "血肌酐", "肌酐", "crea", "scr", "cr"),
            unit="μmol/L",
            factors={"umol/l": 1.0, "mg/dl": 88.4},
            normal=Limits(57, 97),
            female=Limits(41, 73),
            possible=Limits(5, 3000),
            critical=Limits(None, 450),
            when_high="提示肾脏的滤过功能可能下降，也可见于脱水和肌肉量大",
            when_low="多见于肌肉量少，通常没有明显意义",
            advice="请计算估算肾小球滤过率并复查尿常规，持续升高请到肾内科就诊；60岁以上者的上限略高",
            source=KIDNEY,
        ),
        Item(
            name="尿素",
            aliases=("血尿素氮", "尿素氮", "血尿素", "尿素", "urea", "bun"),
            unit="mmol/L",
            factors={"mmol/l": 1.0, "mg/dl": 0.357},
            normal=Limits(3.1, 8.0),
            female=Limits(2.6, 7.5),
            possible=Limits(0.2, 120),
            critical=Limits(None, 36),
            when_high="可见于肾功能下降、脱水、高蛋白饮食或消化道出血",
            when_low="可见于低蛋白饮食或肝脏疾病，通常没有明显意义",
            source=KIDNEY,
        ),
        Item(
            name="尿酸",
            aliases=("血清尿酸", "血尿酸", "尿酸", "ua"),
            unit="μmol/L",
            factors={"umol/l": 1.0, "mg/dl": 59.48},
            normal=Limits(None, 420),
            possible=Limits(20, 2000),
            when_high="为高尿酸血症，可引起痛风和肾结石",
            advice="少吃内脏、海鲜和浓肉汤，不饮酒和含糖饮料，每天饮水2000毫升以上（心肾功能不全者遵医嘱）",
            source=URIC_ACID,
        ),
        Item(
            name="估算肾小球滤过率",
            aliases=("估算肾小球滤过率", "肾小球滤过率", "egfr", "gfr"),
            unit="ml/min/1.73m²",
            factors={"ml/min/1.73m2": 1.0},
            normal=Limits(90, None),
            possible=Limits(1, 200),
            critical=Limits(15, None),
            when_low="提示肾脏的滤过功能下降，低于60并持续3个月以上属于慢性肾脏病",
            advice="请到肾内科就诊，复查肾功能、尿常规和尿白蛋白/肌酐比值",
            source=KDIGO,
        ),
    ),
)
