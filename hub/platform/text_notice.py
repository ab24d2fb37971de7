"""The catalogue's texts about notices: why a class, a template, a preference or an address is refused."""

NOTICE: dict[str, tuple[str, str]] = {
    # Classes.
    "notice_changed": ("已被他人修改，请刷新后重试", "Somebody changed it meanwhile; load it again"),
    "notice_class_unknown": ("没有这个通知类别", "There is no such class of notices"),
    "notice_step_order": ("各步骤应按等待时间从短到长排列", "Steps come in the order of their waits"),
    "notice_expires_early": ("有效时间应长于最后一步的等待时间", "Longer than the wait of the last step"),
    "notice_template_unknown": ("没有这个通知模板", "There is no such template"),
    "notice_consent_kept": ("此类别必须征得用户同意", "This class needs the person's consent"),
    "notice_consent_mandatory": ("需要用户同意的类别不能设为必达", "What needs consent cannot be mandatory"),
    "notice_consent_quiet": ("需要用户同意的类别必须遵守免打扰时间", "What needs consent respects quiet hours"),
    "notice_mandatory_kept": ("此类别必须保持必达", "This class stays mandatory"),
    "notice_quiet_kept": ("此类别不受免打扰时间限制，不能更改", "This class goes on ignoring quiet hours"),
    "notice_ladder_empty": ("必达的类别至少需要一个渠道", "A mandatory class needs a channel"),
    "text_blank": ("不能为空，也不能含有控制字符", "Must not be blank or hold control characters"),
    # Templates.
    "notice_template_used": ("仍有通知类别使用此模板", "A class of notices still uses this template"),
    "template_placeholder_undeclared": ("使用了未声明的占位符", "Uses a placeholder that `params` does not declare"),
    "template_placeholder_broken": ("花括号只能用于占位符，例如 {count}", "Braces are for placeholders, as in {count}"),
    "template_param_unknown": ("此模板没有这个参数", "Notices of this template have no such value"),
    "template_url_relative": ("应为站内相对路径，例如 /orders", "A relative path, as in /orders"),
    "template_title_long": ("标题最长 64 个字符", "A title has 64 characters at most"),
    "template_body_long": ("正文最长 500 个字符", "A body has 500 characters at most"),
    "template_sms_field_long": ("短信参数最长 35 个字符", "A parameter of a text message has 35 characters at most"),
    "template_sms_field_name": ("参数名应为字母、数字或下划线", "Letters, digits and underscores"),
    "template_fields_unwanted": ("此渠道没有字段", "This channel has no fields"),
    "template_fields_missing": ("微信模板至少需要一个字段", "A template of WeChat has a field at least"),
    # Preferences.
    "notice_channel_unknown": ("没有这个通知渠道", "There is no such channel"),
    "notice_class_mandatory": ("重要通知不能关闭", "Notices of this class cannot be switched off"),
    "time_of_day_invalid": ("时间应为 22:00 的格式", "A time of day looks like 22:00"),
    "quiet_same": ("开始和结束时间不能相同", "Must differ from `from`"),
    # Addresses.
    "webpush_unconfigured": ("浏览器推送尚未开通", "Web push is not configured here"),
    "email_unconfigured": ("邮件通知尚未开通", "E-mail is not configured here"),
    "email_invalid": ("请输入正确的邮箱地址", "Not an e-mail address"),
    "email_failed": ("邮件暂时无法发送，请稍后再试", "E-mail cannot be sent now; try again later"),
    "email_code_title": ("邮箱验证码", "Your code"),
    "email_code_body": (
        "您的邮箱验证码是 {code}，10 分钟内有效。如非本人操作，请忽略此邮件。",
        "Your code is {code}, good for 10 minutes. If you did not ask for it, ignore this e-mail.",
    ),
    "wecom_user_invalid": ("企业微信账号格式不正确", "Not a user id of WeCom"),
    "wecom_user_taken": ("此企业微信账号已绑定他人，请先解除原绑定", "Bound to somebody else; unbind it there first"),
    "webpush_taken": ("此浏览器已由他人登记", "Somebody else registered it with other keys"),
}
