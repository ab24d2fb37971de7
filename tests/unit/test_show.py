"""Lines that a terminal shows: Chinese, complete, and harmless whatever somebody wrote."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from clients.terminal.log import Shown
from clients.terminal.show import clean, conversation_line, entry_line, operation_line, presence_line, receipt_line
from hub.messaging.model import Entry
from hub.realtime.protocol import Presence, Receipt

AT = "2026-01-02T03:04:05.000Z"
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
    assert entry_line(entry, name, UTC) == line


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
