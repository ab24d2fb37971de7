"""The catalogue's texts about plans: what they are called, and why something about one is refused."""

PLANS: dict[str, tuple[str, str]] = {
    "plan_medication": ("用药", "Medication"),
    "plan_measurement": ("测量", "Measurement"),
    "plan_exercise": ("运动", "Exercise"),
    "plan_visit": ("就诊", "Visit"),
    "plan_is_paused": ("计划已暂停", "The plan is paused"),
    "critical_unwanted": ("仅测量计划可以标记为关键", "Only a plan to measure can be critical"),
    "occurrence_is_done": ("此项已完成", "It has been done"),
    "occurrence_is_skipped": ("此项已跳过", "It has been skipped"),
    "occurrence_is_missed": ("此项已错过，不能执行此操作", "It was missed; this is not possible any more"),
    "occurrence_early": ("时间未到，不能执行此操作", "It is too early for this"),
    "snoozes_many": ("最多稍后提醒 3 次", "It can be put off three times at most"),
}
