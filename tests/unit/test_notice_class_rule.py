"""Which classes of notices make sense, and what the audit says of a change."""

from typing import Any

import msgspec
import pytest

from hub.notices.class_rule import AUDIT_CHARS, check, described
from hub.notices.notice_class import CLASSES, Step
from hub.notices.template_default import DEFAULTS
from hub.platform.error import Refusal
from hub.platform.text import TEXTS

TEMPLATES = frozenset(code for code, _, _ in DEFAULTS)


def faults(code: str, **changed: Any) -> dict[str, str]:
    with pytest.raises(Refusal) as refused:
        check(msgspec.structs.replace(CLASSES[code], **changed), TEMPLATES)
    assert set(refused.value.fields.values()) <= set(TEXTS)
    return refused.value.fields


@pytest.mark.parametrize("code", list(CLASSES))
def test_what_the_code_has_makes_sense(code: str) -> None:
    """All of them."""
    check(CLASSES[code], TEMPLATES)


def test_steps_come_in_the_order_of_their_waits() -> None:
    """Each that goes back is named; equal waits are at the same time."""
    ladder = [Step("webpush", 60), Step("wechat", 60), Step("sms", 30), Step("email", 20)]

    assert faults("chat", ladder=ladder) == {
        "ladder[2].afterS": "notice_step_order",
        "ladder[3].afterS": "notice_step_order",
    }


def test_a_notice_lives_longer_than_its_last_step_waits() -> None:
    """Or that step would never come."""
    ladder = [Step("webpush"), Step("sms", 1800)]

    assert faults("chat", ladder=ladder, expires_s=1800) == {"expiresS": "notice_expires_early"}
    check(msgspec.structs.replace(CLASSES["chat"], ladder=ladder, expires_s=1801), TEMPLATES)


def test_what_is_mandatory_has_a_way_and_needs_no_consent() -> None:
    """And what needs consent keeps needing it, and lets people sleep."""
    assert faults("health_alert", ladder=[]) == {"ladder": "notice_ladder_empty"}
    assert faults("marketing", mandatory=True) == {"mandatory": "notice_consent_mandatory"}
    assert faults("marketing", quiet="ignore") == {"quiet": "notice_consent_quiet"}
    assert faults("marketing", consent=None) == {"consent": "notice_consent_kept"}
    check(msgspec.structs.replace(CLASSES["chat"], ladder=[]), TEMPLATES)


def test_what_the_code_makes_mandatory_or_loud_stays_so() -> None:
    """Nobody can have health alerts come late, or switched off."""
    assert faults("health_alert", mandatory=False) == {"mandatory": "notice_mandatory_kept"}
    assert faults("health_alert", quiet="hold") == {"quiet": "notice_quiet_kept"}
    assert faults("health_alert", quiet="own", ladder=[]).keys() == {"quiet", "ladder"}
    check(msgspec.structs.replace(CLASSES["chat"], mandatory=True, quiet="ignore"), TEMPLATES)


def test_a_template_must_be_there() -> None:
    """Found out when the class is defined."""
    assert faults("chat", template="nowhere") == {"template": "notice_template_unknown"}


def test_the_audit_says_what_was_and_what_is() -> None:
    """In the words of the API, of the fields that are different."""
    before = CLASSES["chat"]
    after = msgspec.structs.replace(before, grace_s=99, ladder=[])

    steps = [{"channel": each.channel, "afterS": each.after_s, "unless": each.unless} for each in before.ladder]
    was = msgspec.json.encode(steps).decode()
    assert described(before, after, "chat") == f"chat: graceS 10 -> 99, ladder {was} -> []"
    assert described(None, after, "chat").startswith('chat: code null -> "chat", titleZh null -> "聊天消息", ')
    assert described(after, None, "chat").endswith('template "chat" -> null')


def test_the_audit_is_short_and_leaves_out_no_field() -> None:
    """However long one of them is, the others are told."""
    before = DEFAULTS["chat", "email", "zh"]
    after = msgspec.structs.replace(before, title="题" * 64, body="长" * 500, url="/" + "x" * 400, needs_answer=True)
    told = described(before, after, "chat/email/zh")

    assert len(told) <= AUDIT_CHARS
    assert all(f"{field} " in told for field in ("title", "body", "url"))
    assert "needsAnswer false -> true" in told
