"""The one catalogue of texts for people: zh-CN first, English on request."""

from typing import Literal

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
