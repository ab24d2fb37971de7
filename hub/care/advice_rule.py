"""The rules of advice: data, in Chinese and English. Each compares with the reference and says when to see a doctor; none
names an illness that somebody has. What counts as high or low is `guideline`'s.
"""

from collections.abc import Sequence

from hub.care.advice import ADVICE_LEVELS, ANY_COUNT, Advice, Facts, Rule
from hub.care.model import Level, RecordType

FEW = 5
# One reading outside now and then is no pattern, a quarter of them is.
OFTEN = 0.25

_RAISED: tuple[Level, ...] = ("elevated", "high", "very_high")
_HIGH: tuple[Level, ...] = ("high", "very_high")
_LOW: tuple[Level, ...] = ("low", "very_low")
_PRESSURE: tuple[RecordType, ...] = ("blood_pressure",)
_GLUCOSE: tuple[RecordType, ...] = ("blood_glucose",)
_RATE: tuple[RecordType, ...] = ("heart_rate",)
_OXYGEN: tuple[RecordType, ...] = ("spo2",)
_TEMPERATURE: tuple[RecordType, ...] = ("temperature",)
_WEIGHT: tuple[RecordType, ...] = ("weight",)
_STEPS: tuple[RecordType, ...] = ("steps",)
_SLEEP: tuple[RecordType, ...] = ("sleep",)

