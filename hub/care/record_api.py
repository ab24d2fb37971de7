"""HTTP of health records. Takes the dependencies `principal` and `health_records`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from hub.accounts.api import NO_STORE
from hub.care.indicator import Indicators, Risk, describe
from hub.care.model import Reading, RecordType, Scalar, Source
from hub.care.record import Given
from hub.care.record_actions import HealthRecords, Wanted
from hub.care.unit import QUANTITIES
from hub.platform.clock import rfc3339
from hub.platform.error import Refusal
from hub.platform.http import FAILURES, Answer, Connection, answer, context_of
from hub.platform.http_error import refusal_of
from hub.platform.page import CursorPage
from hub.platform.text import Language, text
from hub.security.token import Principal

BATCH = 500
_NO_NUL = r"^[^\x00]*$"
Id = Annotated[str, Meta(max_length=36)]
Number = Annotated[float, Meta(ge=-1e6, le=1e6)]
# What a device says besides; the measurement's own parts (systolic, diastolic, heartRate, context) are taken out of it.
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40, pattern=_NO_NUL)],
        Annotated[str, Meta(max_length=200, pattern=_NO_NUL)] | Number | bool | None,
    ],
    Meta(max_length=20),
]


class RecordBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`value` of a blood pressure is the systolic number with `metadata.diastolic`, or a text like `128/82`."""

    type: RecordType
    value: Number | Annotated[str, Meta(max_length=20)]
    recorded_at: Annotated[str, Meta(max_length=40)]
    unit: Annotated[str, Meta(max_length=20)] | None = None
    source: Source = "manual"
    notes: Annotated[str, Meta(max_length=1000, pattern=_NO_NUL)] = ""
    metadata: Metadata = {}


class NewRecord(RecordBody, frozen=True):
    """`userId`: whose it is, if not one's own."""

    user_id: Id | None = None


