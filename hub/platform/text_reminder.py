"""The catalogue's texts of reminders of appointments: what each person reads in their inbox."""

REMINDER: dict[str, tuple[str, str]] = {
    "answers_many": ("已多次更改答复，请联系工作人员", "Answered too often; please call our staff"),
    "reminder_twice": ("提醒时间重复", "The same time is given twice"),
    "reminder_patient_title": ("您的预约即将开始", "Your appointment is coming up"),
    "reminder_patient": (
        "{what}。请提前到达，并带好身份证件；能否前来，请在此预约中确认。",
        "{what}. Please come a little early and bring your ID; tell us in the appointment whether you can come.",
    ),
    "reminder_orderer_title": ("您为{name}安排的预约即将开始", "The appointment that you made for {name} is coming up"),
    "reminder_orderer": (
        "{what}。请提醒对方按时到达；能否前来，请在此预约中确认。",
        "{what}. Please remind them; tell us in the appointment whether they can come.",
    ),
    "reminder_companion_title": ("陪诊提醒：{name}", "You accompany {name}"),
    "reminder_companion": (
        "{what}。请提前到达约定地点，并与客户取得联系。",
        "{what}. Please be there early and get in touch with them.",
    ),
    "reminder_doctor_title": ("接诊提醒：{name}", "Your next appointment: {name}"),
    "reminder_doctor": ("{what}", "{what}"),
}
