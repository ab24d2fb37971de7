"""Interpretations of what people bring, without I/O: what is asked, what is answered, and how far an answer has come."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from hub.content.reading import Json
from hub.content.reference_urine import OTHER, kind_of
from hub.platform.error import ErrorCode, Refusal

DATA_BYTES = 20_480  # of the original data as JSON
DATA_DEPTH = 8
LEASES = 5  # an interpretation that was begun so often, and never ended, has failed
LEASE_S = 60.0
RETRY_S = 5.0

State = Literal["pending", "done", "failed"]

LABEL = "【机器生成，仅供参考】"
DISCLAIMER = "免责声明：以上内容由程序自动生成，不是医学诊断，不能代替医生的判断；请结合症状并以医生的意见为准，不要据此自行用药或停药。"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter makes of a report. `urgent` is said first, whoever interprets."""

    interpretation: str
    confidence: float
    suggestions: Sequence[str]
    interpreter: str
    urgent: Sequence[str] = ()


class Original(msgspec.Struct, frozen=True):
    """What was brought, as it is sealed: also the name of the report is somebody's own words."""

    report_type: str
    data: Any  # Any: JSON


class Interpretation(msgspec.Struct, frozen=True, kw_only=True):
    """One interpretation, opened. Without a finding it is pending, or has failed."""

    id: str
    user: str
    report_type: str
    state: State
    created_at: datetime
    read_at: datetime | None
    finding: Finding | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The same as it is stored."""

    id: str
    user_id: str
    original: bytes
    result: bytes | None
    key_id: str
    state: State
    attempts: int
    created_at: datetime
    read_at: datetime | None


def code_of(report_type: str) -> str:
    """What is stored in the clear: one of a few kinds, never what somebody wrote."""
    kind = kind_of(report_type)
    return kind.code if kind else OTHER


def check_data(data: Json) -> None:
    """Not too long, too deep or empty, and without NUL. Raises `Refusal`."""
    if len(msgspec.json.encode(data)) > DATA_BYTES:
        raise Refusal(ErrorCode.INVALID, fields={"originalData": "report_too_long"})
    said = "".join(_texts(data, DATA_DEPTH))
    if "\x00" in said:
        raise Refusal(ErrorCode.INVALID, fields={"originalData": "report_nul"})
    if not said.strip():
        raise Refusal(ErrorCode.INVALID, fields={"originalData": "report_empty"})


def _texts(data: Json, depth: int) -> Iterator[str]:
    if depth == 0:
        raise Refusal(ErrorCode.INVALID, fields={"originalData": "report_too_deep"})
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield key
            yield from _texts(value, depth - 1)
    elif isinstance(data, Sequence):
        for each in data:
            yield from _texts(each, depth - 1)
    elif data is not None:
        yield str(data)


def due_again(attempts: int, tries: int, now: datetime) -> datetime | None:
    """When to ask the outside interpreter again after it failed; None if it was asked often enough."""
    return now + timedelta(seconds=RETRY_S * attempts) if attempts < tries else None
