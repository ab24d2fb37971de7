"""The catalogue's texts about what is due: the kinds of timers in words, and the status of the schedulers."""

SCHEDULE: dict[str, tuple[str, str]] = {
    "timer_appointment_reminder": ("就诊提醒", "reminder of an appointment"),
    "timer_plan_due": ("健康计划提醒", "an occurrence of a plan is due"),
    "timer_plan_missed": ("健康计划逾期检查", "an occurrence of a plan was missed"),
    "timer_plan_window": ("健康计划排期", "occurrences of a plan are made ahead"),
    "timer_alert_step": ("警报升级", "the next step of an alert"),
    "schedule_ticking": ("调度器运行正常", "The schedulers are at work"),
    "schedule_silent": ("超过 30 秒没有调度器在工作", "No scheduler has done anything for 30 s"),
    "schedule_well": ("正常", "well"),
    "schedule_failing": ("失败", "failing"),
    "schedule_late": ("延迟", "late"),
    "schedule_system": ("系统", "the hub"),
    "schedule_moment_invalid": (
        "应为时间，如 2026-12-01T09:00（未写时区则为上海时间）",
        "A time like 2026-12-01T09:00+08:00; without an offset it is Shanghai's",
    ),
    "schedule_person_unknown": ("没有这个用户（请填写用户编号或手机号）", "No such person; give an id or a phone"),
    "schedule_wet": (
        "到期事项由调度器处理，此命令只预览：请加 --dry-run",
        "What is due is the schedulers' business; this command only looks: add --dry-run",
    ),
}
