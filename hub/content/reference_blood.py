"""What is measured in blood and at the cuff: data, each item with where its range is published. Changing one is a medical decision.

Ranges are those for adults. `critical` has no national list: the figures follow what Chinese hospitals commonly report at
once, and are this platform's own. What the sources say was not checked against the printed originals.
"""

from typing import Any

from hub.content.reference import Item, Kind, Limits

BLOOD_CELLS = "WS/T 405—2012 血细胞分析参考区间"
ENZYMES = "WS/T 404.1—2012 临床常用生化检验项目参考区间（ALT、AST、ALP、GGT）"
PROTEINS = "WS/T 404.2—2012 临床常用生化检验项目参考区间（总蛋白、白蛋白）"
BILIRUBIN = "WS/T 404.4—2018 临床常用生化检验项目参考区间（胆红素）"
KIDNEY = "WS/T 404.5—2015 临床常用生化检验项目参考区间（尿素、肌酐）"
PROCEDURES = "全国临床检验操作规程"
LIPIDS = "中国血脂管理指南（2023年）"
URIC_ACID = "中国高尿酸血症与痛风诊疗指南（2019年）"
KDIGO = "KDIGO 慢性肾脏病评价与管理指南（2012年）"
DIABETES = "中国糖尿病防治指南（2024版）"
HYPERTENSION = "中国高血压防治指南（2024年修订版）"

_CELLS = {"10^9/l": 1.0, "/ul": 0.001, "/mm3": 0.001}
_MILLIONS = {"10^12/l": 1.0}
_GRAMS = {"g/l": 1.0, "g/dl": 10.0}
_SHARE = {"%": 1.0}
_FRACTION = {"%": 0.01, "l/l": 1.0, "": 1.0}


def _share(name: str, aliases: tuple[str, ...], low: float, high: float, means: tuple[str, str]) -> Item:
    """A kind of white cell as a percentage."""
    return Item(
        name=name,
        aliases=aliases,
        unit="%",
        factors=_SHARE,
        normal=Limits(low, high),
        possible=Limits(0, 100),
        when_high=means[0],
        when_low=means[1],
        source=BLOOD_CELLS,
    )


def _cells(name: str, aliases: tuple[str, ...], low: float, high: float, **more: Any) -> Item:  # Any: fields of `Item`
    """A count of white cells or platelets."""
    fields = {"possible": Limits(0, 500), "source": BLOOD_CELLS} | {"normal": Limits(low, high)} | more
    return Item(name=name, aliases=aliases, unit="10^9/L", factors=_CELLS, **fields)


_NEUTROPHILS = ("常见于细菌感染、炎症、应激或使用激素", "可见于病毒感染、某些药物影响或血液系统疾病")
_LYMPHOCYTES = ("常见于病毒感染", "可见于急性感染初期、使用激素或免疫功能下降")
_MONOCYTES = ("可见于感染恢复期或慢性炎症", "通常没有明显意义")
_EOSINOPHILS = ("常见于过敏、哮喘、湿疹或寄生虫感染", "通常没有明显意义")
_BASOPHILS = ("少见，可见于过敏或血液系统疾病", "通常没有明显意义")
_ANAEMIA = "建议在医生指导下检查铁蛋白、叶酸和维生素B12，查明原因再治疗"