_EMPTY = Rule(
    "info",
    "这段时间没有记录。请按医生的建议测量；如有不适，请及时就医。",
    "There are no readings of this time. Measure as your doctor advised; see a doctor if you feel unwell.",
    counted=(0, 0),
)
# What is said where nothing was measured at all.
NOTHING = Advice(_EMPTY.level, _EMPTY.zh, _EMPTY.en)
RULES: tuple[Rule, ...] = (
    _EMPTY,
    Rule(
        "urgent",
        "有 {critical} 次读数处于需要立即处理的范围。如果现在仍是这样，或出现胸痛、呼吸困难、意识模糊、肢体无力，请立即拨打 120；"
        "即使已经好转，也请尽快就医。",
        "{critical} readings were in the range that needs action at once. If it is still so, or with chest pain, trouble "
        "breathing, confusion or weakness of a limb, call 120 now; see a doctor soon even if it has passed.",
        critical=1,
    ),
    Rule(
        "warning",
        "平均血压 {average}，收缩压或舒张压达到 140/90 mmHg 的参考界值。请在一周内就医，由医生判断是否需要治疗或调整用药；"
        "不要自行加减药量。"
        "若出现剧烈头痛、胸痛或视物模糊，请立即就医。",
        "The average of {average} reaches the reference of 140/90 mmHg on one side at least. See a doctor within a week, who "
        "decides about treatment; do not change medicines on your own. With severe headache, chest pain or blurred vision, go at once.",
        types=_PRESSURE,
        levels=_HIGH,
    ),
    Rule(
        "attention",
        "平均血压 {average}，处于正常高值。建议每日食盐不超过 5 克、规律运动、限酒，并定期测量；若多次达到 140/90 mmHg，请就医。",
        "The average of {average} is high-normal. Keep salt under 5 g a day, move regularly, drink little alcohol and go on measuring; "
        "see a doctor if it reaches 140/90 mmHg several times.",
        types=_PRESSURE,
        levels=("elevated",),
    ),
    Rule(
        "attention",
        "平均血压 {average}，偏低。起身时请放慢；若常头晕、乏力或曾晕倒，请就医，服用降压药者请告诉医生。",
        "The average of {average} is low. Stand up slowly; see a doctor if you are often dizzy, weak or have fainted, and tell "
        "them if you take medicine for blood pressure.",
        types=_PRESSURE,
        levels=_LOW,
    ),
    Rule(
        "warning",
        "平均血糖 {average}，明显高于参考范围或控制目标。请在一周内就医复查；若口渴多尿、恶心呕吐或意识不清，请立即就医。",
        "The average of {average} is far above the reference or the target. See a doctor within a week; with thirst and much urine, "
        "vomiting or confusion, go at once.",
        types=_GLUCOSE,
        levels=_HIGH,
    ),
    Rule(
        "attention",
        "平均血糖 {average}，高于参考范围或控制目标。请注意饮食和运动，并在下次就诊时告诉医生；若继续升高，请提前就医。",
        "The average of {average} is above the reference or the target. Mind food and exercise and tell your doctor at the next "
        "visit; go earlier if it keeps rising.",
        types=_GLUCOSE,
        levels=("elevated",),
    ),
    Rule(
        "warning",
        "平均血糖 {average}，偏低。请随身带糖；出现心慌、出汗、手抖时先进食含糖食物，并尽快就医，用降糖药者不要自行调整。",
        "The average of {average} is low. Carry sugar; with palpitations, sweating or trembling eat it first, then see a doctor soon. "
        "Do not change medicines on your own.",
        types=_GLUCOSE,
        levels=_LOW,
    ),
    Rule(
        "warning",
        "平均心率 {average}，明显偏快。请在安静时复测并尽快就医；若胸痛、气促或晕厥，请立即拨打 120。",
        "The average of {average} is very fast. Measure again at rest and see a doctor soon; with chest pain, breathlessness or "
        "fainting, call 120.",
        types=_RATE,
        levels=_HIGH,
    ),
    Rule(
        "attention",
        "平均心率 {average}，偏快。请在静坐五分钟后测量，少喝咖啡和浓茶；若持续一周以上或感到心慌，请就医。",
        "The average of {average} is fast. Measure after sitting for five minutes, with little coffee and strong tea; see a doctor if "
        "it lasts over a week or you feel palpitations.",
        types=_RATE,
        levels=("elevated",),
    ),
    Rule(
        "attention",
        "平均心率 {average}，偏慢。常运动的人可能如此；若头晕、乏力或曾晕倒，请就医。",
        "The average of {average} is slow, which exercise can bring about; see a doctor if you are dizzy, weak or have fainted.",
        types=_RATE,
        levels=_LOW,
    ),
    Rule(
        "warning",
        "平均血氧饱和度 {average}，偏低。请保暖手指后复测；若仍低于 94%，请当天就医，呼吸困难或口唇发紫时立即拨打 120。",
        "The average of {average} is low. Warm the finger and measure again; if it stays under 94 %, see a doctor the same day, and "
        "call 120 with trouble breathing or blue lips.",
        types=_OXYGEN,
        levels=_LOW,
    ),
    Rule(
        "warning",
        "平均体温 {average}，偏高。请多饮水、休息；若超过 39.1 °C、持续三天以上，或伴抽搐、呼吸困难、意识不清，请立即就医。",
        "The average of {average} is high. Drink and rest; see a doctor at once above 39.1 °C, after three days, or with "
        "seizures, trouble breathing or confusion.",
        types=_TEMPERATURE,
        levels=_HIGH,
    ),
    Rule(
        "attention",
        "平均体温 {average}，略高。请多饮水并继续测量；若持续三天以上或升高，请就医。",
        "The average of {average} is a little high. Drink and go on measuring; see a doctor after three days or if it rises.",
        types=_TEMPERATURE,
        levels=("elevated",),
    ),
    Rule(
        "attention",
        "平均体温 {average}，偏低。请保暖，检查测量方法后复测；若低于 35 °C 或精神不佳，请就医。",
        "The average of {average} is low. Keep warm and measure again with care; see a doctor under 35 °C or if drowsy.",
        types=_TEMPERATURE,
        levels=_LOW,
    ),
    Rule(
        "warning",
        "按平均体重 {average} 计算，BMI 达到 28 或以上。建议就医或咨询营养门诊，在医生指导下减重。",
        "By the average weight of {average} the BMI is 28 or more. Ask a doctor or dietitian and lose weight under guidance.",
        types=_WEIGHT,
        levels=_HIGH,
    ),
    Rule(
        "attention",
        "按平均体重 {average} 计算，BMI 在 24 至 28 之间。建议均衡饮食、每周运动 150 分钟以上；若合并血压或血糖偏高，请就医。",
        "By the average weight of {average} the BMI is between 24 and 28. Eat well and move for 150 minutes a week; see a doctor if "
        "blood pressure or glucose is high as well.",
        types=_WEIGHT,
        levels=("elevated",),
    ),
    Rule(
        "attention",
        "按平均体重 {average} 计算，BMI 低于 18.5。请注意营养；若无故消瘦或食欲差，请就医。",
        "By the average weight of {average} the BMI is under 18.5. Mind your food; see a doctor if you lose weight or appetite "
        "without a reason.",
        types=_WEIGHT,
        levels=_LOW,
    ),
    Rule(
        "attention",
        "平均每日 {average}，少于推荐的 6000 步。请循序渐进地增加活动；运动时若胸闷、气促，请停止并就医。",
        "The average of {average} a day is under the recommended 6000. Walk a little more each week; if exercise brings chest pain "
        "or breathlessness, stop and see a doctor.",
        types=_STEPS,
        levels=_LOW,
    ),
    Rule(
        "attention",
        "平均睡眠 {average}，少于推荐的 7 小时。请固定作息，睡前少看屏幕；若失眠持续一个月以上或影响白天，请就医。",
        "The average of {average} is under the recommended 7. Keep regular hours and few screens before bed; see a doctor if it "
        "lasts over a month or troubles your days.",
        types=_SLEEP,
        levels=_LOW,
    ),
    Rule(
        "attention",
        "平均睡眠 {average}，偏长。若睡够后白天仍困倦、打鼾或情绪低落，请就医。",
        "The average of {average} is long. See a doctor if you are still sleepy by day, snore, or feel low.",
        types=_SLEEP,
        levels=("elevated",),
    ),
    Rule(
        "attention",
        "平均值 {average} 在参考范围内，但有 {share} 的读数超出范围。请记下当时的情形，并在下次就诊时告诉医生；若伴不适，请提前就医。",
        "The average of {average} is within the reference, but {share} of the readings are not. Note the circumstances and tell your "
        "doctor at the next visit; go earlier if you feel unwell.",
        types=("blood_pressure", "blood_glucose", "heart_rate", "spo2", "temperature"),
        levels=("normal",),
        outside=OFTEN,
        counted=(FEW, ANY_COUNT),
    ),
    Rule(
        "attention",
        "读数呈上升趋势。请按时测量，并把记录带给医生看；若继续上升，请提前就医。",
        "The readings are rising. Go on measuring and show them to your doctor; go earlier if they keep rising.",
        types=("blood_pressure", "blood_glucose", "heart_rate", "temperature", "weight"),
        levels=_RAISED,
        direction="up",
    ),
    Rule(
        "info",
        "读数在参考范围内，但呈上升趋势。请继续测量；若超出参考范围，请就医。",
        "The readings are within the reference, but rising. Go on measuring; see a doctor if they leave it.",
        types=("blood_pressure", "blood_glucose", "heart_rate", "temperature", "weight"),
        levels=("normal",),
        direction="up",
    ),
    Rule(
        "attention",
        "血氧饱和度呈下降趋势。请继续测量；若低于 94% 或感到气促，请就医。",
        "Oxygen saturation is falling. Go on measuring; see a doctor under 94 % or with breathlessness.",
        types=_OXYGEN,
        direction="down",
    ),
    Rule(
        "attention",
        "体重呈下降趋势。若不是有意减重，请就医。",
        "Weight is falling. If you do not mean it to, see a doctor.",
        types=_WEIGHT,
        levels=("low", "normal", "unrated"),
        direction="down",
    ),
    Rule(
        "info",
        "步数或睡眠呈下降趋势。请留意原因；若伴乏力或情绪低落超过两周，请就医。",
        "There are fewer steps or less sleep than before. Mind why; see a doctor if you are weak or low for over two weeks.",
        types=("steps", "sleep"),
        direction="down",
    ),
    Rule(
        "info",
        "这些是运动中的心率，不作评估。运动时若胸痛、气促或晕厥，请停止运动并立即就医。",
        "These were taken during exercise and are not rated. With chest pain, breathlessness or fainting, stop and see a "
        "doctor at once.",
        types=_RATE,
        levels=("unrated",),
    ),
    Rule(
        "info",
        "健康档案中没有身高，无法评估体重。请补充身高；若体重在短期内明显变化，请就医。",
        "The profile has no height, so weight is not rated. Add it; see a doctor if weight changes much in a short time.",
        types=_WEIGHT,
        levels=("unrated",),
    ),
    Rule(
        "info",
        "平均值 {average}，在参考范围内。请保持现有习惯并定期测量；若感到不适，请就医。",
        "The average of {average} is within the reference. Keep it up and go on measuring; see a doctor if you feel unwell.",
        levels=("normal",),
    ),
    Rule(
        "info",
        "记录较少，以上仅供参考。建议连续一周定时测量；若已有不适，不必等待，请就医。",
        "These are few readings, so take it with care. Measure for a week at fixed hours; see a doctor without waiting if you "
        "feel unwell.",
        counted=(1, FEW - 1),
    ),
)


def advise(facts: Facts) -> Sequence[Advice]:
    """What the rules say, the gravest first; never nothing."""
    said = [rule.advice(facts) for rule in RULES if rule.fits(facts)]
    return sorted(said, key=lambda each: ADVICE_LEVELS.index(each.level), reverse=True)
