"""How things look as lines of Chinese text. Pure; what other people wrote is cleaned before it reaches a terminal."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from unicodedata import category
from zoneinfo import ZoneInfo

import httpx
import msgspec

from clients.terminal.account import Refused
from clients.terminal.event import Stopped
from clients.terminal.log import Shown
from hub.messaging.model import Entry, EntryType
from hub.platform.error import RULES
from hub.platform.text import text
from hub.realtime.protocol import Presence, Receipt

Name = Callable[[str | None], str]
"""A person's id to what to call them."""

SHANGHAI = ZoneInfo("Asia/Shanghai")

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINER = "\u200d"  # within emoji


def clean(text: object) -> str:
    """One line without control and direction characters: a message must not move the cursor or rewrite the screen."""
    plain = str(text).replace("\n", " ⏎ ").replace("\t", " ")
    return "".join(c if c == _JOINER or category(c) not in _UNSAFE else "�" for c in plain)


def entry_line(shown: Shown, name: Name, now: datetime | None = None) -> str:
    """`#12 09:31 李医生：不用空腹（已编辑） 👍2`; with the date if that is not today, in the zone of `now`."""
    head = f"#{shown.seq} {_clock(shown.at, now or datetime.now(SHANGHAI))}"
    if shown.type == EntryType.SYSTEM:
        return f"{head} — {_event(shown.body, name)}"
    marks = "（已编辑）" if shown.edited else ""
    marks += " 📌" if shown.pinned else ""
    marks += "".join(f" {clean(emoji)}{len(users)}" for emoji, users in shown.reactions.items())
    return f"{head} {name(shown.sender)}：{_content(shown)}{marks}"


def operation_line(entry: Entry, target: Shown | None, name: Name) -> str:
    """What an operation did, as one line."""
    who, about = name(entry.sender), f"#{entry.target}"
    match entry.type:
        case EntryType.EDIT:
            return f"  {who} 修改了 {about}：{_content(target) if target else ''}"
        case EntryType.RECALL:
            return f"  {who} 撤回了 {about}"
        case EntryType.PIN:
            return f"  {who} {'置顶了' if target and target.pinned else '取消置顶'} {about}"
        case _:
            reaction = msgspec.json.decode(entry.body)
            if not (emoji := clean(reaction.get("emoji", ""))):
                return f"  {who} 撤回了给 {about} 的回应"
            return (
                f"  {who} 给 {about} 点了 {emoji}"
                if reaction.get("on", True)
                else f"  {who} 取消了给 {about} 的 {emoji}"
            )


def receipt_line(receipt: Receipt, mine: int, name: Name) -> str:
    """How far somebody got with one's own last entry."""
    return f"  #{mine} {'已读' if receipt.read_seq >= mine else '已送达'}：{name(receipt.user)}"


def presence_line(presence: Presence, name: Name) -> str:
    return f"  {name(presence.user)} {'上线了' if presence.online else '离线了'}"


def conversation_line(number: int, summary: dict[str, Any], unread: int) -> str:
    """`2. [群聊] 复诊安排（3 条未读）`."""
    kind = {"direct": "单聊", "care": "陪诊", "group": "群聊", "inbox": "通知", "broadcast": "公告"}
    title = clean(summary["title"]) or summary["id"]
    return f"{number}. [{kind.get(summary['kind'], '')}] {title}" + (f"（{unread} 条未读）" if unread else "")


def failure_text(error: Exception) -> str:
    """Why something did not succeed, and what to do about it."""
    match error:
        case Refused():
            return _refusal(error)
        case httpx.ConnectError():
            return "连不上服务器，请先运行 ./dev up"
        case Stopped():
            return f"连接已结束：{ending(str(error))}"
        case TimeoutError() | httpx.TimeoutException():
            return "服务器没有及时应答"
        case ConnectionError():
            return clean(error)
        case _:
            return "与服务器的连接中断了"


def _refusal(refused: Refused) -> str:
    said, reasons = refused.message or refused.code, "；".join(dict.fromkeys(refused.fields.values()))
    if reasons:
        said = reasons if refused.code == "invalid" else f"{said}（{reasons}）"
    if refused.retry_after_ms is not None:
        said = f"{said.partition('，请稍后')[0]}，请 {-(-refused.retry_after_ms // 1000)} 秒后再试"
    return clean(said)


def ending(reason: str) -> str:
    """Why the connection will not come back. Close reasons are English on the wire; their codes have texts."""
    code = reason.partition(" ")[0]
    if reason == "HTTP 401":
        return text("unauthorized")
    return next((text(error) for error, rule in RULES.items() if code == str(rule.close)), clean(reason))


def _content(shown: Shown) -> str:
    if shown.erased:
        return "（内容已删除）"
    if shown.recalled:
        return "（已撤回）"
    body = shown.body
    match shown.type:
        case EntryType.TEXT:
            return clean(body.get("text", ""))
        case EntryType.IMAGE:
            return f"[图片] {clean(body.get('caption') or body.get('name', ''))}".rstrip()
        case EntryType.VOICE:
            return f"[语音 {round(body.get('durationMs', 0) / 1000)} 秒]"
        case EntryType.FILE:
            return f"[文件] {clean(body.get('name', ''))}".rstrip()
        case EntryType.CARD:
            return f"[卡片] {clean(body.get('title', ''))}".rstrip()
        case _:
            return f"[{clean(shown.type)}]"


def _event(body: dict[str, Any], name: Name) -> str:
    by, users = body.get("by"), "、".join(name(user) for user in body.get("users", []))
    who = name(by) if by else "系统"
    match body.get("event"):
        case "created":
            return f"{who} 创建了会话{'：' + clean(body['note']) if body.get('note') else ''}"
        case "members_added":
            return f"{who} 邀请 {users} 加入"
        case "member_removed":
            return f"{who} 将 {users} 移出"
        case "member_left":
            return f"{users or who} 离开了会话"
        case "renamed":
            return f"{who} 将会话改名为：{clean(body.get('note', ''))}"
        case "role_changed":
            roles = {"owner": "群主", "admin": "管理员", "member": "成员", "reader": "只读成员"}
            return f"{users} 成为{roles.get(body.get('note', ''), '成员')}"
        case "state_changed":
            return "会话已只读" if body.get("note") == "read_only" else "会话已恢复"
        case event:
            return clean(event)


def _clock(at: str, now: datetime) -> str:
    then = datetime.fromisoformat(at).astimezone(now.tzinfo)
    if then.date() == now.date():
        return f"{then:%H:%M}"
    return f"{then:%m-%d %H:%M}" if then.year == now.year else f"{then:%Y-%m-%d %H:%M}"