BLOOD_ROUTINE = Kind(
    code="blood_routine",
    name="血常规",
    aliases=("血常规", "血细胞分析", "全血细胞计数", "bloodroutine", "cbc"),
    advice="感染、脱水、剧烈运动和月经都会影响血常规，轻度异常可在1至2周后复查",
    items=(
        _cells(
            "白细胞计数",
            ("白细胞计数", "白细胞总数", "白细胞数", "白细胞", "wbc"),
            3.5,
            9.5,
            critical=Limits(1.5, 30),
            when_high="常见于细菌感染、炎症或应激，也可见于剧烈运动后",
            when_low="常见于病毒感染，也可见于某些药物影响或血液系统疾病",
            advice="如有发热、咽痛、咳嗽等不适，请到发热门诊或内科就诊；没有不适可复查血常规",
        ),
        _share(
            "中性粒细胞百分比", ("中性粒细胞百分比", "中性粒细胞比率", "中性粒细胞%", "neut%"), 40, 75, _NEUTROPHILS
        ),
        _cells(
            "中性粒细胞绝对值",
            ("中性粒细胞绝对值", "中性粒细胞计数", "中性粒细胞数", "中性粒细胞#", "neut#"),
            1.8,
            6.3,
            critical=Limits(0.5, None),
            when_high=_NEUTROPHILS[0],
            when_low=_NEUTROPHILS[1],
        ),
        _share("淋巴细胞百分比", ("淋巴细胞百分比", "淋巴细胞比率", "淋巴细胞%", "lymph%"), 20, 50, _LYMPHOCYTES),
        _cells(
            "淋巴细胞绝对值",
            ("淋巴细胞绝对值", "淋巴细胞计数", "淋巴细胞数", "淋巴细胞#", "lymph#"),
            1.1,
            3.2,
            when_high=_LYMPHOCYTES[0],
            when_low=_LYMPHOCYTES[1],
        ),
        _share("单核细胞百分比", ("单核细胞百分比", "单核细胞比率", "单核细胞%", "mono%"), 3, 10, _MONOCYTES),
        _share(
            "嗜酸性粒细胞百分比",
            ("嗜酸性粒细胞百分比", "嗜酸性粒细胞%", "嗜酸粒细胞百分比", "eo%"),
            0.4,
            8,
            _EOSINOPHILS,
        ),
        _share(
            "嗜碱性粒细胞百分比", ("嗜碱性粒细胞百分比", "嗜碱性粒细胞%", "嗜碱粒细胞百分比", "baso%"), 0, 1, _BASOPHILS
        ),
        Item(
            name="红细胞计数",
            aliases=("红细胞计数", "红细胞总数", "红细胞数", "红细胞", "rbc"),
            unit="10^12/L",
            factors=_MILLIONS,
            normal=Limits(4.3, 5.8),
            female=Limits(3.8, 5.1),
            possible=Limits(0.3, 15),
            when_high="可见于脱水、长期缺氧（如高原居住、慢性肺病）或血液系统疾病",
            when_low="提示贫血可能",
            source=BLOOD_CELLS,
        ),
        Item(
            name="血红蛋白",
            aliases=("血红蛋白浓度", "血红蛋白", "血色素", "hgb", "hb"),
            unit="g/L",
            factors=_GRAMS,
            normal=Limits(130, 175),
            female=Limits(115, 150),
            possible=Limits(10, 300),
            critical=Limits(60, 200),
            when_high="可见于脱水、长期缺氧或血液系统疾病",
            when_low="提示贫血，常见原因有缺铁、失血和慢性病",
            advice=_ANAEMIA,
            source=BLOOD_CELLS,
        ),
        Item(
            name="红细胞压积",
            aliases=("红细胞压积", "红细胞比容", "血细胞比容", "hct"),
            unit="L/L",
            factors=_FRACTION,
            normal=Limits(0.40, 0.50),
            female=Limits(0.35, 0.45),
            possible=Limits(0.05, 0.8),
            when_high="可见于脱水或长期缺氧",
            when_low="提示贫血可能",
            source=BLOOD_CELLS,
        ),
        Item(
            name="平均红细胞体积",
            aliases=("平均红细胞体积", "红细胞平均体积", "mcv"),
            unit="fL",
            factors={"fl": 1.0},
            normal=Limits(82, 100),
            possible=Limits(40, 160),
            when_high="可见于叶酸或维生素B12缺乏、饮酒",
            when_low="可见于缺铁或地中海贫血",
            source=BLOOD_CELLS,
        ),
        Item(
            name="平均红细胞血红蛋白量",
            aliases=("平均红细胞血红蛋白含量", "平均红细胞血红蛋白量", "平均血红蛋白量", "mch"),
            unit="pg",
            factors={"pg": 1.0},
            normal=Limits(27, 34),
            possible=Limits(10, 60),
            when_high="可见于叶酸或维生素B12缺乏",
            when_low="可见于缺铁或地中海贫血",
            source=BLOOD_CELLS,
        ),
        Item(
            name="平均红细胞血红蛋白浓度",
            aliases=("平均红细胞血红蛋白浓度", "平均血红蛋白浓度", "mchc"),
            unit="g/L",
            factors=_GRAMS,
            normal=Limits(316, 354),
            possible=Limits(200, 450),
            when_high="少见，可见于遗传性球形红细胞增多症或标本溶血",
            when_low="可见于缺铁",
            source=BLOOD_CELLS,
        ),
        _cells(
            "血小板计数",
            ("血小板计数", "血小板总数", "血小板数", "血小板", "plt"),
            125,
            350,
            possible=Limits(0, 3000),
            critical=Limits(30, 1000),
            when_high="可见于感染、炎症、缺铁或血液系统疾病",
            when_low="可见于病毒感染、药物影响、免疫性疾病或标本凝集",
            advice="血小板减少时请留意皮肤瘀点、牙龈和鼻出血，避免磕碰，并尽快复查",
        ),
        Item(
            name="C反应蛋白",
            aliases=("超敏c反应蛋白", "c反应蛋白", "c-反应蛋白", "hs-crp", "hscrp", "crp"),
            unit="mg/L",
            factors={"mg/l": 1.0, "mg/dl": 10.0},
            normal=Limits(None, 10),
            possible=Limits(0, 600),
            when_high="提示体内有炎症或感染，细菌感染时升高更明显",
            source=PROCEDURES,
        ),
    ),
)
