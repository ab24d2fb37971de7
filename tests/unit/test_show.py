"""Lines that a terminal shows: Chinese, complete, and harmless whatever somebody wrote."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from clients.terminal.account import Refused
from clients.terminal.event import Stopped
from clients.terminal.log import Shown
from clients.terminal.show import (
    SHANGHAI,
    clean,
    conversation_line,
    ending,
    entry_line,
    failure_text,
    operation_line,
    presence_line,
    receipt_line,
)
from hub.messaging.model import Entry
from hub.realtime.protocol import Presence, Receipt

AT = "2026-01-02T03:04:05.000Z"
THEN = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
NAMES = {"me": "我", "li": "李医生", None: "系统"}


def name(user: str | None) -> str:
    return NAMES[user]


def shown(body: Any, kind: str = "text", **changes: Any) -> Shown:
    return Shown(seq=12, sender=changes.pop("sender", "li"), type=kind, body=body, at=AT, **changes)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (shown({"text": "不用空腹"}), "#12 03:04 李医生：不用空腹"),
        (shown({"text": "不用"}, edited=True, pinned=True), "#12 03:04 李医生：不用（已编辑） 📌"),
        (shown({"text": "好"}, reactions={"👍": ("me", "li")}), "#12 03:04 李医生：好 👍2"),
        (shown({}, recalled=True), "#12 03:04 李医生：（已撤回）"),
        (shown({}, erased=True), "#12 03:04 李医生：（内容已删除）"),
        (shown({"attachment": "a", "name": "血常规.jpg"}, "image"), "#12 03:04 李医生：[图片] 血常规.jpg"),
        (shown({"attachment": "a", "durationMs": 5300}, "voice"), "#12 03:04 李医生：[语音 5 秒]"),
        (shown({"attachment": "a", "name": "报告.pdf"}, "file"), "#12 03:04 李医生：[文件] 报告.pdf"),
        (shown({"card": "order", "id": "1", "title": "陪诊订单"}, "card"), "#12 03:04 李医生：[卡片] 陪诊订单"),
        (shown({"event": "created", "by": "li", "note": "复诊"}, "system"), "#12 03:04 — 李医生 创建了会话：复诊"),
        (shown({"event": "members_added", "users": ["me"], "by": "li"}, "system"), "#12 03:04 — 李医生 邀请 我 加入"),
        (shown({"event": "member_removed", "users": ["me"]}, "system"), "#12 03:04 — 系统 将 我 移出"),
        (shown({"event": "member_left", "users": ["li"], "by": "li"}, "system"), "#12 03:04 — 李医生 离开了会话"),
        (shown({"event": "role_changed", "users": ["li"], "note": "owner"}, "system"), "#12 03:04 — 李医生 成为群主"),
        (shown({"event": "state_changed", "note": "read_only"}, "system"), "#12 03:04 — 会话已只读"),
        (shown({"event": "novelty"}, "system"), "#12 03:04 — novelty"),
    ],
)
def test_entry_is_one_line(entry: Shown, line: str) -> None:
    """Every type has its form."""
    assert entry_line(entry, name, THEN) == line


@pytest.mark.parametrize(
    ("now", "at"),
    [
        (THEN, "03:04"),
        (THEN.astimezone(SHANGHAI), "11:04"),
        (THEN + timedelta(hours=20, minutes=50), "03:04"),
        (THEN + timedelta(hours=20, minutes=55), "01-02 03:04"),
        (THEN.astimezone(SHANGHAI) + timedelta(hours=13), "01-02 11:04"),
        (THEN + timedelta(days=365), "2026-01-02 03:04"),
    ],
)
def test_entry_has_its_date_when_it_is_not_of_today(now: datetime, at: str) -> None:
    """Today is what it is where the reader is."""
    assert entry_line(shown({"text": "好"}), name, now) == f"#12 {at} 李医生：好"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"emoji":"\xf0\x9f\x91\x8d"}', "李医生 给 #12 点了 👍"),
        (b'{"emoji":"\xf0\x9f\x91\x8d","on":false}', "李医生 取消了给 #12 的 👍"),
        (b"{}", "李医生 撤回了给 #12 的回应"),
    ],
)
def test_reaction_names_its_own_emoji(body: bytes, line: str) -> None:
    """Not those that others gave."""
    operation = Entry(
        conversation="c", seq=13, sender="li", type="react", body=Raw(body), client_msg_id="x", at=AT, target=12
    )

    assert operation_line(operation, shown({}, reactions={"💪": ("me",)}), name) == f"  {line}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            Refused("invalid", "请求参数有误，请检查标出的字段", {"phone": "请输入正确的手机号码"}),
            "请输入正确的手机号码",
        ),
        (Refused("forbidden", "没有权限执行此操作", {"seq": "不是您的消息"}), "没有权限执行此操作（不是您的消息）"),
        (Refused("rate_limited", "操作过于频繁，请稍后再试", retry_after_ms=56100), "操作过于频繁，请 57 秒后再试"),
        (Refused("not_found", "没有这个会话"), "没有这个会话"),
        (httpx.ConnectError("All connection attempts failed"), "连不上服务器，请先运行 ./dev up"),
        (httpx.ReadTimeout(""), "服务器没有及时应答"),
        (httpx.ReadError(""), "与服务器的连接中断了"),
        (TimeoutError(), "服务器没有及时应答"),
        (ConnectionError("连接已断开"), "连接已断开"),
        (Stopped("4509 Too many connections"), "连接已结束：登录设备过多，此连接已被较新的连接替代"),
    ],
)
def test_failure_says_why_in_one_language(error: Exception, line: str) -> None:
    """What a person can do is part of it; codes and field names are for programs."""
    assert failure_text(error) == line


def test_ending_is_that_of_the_error_table() -> None:
    """Close reasons are English on the wire; what is unknown is shown as it came."""
    assert ending("HTTP 401") == ending("4401 sign in") == "请先登录"
    assert ending("4999 something\x1b") == "4999 something�"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.text())
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    """A message cannot move the cursor, change the direction of writing or forge a second line."""
    assert all(c.isprintable() or c == "\u200d" for c in clean(text) if c not in " \u3000\xa0" and not c.isspace())
    assert not set(clean(text)) & set("\x1b\x9b\r\n\x07\u202e\u2028")


def test_operations_receipts_and_presence_are_lines() -> None:
    """What happened to an earlier entry names it."""
    operation = Entry(
        conversation="c", seq=13, sender="li", type="edit", body=Raw(b"{}"), client_msg_id="x", at=AT, target=12
    )
    assert operation_line(operation, shown({"text": "新文"}), name) == "  李医生 修改了 #12：新文"
    receipt = Receipt(conversation="c", user="li", delivered_seq=12, read_seq=11)
    assert receipt_line(receipt, 12, name) == "  #12 已送达：李医生"
    assert receipt_line(receipt, 11, name) == "  #11 已读：李医生"
    assert presence_line(Presence(user="li", online=False, at=AT), name) == "  李医生 离线了"


def test_conversation_names_its_kind_and_what_is_unread() -> None:
    """The list can be read at a glance."""
    summary = {"id": "c", "kind": "care", "title": "陪诊：王小明"}

    assert conversation_line(2, summary, 3) == "2. [陪诊] 陪诊：王小明（3 条未读）"
    assert conversation_line(1, {**summary, "title": ""}, 0) == "1. [陪诊] c"
    assert conversation_line(1, {**summary, "kind": "direct"}, 0) == "1. [单聊] 陪诊：王小明"
