"""What the SMS providers have in common: how a template is named, what a phone looks like, how an error code is judged."""

import re
from collections.abc import Mapping

import msgspec

from channels.port import Outcome, Pause, Scope, Verdict
from channels.transport import Reply

RECEIPT_S = 600.0  # a phone that is off is tried by the carriers for longer, but that does not help anybody now
PHONE = re.compile(r"1[3-9]\d{9}", re.ASCII)

DECLINED = Outcome(verdict=Verdict.GONE, code="phone_invalid", detail="not a mobile number of mainland China")
NO_TEMPLATE = Outcome(
    verdict=Verdict.DEAD, code="template_missing", detail="the notice names no template of this provider", alarm=True
)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's code means for the message."""

    verdict: Verdict
    detail: str = ""
    retry_after_s: float | None = None
    alarm: bool = False
    pauses: bool = False
    """Whether every other message would be answered the same for `retry_after_s`."""


def template_of(template: str, provider: str) -> str:
    """The id of the template at this provider; empty if it has none there.

    `template` is one id for whichever provider (`SMS_123`), or words that say whose each is (`aliyun=SMS_123 tencent=456`).
    """
    if "=" not in template:
        return template.strip()
    return dict(word.partition("=")[::2] for word in template.split()).get(provider, "")


def judge(rules: Mapping[str, Rule], code: str) -> Outcome:
    """By the code itself, else by what it begins with up to a dot; a code that nobody knows is a definite no."""
    family = code.partition(".")[0]
    rule = rules.get(code) or rules.get(family) or Rule(verdict=Verdict.DEAD, detail="not a known code", alarm=True)
    pause = Pause(Scope.PROVIDER, rule.retry_after_s) if rule.pauses and rule.retry_after_s else None
    return Outcome(
        verdict=rule.verdict,
        code=code,
        detail=rule.detail,
        retry_after_s=rule.retry_after_s,
        pause=pause,
        alarm=rule.alarm,
    )


def judge_status(reply: Reply) -> Outcome | None:
    """What the HTTP status alone decides; None where the body does.

    5xx is `unknown`: a gateway says it also after the service behind it has taken the message, and neither Aliyun
    ("不支持幂等", help.aliyun.com/document_detail/55284) nor Tencent can tell a repetition, so a person would get it twice.
    """
    code = f"http_{reply.status}"
    if reply.status >= 500:
        return Outcome(verdict=Verdict.UNKNOWN, code=code)
    if reply.status == 429:
        wait_s = _retry_after(reply)
        return Outcome(verdict=Verdict.RETRY, code=code, retry_after_s=wait_s, pause=Pause(Scope.PROVIDER, wait_s))
    if 300 <= reply.status < 400:
        return Outcome(verdict=Verdict.DEAD, code=code, detail="the base URL answers with a redirect", alarm=True)
    return None


def unreadable(reply: Reply) -> Outcome:
    """An answer that is none: with 2xx it may have been taken, with 4xx it was not."""
    verdict = Verdict.DEAD if reply.status >= 400 else Verdict.UNKNOWN
    return Outcome(verdict=verdict, code=f"http_{reply.status}", detail="the answer cannot be read", alarm=True)


def _retry_after(reply: Reply) -> float:
    text = reply.headers.get("retry-after", "")
    return min(float(text), 600.0) if text.isascii() and text.isdigit() and len(text) < 9 and int(text) else 5.0
