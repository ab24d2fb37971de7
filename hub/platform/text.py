"""The one catalogue of texts for people: zh-CN first, English on request."""

from typing import Literal

from hub.platform.text_alert import ALERTS
from hub.platform.text_directory import DIRECTORY
from hub.platform.text_duty import DUTY, EMERGENCY
from hub.platform.text_health import HEALTH
from hub.platform.text_ledger import LEDGER
from hub.platform.text_notice import NOTICE
from hub.platform.text_plan import PLANS
from hub.platform.text_reminder import REMINDER
from hub.platform.text_schedule import SCHEDULE
from hub.platform.text_webhook import WEBHOOKS

Language = Literal["zh", "en"]

TEXTS: dict[str, tuple[str, str]] = {
    "ok": ("操作成功", "OK"),
    # One per error code.
    "malformed": ("无法解析收到的数据", "The data could not be parsed"),
    "unknown_op": ("不支持的操作", "Unknown operation"),
    "invalid": ("请求参数有误，请检查标出的字段", "Some fields are not valid; see `fields`"),
    "frame_too_large": ("消息过大", "The frame is too large"),
    "too_large": ("内容超过允许的大小", "The content is larger than allowed"),
    "wrong_frame_type": ("帧类型与所选子协议不符", "This subprotocol takes the other frame type (text or binary)"),
    "unsupported_media": ("不支持的文件类型", "This kind of file is not accepted"),
    "unauthorized": ("请先登录", "Please sign in"),
    "forbidden": ("没有权限执行此操作", "You may not do this"),
    "not_found": ("内容不存在", "Not found"),
    "erased": ("内容已被删除", "This was erased"),
    "method_not_allowed": ("不支持的请求方法", "Method not allowed"),
    "conflict": ("与现有数据冲突", "This conflicts with what is stored"),
    "too_late": ("已超过可操作的时间", "The time for this has passed"),
    "read_only": ("会话已只读，不能再发送", "This conversation is read-only now"),
    "code_wrong": ("验证码错误或已失效", "The code is wrong or no longer valid"),
    "rate_limited": ("操作过于频繁，请稍后再试", "Too many requests; try again later"),
    "flood": ("发送过于频繁，连接已关闭", "Too many frames; the connection is closed"),
    "slow_consumer": ("接收过慢，请重新连接", "Reading too slowly; reconnect and resume"),
    "silent": ("连接已失去响应", "Nothing was heard from this connection"),
    "hello_timeout": ("连接后未及时发送 hello", "No hello frame arrived in time"),
    "too_many_sockets": ("登录设备过多，此连接已被较新的连接替代", "Too many connections; a newer one replaced this"),
    "draining": ("服务正在更新，请稍后自动重连", "The server is being updated; reconnect shortly"),
    "overloaded": ("服务繁忙，请稍后再试", "The server is busy; try again later"),
    "unavailable": ("服务暂时不可用，请稍后重试", "Temporarily unavailable; please retry"),
    "upstream": ("外部服务暂时没有响应", "An outside service did not answer"),
    "internal": ("服务器内部错误", "Internal server error"),
    # Reasons of a refused field.
    "field_unknown": ("不支持的字段", "There is no such field"),
    "field_required": ("必填", "Required"),
    "field_unsortable": ("不支持按此字段排序", "Sorting by this is not supported"),
    "phone_invalid": ("请输入正确的手机号码", "Not a mobile number of mainland China"),
    "name_invalid": ("姓名应为 1 至 50 个字符", "A name has 1 to 50 characters"),
    "avatar_invalid": ("头像应为 https 链接", "An avatar is an https address"),
    "title_invalid": ("群名称应为 1 至 100 个字符", "A title has 1 to 100 characters"),
    "title_unwanted": ("单聊没有名称", "A direct conversation has no title"),
    "members_unknown": ("没有这个用户", "There is no such user"),
    "members_twice": ("重复的成员", "Named twice"),
    "members_one": ("单聊只能有一位对方", "A direct conversation has exactly one other member"),
    "members_out_of_reach": ("不能与此人发起会话", "You may not start a conversation with this person"),
    "members_not_in": ("不是此会话的成员", "Not a member of this conversation"),
    "members_rank": ("不能移除同级或上级成员", "Not somebody of your own rank or above"),
    "members_owner": ("请先转让群主", "Hand the ownership over first"),
    "cursor_invalid": ("分页游标无效", "Not a cursor of this list"),
    "field_twice": ("字段重复", "Given twice"),
    # What the clients say by themselves.
    "unsent_full": ("已有 {count} 条消息等待发送，请稍后再试", "{count} messages are waiting for the connection"),
    "code_needed": ("请输入短信验证码", "A code was sent by SMS"),
    "not_the_hub": ("服务器没有正常应答（HTTP {status}）", "HTTP {status} without an answer of the hub"),
    "client_cut": ("连接已断开", "The connection was lost"),
    # Attachments.
    "attachment_empty": ("文件为空", "The file is empty"),
    "attachment_type_refused": (
        "仅支持图片、语音、PDF、Office 文档和纯文本",
        "Only pictures, voice recordings, PDF, office documents without macros and plain text (UTF-8)",
    ),
    "attachment_image_broken": ("图片已损坏或不完整", "The picture is broken or incomplete"),
    "attachment_kind_other": ("文件内容与所选类型不符", "The content is of another kind"),
    "attachment_no_conversation": ("会话不存在，或您不是成员", "Unknown, or you are not a member"),
    "link_invalid": ("链接无效", "The link is not valid"),
    "link_expired": ("链接已过期，请重新获取", "The link has expired; ask for a new one"),
    # Fields of a WeChat template.
    "template_field_unknown": ("未知的字段类型", "Not a type of field that WeChat has"),
    "template_field_long": ("固定文字过长", "The fixed text alone is too long"),
    "template_field_form": ("含有此类字段不允许的字符或格式", "Not in the form that this type of field asks for"),
    "template_field_line": ("不能含有换行或控制字符", "No line breaks or control characters"),
    "template_field_empty": ("不能为空", "Must not be empty"),
    # Signing in.
    "token_expired": ("登录已过期，请重新登录", "The sign-in has expired"),
    "session_revoked": ("该设备已退出登录，请重新登录", "This device was signed out"),
    "refresh_reused": (
        "检测到重复使用的登录凭证，该设备已退出登录",
        "A used refresh token came back; the device was signed out",
    ),
    "account_inactive": ("账号未启用", "This account is not active"),
    "account_suspended": ("账号已被停用，请联系客服", "This account is suspended"),
    "sms_failed": ("短信发送失败，请稍后再试", "The text message could not be sent"),
    "wechat_unconfigured": ("微信登录未配置", "WeChat sign-in is not configured"),
    "wechat_code_invalid": ("微信登录凭证无效或已过期，请重试", "The WeChat code is not valid or was used"),
    "wechat_busy": ("微信服务繁忙，请稍后再试", "WeChat is busy; try again later"),
    "wechat_failed": ("微信登录失败，请稍后再试", "WeChat did not answer properly"),
    "push_endpoint_refused": (
        "不是受支持的推送服务地址",
        "Not the address of a push service that is named in the settings",
    ),
    "push_key_invalid": ("推送订阅的密钥无效", "Not a key of a push subscription"),
    # Relations, consents and looking after accounts.
    "relation_whom": ("请填写手机号或用户编号，二者选一", "Name either a phone or a user, not both"),
    "relation_self": ("不能与自己建立关系", "Not with oneself"),
    "relation_expiry": ("到期时间应在将来，且不超过十年", "In the future, and within ten years"),
    "relation_exists": ("已有此关系或待处理的请求", "There is such a relation, or a request that waits"),
    "relation_not_asked": ("请等待对方处理您的请求", "It is the other side's to answer"),
    "relation_is_active": ("关系已生效，不能执行此操作", "The relation is active; this is not possible now"),
    "relation_is_declined": ("请求已被拒绝，不能执行此操作", "The request was declined; this is not possible now"),
    "relation_is_ended": ("关系已结束，不能执行此操作", "The relation has ended; this is not possible now"),
    "relation_is_expired": ("已过期，不能执行此操作", "This has expired; this is not possible now"),
    "relation_family": ("家人", "family"),
    "relation_caregiver": ("照护者", "caregiver"),
    "relation_nameless": ("一位用户", "Somebody"),
    "relation_asked_me": (
        "{name}请您作为{kind}代其管理健康与预约，请在“我的关系”中处理",
        "{name} asks you to act for them ({kind}); see your relations",
    ),
    "relation_asked_them": (
        "{name}申请作为{kind}代您管理健康与预约，请在“我的关系”中处理",
        "{name} asks to act for you ({kind}); see your relations",
    ),
    "consent_purpose_unknown": ("没有这项授权", "There is no such purpose"),
    "consent_version_old": ("授权内容已更新，请阅读最新版本", "Not the current version of this text"),
    "admin_self": ("不能停用自己的账号或修改自己的角色", "Not one's own status or role"),
    # Payments and refunds.
    "payment_unconfigured": ("支付功能尚未开通", "Payments are not configured here"),
    "payment_needs_wechat": (
        "请在微信小程序内登录后支付，或使用扫码支付",
        "Sign in from the mini-program, or pay with wechat_native",
    ),
    "payment_unknown": ("支付服务暂时没有响应，请稍后重试", "The payment service did not answer; try again shortly"),
    "payment_refused": ("支付服务未受理，请稍后重试", "The payment service refused; try again shortly"),
    "payment_expired": ("订单已超过支付时间", "The time to pay this order has passed"),
    "payment_too_many": ("更换支付方式次数过多", "The way to pay was changed too often"),
    "notification_forged": ("签名无效或已过期", "Not signed by the payment service, or too old"),
    "notification_invalid": ("无法识别的通知内容", "Not a notification that is understood here"),
    "notification_mismatch": ("通知与订单不符", "The notification does not fit the payment"),
    # Orders, appointments, reviews.
    "order_is_pending": ("订单待支付，不能执行此操作", "The order waits for payment; this is not possible now"),
    "order_is_paid": ("订单已支付，不能执行此操作", "The order is paid; this is not possible now"),
    "order_is_scheduled": ("预约已生效，不能执行此操作", "The appointment is scheduled; this is not possible now"),
    "order_is_confirmed": ("订单已确认，不能执行此操作", "The order is confirmed; this is not possible now"),
    "order_is_in_progress": ("服务进行中，不能执行此操作", "The service is in progress; this is not possible now"),
    "order_is_completed": ("服务已完成，不能执行此操作", "The service is completed; this is not possible now"),
    "order_is_cancelled": ("订单已取消，不能执行此操作", "The order is cancelled; this is not possible now"),
    "order_is_refunded": ("订单已退款，不能执行此操作", "The order is refunded; this is not possible now"),
    "order_is_no_show": ("已登记为未到诊，不能执行此操作", "The patient did not come; this is not possible now"),
    "service_unknown": ("没有这项服务，或已下架", "There is no such service, or it is no longer offered"),
    "provider_unknown": ("没有这位服务人员", "There is no such doctor or companion"),
    "provider_other": ("该人员不提供此项服务", "This person does not offer this service"),
    "provider_busy": ("该人员在此时间没有空闲", "This person is not free at that time"),
    "staff_unknown": ("没有这位工作人员", "There is no such staff member"),
    "doctor_or_provider": ("只能指定其中一项", "Only one of these two"),
    "assignment_empty": ("请指定服务人员或工作人员", "Name a provider or a staff member"),
    "hospital_unknown": ("没有这家医院", "There is no such hospital"),
    "department_unknown": ("没有这个科室", "There is no such department"),
    "date_invalid": ("日期格式应为 2026-01-31", "A date looks like 2026-01-31"),
    "date_past": ("日期已过", "This day is over"),
    "date_far": ("超出可预约的日期范围", "Further ahead than can be booked"),
    "time_zone_needed": ("时间应为带时区的 RFC 3339 格式", "A time is RFC 3339 with its offset"),
    "slot_past": ("已过时间", "This time has passed"),
    "slot_full": ("已约满", "Fully booked"),
    "slot_unknown": ("所选时间不在可预约时段内", "This is not one of the slots"),
    "slot_taken": ("该时段已约满，请选择其他时间", "This slot is fully booked; choose another"),
    "appointment_overlaps": ("该时间已有其他预约", "There is another appointment at that time"),
    "appointment_early": ("预约时间未到", "The appointment's time has not come"),
    "key_used": ("该幂等键已用于其他请求", "This key was used for another request"),
    "text_control": ("含有不支持的字符", "Holds a character that cannot be kept"),
    "money_invalid": ("金额应为最多两位小数的非负数", "An amount has two decimals at most and is not negative"),
    "refund_late": ("已超过可申请退款的时间", "The time for asking for a refund has passed"),
    "review_twice": ("该订单已评价", "This order was reviewed already"),
    # Trends.
    "date_out_of_range": ("日期超出可查询的范围", "Outside of the dates that can be asked about"),
    "range_too_long": ("时间范围最长两年", "Two years at most"),
    # Reports. The names of what is measured, and of how it stands.
    "type_blood_pressure": ("血压", "Blood pressure"),
    "type_blood_glucose": ("血糖", "Blood glucose"),
    "type_heart_rate": ("心率", "Heart rate"),
    "type_spo2": ("血氧饱和度", "Oxygen saturation"),
    "type_temperature": ("体温", "Temperature"),
    "type_weight": ("体重", "Weight"),
    "type_steps": ("步数", "Steps"),
    "type_sleep": ("睡眠", "Sleep"),
    "series_systolic": ("收缩压", "Systolic"),
    "series_diastolic": ("舒张压", "Diastolic"),
    "trend_up": ("上升", "Rising"),
    "trend_down": ("下降", "Falling"),
    "trend_stable": ("平稳", "Stable"),
    "risk_low": ("低", "Low"),
    "risk_medium": ("中", "Medium"),
    "risk_high": ("高", "High"),
    "risk_critical": ("危急", "Critical"),
    "advice_info": ("提示", "Note"),
    "advice_attention": ("关注", "Attention"),
    "advice_warning": ("警示", "Warning"),
    "advice_urgent": ("紧急", "Urgent"),
    "reference_between": ("参考 {low} 至 {high}", "Reference {low} to {high}"),
    "reference_from": ("参考 {low} 及以上", "Reference {low} and above"),
    "reference_below": ("参考低于 {high}", "Reference below {high}"),
    # Plans.
    "schedule_invalid": ("重复规则格式不正确（RFC 5545 RRULE）", "Not a recurrence rule of RFC 5545"),
    "schedule_part_unsupported": ("重复规则中含有不支持的部分", "A part of the rule is not supported"),
    "schedule_combination": ("重复规则中的各部分不能这样组合", "Parts of the rule do not go together"),
    "schedule_too_often": (
        "每天最多 24 次，且不支持按分钟或秒重复",
        "At most 24 times a day, and no minutes or seconds as frequency",
    ),
    "schedule_interval": ("重复间隔过长", "The interval is too long"),
    "schedule_count": ("次数最多 1000 次，并须在五年内完成", "At most 1000 times, all within five years"),
    "schedule_count_until": ("不能同时指定次数和结束时间", "Either a count or an end"),
    "schedule_never": ("此规则在开始后五年内不会发生", "This does not happen within five years of its start"),
    "timezone_unknown": (
        "未知的时区，应为 IANA 时区名，例如 Asia/Shanghai",
        "Not a zone of the IANA database, such as Asia/Shanghai",
    ),
    "starts_at_invalid": (
        "应为所选时区的日期或时间，例如 2026-01-31 或 2026-01-31T08:00",
        "A date or a time in the plan's zone, without an offset: 2026-01-31 or 2026-01-31T08:00",
    ),
    "until_invalid": (
        "应为日期，或带时区的 RFC 3339 时间",
        "A date, or a time of RFC 3339 with its offset",
    ),
    "until_before_start": ("结束时间早于开始时间", "Ends before it starts"),
    "until_before_first": ("在结束时间之前不会发生", "Does not happen before its end"),
    "until_twice": ("与重复规则中的 UNTIL 不一致", "Not what the rule's own UNTIL says"),
    "measurement_type_unwanted": ("仅测量计划可以指明测量项目", "Only a plan to measure names what"),
    "plan_is_ended": ("计划已结束，不能修改", "The plan has ended and cannot be changed"),
    "plans_critical_too_many": (
        "重要测量计划过多，请先结束不需要的计划",
        "Too many critical plans; end those no longer needed",
    ),
    "plans_too_many": ("进行中的计划过多，请先结束不需要的计划", "Too many plans; end those that are no longer needed"),
    # The knowledge base.
    "article_is_draft": ("文章是草稿，不能执行此操作", "The article is a draft; this is not possible now"),
    "article_is_published": ("文章已发布，不能执行此操作", "The article is published; this is not possible now"),
    "article_is_archived": ("文章已归档，不能执行此操作", "The article is archived; this is not possible now"),
    "article_changed": ("文章已被他人修改，请刷新后重试", "Somebody changed it meanwhile; load it again"),
    "article_too_varied": ("内容过长，无法建立索引", "Too much text to be searchable"),
    # Interpretations of reports.
    "report_too_long": ("报告内容不能超过 20 KB", "A report has 20 KB at most"),
    "report_too_deep": ("报告内容的层级过多", "Nested too deeply"),
    "report_empty": ("报告内容不能为空", "There is nothing in it"),
    "report_nul": ("含有不支持的字符", "Holds a character that cannot be kept"),
    "interpretation_is_pending": ("解读尚未完成", "The interpretation is not finished yet"),
    # Broadcasts.
    "broadcast_is_draft": ("群发尚未开始，不能执行此操作", "It has not been started; this is not possible now"),
    "broadcast_is_running": ("群发正在进行，不能执行此操作", "It is running; this is not possible now"),
    "broadcast_is_paused": ("群发已暂停，不能执行此操作", "It is paused; this is not possible now"),
    "broadcast_is_done": ("群发已完成，不能执行此操作", "It is done; this is not possible now"),
    "broadcast_is_cancelled": ("群发已取消，不能执行此操作", "It was cancelled; this is not possible now"),
    "broadcast_starts_at": ("开始时间应在将来，且不超过一年", "In the future, and within a year"),
    "broadcast_wide": (
        "面向不限名单的系统通知须由管理员发送",
        "A system broadcast to others than named people is for admins",
    ),
    "broadcast_nobody": ("应晚于注册起始时间", "Later than `registeredAfter`, or nobody is meant"),
    **DIRECTORY,
    **ALERTS,
    **HEALTH,
    **PLANS,
    **WEBHOOKS,
    **NOTICE,
    **LEDGER,
    **SCHEDULE,
    **REMINDER,
    **DUTY,
    **EMERGENCY,
}


def text(key: str, language: Language = "zh", **values: object) -> str:
    """The sentence for `key`; an unknown key is already a sentence and comes back as it is."""
    pair = TEXTS.get(key)
    if pair is None:
        return key
    sentence = pair[0 if language == "zh" else 1]
    return sentence.format(**values) if values else sentence


def language_of(accept_language: str | None) -> Language:
    """English only when the first preference asks for it (RFC 9110, section 12.5.4, first entry only)."""
    return "en" if (accept_language or "").strip().lower().startswith("en") else "zh"