class NewRecords(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Each record is what `POST /health/records` takes, but for `userId`; one that is not is reported with its index."""

    records: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=BATCH)]  # Any: read one by one
    user_id: Id | None = None


class RecordView(msgspec.Struct, frozen=True, rename="camel"):
    """`userId`: whom it is about; `actorId`: who sent it."""

    id: str
    type: RecordType
    value: float | str
    unit: str
    recorded_at: str
    indicators: Indicators
    risk: Risk
    source: Source
    notes: str
    metadata: Mapping[str, Scalar]
    user_id: str
    actor_id: str
    created_at: str


class Fault(msgspec.Struct, frozen=True):
    type: str
    fields: dict[str, str]


class Kept(msgspec.Struct, frozen=True):
    """What became of one of many: its id, or why it was refused."""

    index: int
    id: str | None
    error: Fault | None


class Batch(msgspec.Struct, frozen=True):
    kept: int
    refused: int
    items: Sequence[Kept]


@post("/health/records", status_code=200, responses=FAILURES)
async def add_record(
    data: JSONBody[NewRecord],
    request: Connection,
    principal: NamedDependency[Principal],
    health_records: NamedDependency[HealthRecords],
) -> Answer[RecordView]:
    """Keep a reading and say what it means. Repeating it answers the same record again."""
    kept = await health_records.add(principal, data.user_id, _given(data))
    return answer(_view(kept, context_of(request.scope).language))


@post("/health/records/batch", status_code=200, responses=FAILURES)
async def add_records(
    data: JSONBody[NewRecords],
    request: Connection,
    principal: NamedDependency[Principal],
    health_records: NamedDependency[HealthRecords],
) -> Answer[Batch]:
    """Keep what a device has gathered: each is kept or refused by itself, and all may be sent again."""
    kept = await health_records.add_many(principal, data.user_id, [_parse(each) for each in data.records])
    language = context_of(request.scope).language
    refused = sum(isinstance(each, Refusal) for each in kept)
    items = [_kept(index, each, language) for index, each in enumerate(kept)]
    return answer(Batch(len(kept) - refused, refused, items))


@get("/health/records", responses=FAILURES, cache_control=NO_STORE)
async def list_records(
    request: Connection,
    principal: NamedDependency[Principal],
    health_records: NamedDependency[HealthRecords],
    type: Annotated[RecordType | None, QueryParameter(name="type")] = None,
    start: Annotated[
        str | None, QueryParameter(name="start", max_length=40, description="RFC 3339, or a day in Asia/Shanghai")
    ] = None,
    end: Annotated[
        str | None, QueryParameter(name="end", max_length=40, description="The same; a day is included")
    ] = None,
    cursor: Annotated[str | None, QueryParameter(name="cursor", max_length=200)] = None,
    limit: Annotated[int, QueryParameter(name="limit", ge=1, le=500)] = 50,
    user_id: Annotated[str | None, QueryParameter(name="userId", max_length=36)] = None,
) -> Answer[CursorPage[RecordView]]:
    """The newest first; `nextCursor` leads to what is older."""
    wanted = Wanted(type, start, end, cursor, limit)
    found, next_cursor = await health_records.page(principal, user_id, wanted)
    language = context_of(request.scope).language
    return answer(CursorPage([_view(each, language) for each in found], next_cursor))


@get("/health/records/{record:str}", responses=FAILURES, cache_control=NO_STORE)
async def show_record(
    record: FromPath[str],
    request: Connection,
    principal: NamedDependency[Principal],
    health_records: NamedDependency[HealthRecords],
) -> Answer[RecordView]:
    """One reading."""
    return answer(_view(await health_records.show(principal, record), context_of(request.scope).language))


@delete("/health/records/{record:str}", status_code=200, responses=FAILURES)
async def remove_record(
    record: FromPath[str], principal: NamedDependency[Principal], health_records: NamedDependency[HealthRecords]
) -> Answer[None]:
    """Take back what was typed in by mistake; what a device or a hospital sent stays."""
    await health_records.remove(principal, record)
    return answer(None)


handlers: list[ControllerRouterHandler] = [add_record, add_records, list_records, show_record, remove_record]


def _parse(record: dict[str, Any]) -> Given | Refusal:
    try:
        # As tolerant as Litestar is with a whole body.
        return _given(msgspec.convert(record, RecordBody, strict=False))
    except msgspec.ValidationError as error:
        return refusal_of(error)


def _given(body: RecordBody) -> Given:
    return Given(body.type, body.value, body.unit, body.recorded_at, body.source, body.notes, body.metadata)


def _view(reading: Reading, language: Language) -> RecordView:
    indicators, risk = describe(reading.assessment, language)
    return RecordView(
        id=reading.id,
        type=reading.type,
        value=_value(reading),
        unit=QUANTITIES[reading.type].unit,
        recorded_at=rfc3339(reading.recorded_at),
        indicators=indicators,
        risk=risk,
        source=reading.source,
        notes=reading.notes,
        metadata=_metadata(reading),
        user_id=reading.user,
        actor_id=reading.actor,
        created_at=rfc3339(reading.created_at),
    )


def _value(reading: Reading) -> float | str:
    return f"{reading.value:g}/{reading.diastolic:g}" if reading.as_pair else reading.value


def _metadata(reading: Reading) -> Mapping[str, Scalar]:
    """What was sent along, with the parts of the measurement back in their places."""
    measured = reading.measurement
    parts: dict[str, Scalar] = {
        "diastolic": measured.diastolic,
        "heartRate": measured.heart_rate,
        "context": measured.context,
    }
    if measured.diastolic is not None:
        parts["systolic"] = measured.value
    if reading.original is not None:
        parts |= {"originalValue": reading.original.value, "originalUnit": reading.original.unit}
    return {**reading.metadata, **{name: part for name, part in parts.items() if part is not None}}


def _kept(index: int, kept: Reading | Refusal, language: Language) -> Kept:
    if isinstance(kept, Refusal):
        fields = {name: text(reason, language) for name, reason in kept.fields.items()}
        return Kept(index, None, Fault(kept.code.value, fields))
    return Kept(index, kept.id, None)
