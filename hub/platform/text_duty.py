"""The catalogue's texts about duty rosters and emergencies: why a shift is refused, and what is said at once to who needs help."""

DUTY: dict[str, tuple[str, str]] = {
    "duty_user_unknown": ("没有这位在职人员", "There is no such active account"),
    "duty_user_unfit": ("该人员的身份不能担任此值班角色", "Not an account that may have this role"),
    "duty_far": ("值班开始时间不能超过一年以后", "Begins within a year"),
    "duty_length": (
        "结束时间应晚于开始时间，且一班不超过 7 天",
        "Later than `startsAt`, and a shift lasts 7 days at most",
    ),
    "duty_over": ("该值班已经结束", "This shift is over"),
    "duty_overlaps": ("该人员在此时间已有同一角色的值班", "This person has that role at that time already"),
    "duty_window": ("结束时间应晚于开始时间，且一次最多查询 93 天", "Later than `from`, and 93 days at most"),
}
EMERGENCY: dict[str, tuple[str, str]] = {
    "emergency_critical": (
        "【紧急提示】您描述的情况可能危及生命。请立即拨打 120，或请身边的人帮忙拨打；不要在这里等待回复，也不要独自前往医院。"
        "等待救护时请保持通话畅通，听从 120 调度员的指导。我们也会通知值班人员。",
        "Urgent: what you describe may be life-threatening. Call 120 now, or ask somebody near you to; do not wait here for an answer, "
        "and do not go to hospital alone. Stay on the line and do as the dispatcher says. Our staff on duty are told as well.",
    ),
    "emergency_warning": (
        "【重要提示】您描述的情况需要尽快就医，请不要在这里等待回复。请立即联系身边的人陪同前往最近的医院急诊；如果加重，"
        "或者出现胸痛、呼吸困难、大量出血、意识不清，请立即拨打 120。我们也会通知值班人员。",
        "Important: what you describe needs a doctor soon; do not wait here for an answer. Go to the nearest emergency department with "
        "somebody; if it gets worse, call 120 at once. Our staff on duty are told as well.",
    ),
    "emergency_mind": (
        "【紧急提示】您现在可能非常难受，请不要独自承受。请立即拨打全国心理援助热线 12356（24 小时）；如果已经受伤、服药，或有"
        "马上伤害自己的危险，请立即拨打 120，并请身边的人陪着您。不要在这里等待回复。我们也会通知值班人员。",
        "Urgent: please do not face this alone. Call the national helpline 12356 now, day or night; if you are hurt, have taken "
        "something or may harm yourself at once, call 120 and have somebody stay with you. Do not wait here for an answer. "
        "Our staff on duty are told as well.",
    ),
}
