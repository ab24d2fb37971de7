"""The catalogue's texts about alerts: what those on duty read, what the person is advised, and why a change is refused."""

ALERTS: dict[str, tuple[str, str]] = {
    # Why something is refused.
    "alert_is_taken": ("已有人处理此警报", "Somebody has this alert already"),
    "alert_is_resolved": ("此警报已处理完毕", "This alert is resolved"),
    "alert_phone_last": ("电话任务只能是最后一步", "A phone task is the last step only"),
    "alert_phone_kept": ("危急警报的最后一步必须是电话任务", "A critical ladder ends in a phone task"),
    "alert_step_long": ("此步骤的时限过长", "This step may not take so long"),
    "alert_repeats_soon": ("最后一步会重复，时限至少 60 秒", "The last step is repeated: 60 seconds at least"),
    "notice_why_taken": ("已由他人处理", "Somebody else has it"),
    "notice_why_acknowledged": ("用户已确认", "The person acknowledged it"),
    # What those on duty read in their inbox.
    "alert_drill": ("【演练】", "[Drill] "),
    "alert_title_critical": ("【危急】健康警报，请立即处理", "Critical alert: act at once"),
    "alert_title_warning": ("健康警报，请处理", "Alert: please act"),
    "alert_told_doctor_on_call": (
        "您是值班医生，请看提醒详情并确认接手；{until} 前无人确认，将通知后备人员。",
        "You are on call: open the alert and acknowledge it; after {until} the backup is told.",
    ),
    "alert_told_backup": (
        "您是后备值班，请看提醒详情并确认接手；{until} 前无人确认，将通知协调员。",
        "You are the backup: open the alert and acknowledge it; after {until} the coordinator is told.",
    ),
    "alert_told_coordinator": (
        "请看提醒详情，立即联系可处理的医生，或自行确认接手；{until} 前无人确认，将继续升级。",
        "Open the alert and find a doctor, or acknowledge it yourself; after {until} it goes on.",
    ),
    "alert_told_phone_task": (
        "至今无人确认。请看提醒详情，立即打电话给用户和值班医生，并确认接手；{until} 前无人确认，将再次通知。",
        "Nobody has acknowledged. Open the alert, phone the person and the doctor now; told again after {until}.",
    ),
    "alert_told_acknowledged": (
        "{name}已确认接手此警报，您无需再处理。",
        "{name} has the alert; nothing is left for you.",
    ),
    "alert_told_resolved": (
        "{name}已处理完此警报，您无需再处理。",
        "{name} resolved the alert; nothing is left for you.",
    ),
    # What the person is advised at once.
    "alert_advice_critical_reading": (
        "您刚上传的测量值处于危急范围。如有胸痛、呼吸困难、意识不清、肢体无力等不适，请立即拨打120，不要自行驾车，也不要等待回复。"
        "如无不适，请静坐休息几分钟后按说明重新测量；仍然异常，请尽快就医。",
        "Your reading is in the critical range. If you feel unwell, call 120 at once and do not wait for an answer. "
        "Otherwise rest for some minutes and measure again; if it stays so, see a doctor soon.",
    ),
    "alert_advice_warning_reading": (
        "您刚上传的测量值需要留意，请休息几分钟后重新测量。如有不适，请及时就医；情况紧急请立即拨打120。",
        "Your reading needs attention: rest for some minutes and measure again. In an emergency call 120.",
    ),
    "alert_advice_critical_missed": (
        "您有一次重要测量尚未完成，请现在测量并上传。如有胸痛、呼吸困难、意识不清等不适，请立即拨打120。",
        "An important measurement was missed: please measure now. If you feel unwell, call 120 at once.",
    ),
    "alert_advice_warning_missed": (
        "您有一次重要测量尚未完成，请尽快测量并上传，工作人员可能会与您联系。如有不适，请及时就医；情况紧急请立即拨打120。",
        "An important measurement was missed: please measure soon; somebody may contact you. In an emergency call 120.",
    ),
    "alert_advice_critical_manual": (
        "工作人员正在紧急关注您的情况，请保持电话畅通。如有胸痛、呼吸困难、意识不清等不适，请立即拨打120，不要等待回复。",
        "Somebody is looking after you urgently: keep your phone at hand. If you feel unwell, call 120 at once.",
    ),
    "alert_advice_warning_manual": (
        "工作人员正在关注您的情况，可能会与您联系，请保持电话畅通。情况紧急请立即拨打120。",
        "Somebody is looking after you and may call: keep your phone at hand. In an emergency call 120.",
    ),
}
