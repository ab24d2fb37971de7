"""What people may agree to: the purposes as data, and what somebody decided about each. No I/O."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal

import msgspec

from hub.platform.error import ErrorCode, Refusal

Code = Literal["health_data", "care_sharing", "ai_external", "marketing"]

HEALTH_DATA: Code = "health_data"
CARE_SHARING: Code = "care_sharing"
AI_EXTERNAL: Code = "ai_external"
MARKETING: Code = "marketing"


class Purpose(msgspec.Struct, frozen=True):
    """Something that needs the person's own agreement. A new version is a new text: only that can be agreed to then."""

    code: Code
    version: str
    title_zh: str
    title_en: str


PURPOSES: dict[str, Purpose] = {
    purpose.code: purpose
    for purpose in (
        Purpose(HEALTH_DATA, "1", "收集和处理健康数据", "Collecting and processing health data"),
        Purpose(
            CARE_SHARING, "1", "服务期间与接诊医生共享健康档案", "Sharing health records with the doctor during care"
        ),
        Purpose(
            AI_EXTERNAL, "1", "使用外部人工智能服务解读报告", "Having reports interpreted by an outside AI service"
        ),
        Purpose(MARKETING, "1", "接收健康活动与优惠信息", "Receiving offers and news"),
    )
}


class Decision(msgspec.Struct, frozen=True):
    """One giving, until it ended: by withdrawal, or because a newer version was given."""

    purpose: str
    version: str
    given_at: datetime | None  # None: refused before it was ever given
    withdrawn_at: datetime | None
    implied: bool  # by booking, not by saying so


class Standing(msgspec.Struct, frozen=True):
    """Where somebody stands with one purpose; the history is the newest first."""

    purpose: Purpose
    history: Sequence[Decision]

    @property
    def held(self) -> Decision | None:
        """What is agreed to now."""
        return next((decision for decision in self.history if decision.withdrawn_at is None), None)


def standings(decisions: Sequence[Decision]) -> list[Standing]:
    """Every purpose there is, in the order of the table. `decisions` are sorted by purpose, the newest first."""
    made = {code: list(of_purpose) for code, of_purpose in groupby(decisions, lambda decision: decision.purpose)}
    return [Standing(purpose, made.get(code, [])) for code, purpose in PURPOSES.items()]


def checked_purpose(code: str) -> Purpose:
    """The purpose, or a refusal: there is no such thing to agree to."""
    purpose = PURPOSES.get(code)
    if purpose is None:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"purpose": "consent_purpose_unknown"})
    return purpose


def check_version(purpose: Purpose, version: str) -> None:
    """Only the text of today can be agreed to."""
    if version != purpose.version:
        raise Refusal(ErrorCode.INVALID, fields={"version": "consent_version_old"})
