"""The rules of the ledger: what a story says of each step, what may be asked, and what an export looks like."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.notices.ledger import (
    Line,
    Period,
    Search,
    Stretch,
    Tried,
    check,
    least_id,
    period_of,
    story_of,
)
from hub.notices.ledger_command import seconds_of
from hub.notices.ledger_form import Form, written
from hub.notices.ledger_retry import check_revivable
from hub.notices.model import AttemptState, State
from hub.notices.news import News
from hub.notices.notice_class import CLASSES
from hub.notices.withdrawal import newest
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

AT = datetime(2026, 3, 1, 1, tzinfo=UTC)
CHAT = CLASSES["chat"]


def line(**fields: Any) -> Line:
    usual: dict[str, Any] = {
        "id": new_id(),
        "user": new_id(),
        "name": "张三丰",
        "class_": "chat",
        "state": State.OPEN,
        "reason": "",
        "subject": "",
        "conversation": new_id(),
        "upto_seq": 7,
        "broadcast": None,
        "created_at": AT,
        "begins_at": AT,
        "expires_at": AT + timedelta(days=1),
        "next_at": None,
        "delivered_at": None,
        "seen_at": None,
        "ended_at": None,
    }
    return Line(**{**usual, **fields})


def tried(step: int, channel: str, state: str, *, sent: bool = True, **fields: Any) -> Tried:
    usual: dict[str, Any] = {
        "notice": "",
        "id": new_id(),
        "step": step,
        "channel": channel,
        "provider": channel if sent else "",
        "address": "",
        "number": 1,
        "state": AttemptState(state),
        "code": "",
        "detail": "",
        "provider_id": "",
        "aside": 0,
        "created_at": AT,
        "sent_at": AT if sent else None,
        "settled_at": None,
        "next_at": None,
        "receipt_until": None,
        "withdrawn_at": None,
    }
    return Tried(**{**usual, **fields})


def steps_of(notice: Line, *attempts: Tried) -> list[tuple[str, str, str]]:
    story = story_of(notice, (0, 0), CHAT, attempts)
    return [(each.channel, each.state, each.reason) for each in story.steps]


@pytest.mark.parametrize(
    ("cursors", "seen_at", "state"),
    [((6, 6), None, "accepted"), ((7, 6), None, "delivered"), ((7, 7), None, "seen"), ((0, 0), AT, "seen")],
)
def test_the_socket_is_told_by_cursors(cursors: tuple[int, int], seen_at: datetime | None, state: str) -> None:
    """It has no row: what devices hold and what was read says how far it came."""
    assert story_of(line(seen_at=seen_at), cursors, CHAT, []).socket.state == state


def test_what_is_no_entry_has_no_socket_step() -> None:
    """There is nothing that a device could hold."""
    assert story_of(line(conversation=None, upto_seq=None), (9, 9), CHAT, []).socket.state == "none"


def test_every_step_says_what_became_of_it() -> None:
    """Taken, skipped with the reason, or waiting with its time."""
    notice = line()
    attempts = [
        tried(0, "webpush", "retry", code="503"),
        tried(0, "webpush", "accepted", number=2),
        tried(1, "wechat", "suppressed", sent=False, code="quota"),
    ]
    story = story_of(notice, (0, 0), CHAT, attempts)

    assert [(each.channel, each.state, each.reason) for each in story.steps] == [
        ("webpush", "taken", ""),
        ("wechat", "skipped", "quota"),
        ("wecom", "waiting", ""),
        ("sms", "waiting", ""),
    ]
    assert [len(each.attempts) for each in story.steps] == [2, 1, 0, 0]
    assert story.steps[3].due_at == AT + timedelta(seconds=1800)


def test_steps_after_the_end_say_why_they_were_not_reached() -> None:
    """By the reason of the end, or by the end itself."""
    attempts = [tried(0, "webpush", "accepted")]
    seen = line(state=State.SEEN, reason="read", seen_at=AT)

    assert steps_of(seen, *attempts)[1:] == [(name, "not_reached", "read") for name in ("wechat", "wecom", "sms")]
    assert steps_of(line(state=State.DELIVERED), *attempts)[1] == ("wechat", "not_reached", "delivered")


def test_a_step_that_a_retry_put_aside_waits_anew_and_shows_its_calls() -> None:
    """The ledger forgets nothing."""
    story = story_of(line(), (0, 0), CHAT, [tried(0, "webpush", "dead", code="410", aside=1)])

    assert (story.steps[0].state, story.steps[0].reason) == ("waiting", "")
    assert [each.code for each in story.steps[0].attempts] == ["410"]


def test_steps_of_a_ladder_that_is_no_more_are_shown() -> None:
    """The class may have been changed since: what was done is told by its rows."""
    short = msgspec.structs.replace(CHAT, ladder=CHAT.ladder[:1])
    story = story_of(line(), (0, 0), short, [tried(3, "sms", "accepted")])

    assert [(each.step, each.channel, each.state) for each in story.steps] == [
        (0, "webpush", "waiting"),
        (3, "sms", "taken"),
    ]


def test_a_search_names_everything_that_is_wrong() -> None:
    """P14."""
    with pytest.raises(Refusal) as caught:
        check(Search(user="1", conversation="x", broadcast="", class_="news"), Stretch(before="?", after="!"), CLASSES)

    assert caught.value.code is ErrorCode.INVALID
    assert caught.value.fields == {
        "user": "notice_id_invalid",
        "conversation": "notice_id_invalid",
        "broadcast": "notice_id_invalid",
        "before": "cursor_invalid",
        "after": "cursor_invalid",
        "class": "notice_class_unknown",
    }


def test_a_period_is_of_dates_in_china_or_of_moments() -> None:
    """People mean their own midnight."""
    assert period_of("2026-03-01", "2026-03-02T00:00:00Z") == Period(
        datetime(2026, 2, 28, 16, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("since", "until", "fields"),
    [
        ("gestern", "2026-13-01", {"from": "notice_moment_invalid", "to": "notice_moment_invalid"}),
        ("2026-03-01T00:00:00", "2026-03-02", {"from": "notice_moment_invalid"}),
        ("0001-01-01T00:00:00+14:00", "2026-03-02", {"from": "notice_moment_invalid"}),
        ("0001-01-01", "2026-03-02", {"from": "notice_moment_invalid"}),
        ("2026-03-02", "2026-03-02", {"to": "notice_period_order"}),
        ("2026-03-01", "2026-04-01T00:00:01+08:00", {"to": "notice_period_long"}),
    ],
)
def test_a_period_that_is_none_is_refused(since: str, until: str, fields: dict[str, str]) -> None:
    """Naming the field; a month at most."""
    with pytest.raises(Refusal) as caught:
        period_of(since, until)

    assert caught.value.fields == fields


def test_a_month_is_allowed() -> None:
    """31 days exactly."""
    period = period_of("2026-03-01", "2026-04-01")

    assert period.until - period.since == timedelta(days=31)


def test_the_least_id_of_a_moment_is_before_all_made_then() -> None:
    """An export reads along the ids."""
    made = new_id()
    at = datetime.fromtimestamp((UUID(made).int >> 80) / 1000, UTC)

    assert least_id(at) <= made < least_id(at + timedelta(milliseconds=1))
    assert least_id(datetime(1960, 1, 1, tzinfo=UTC)) == "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("state", [State.OPEN, State.SEEN, State.DELIVERED, State.SUPERSEDED])
def test_what_is_under_way_or_reached_somebody_is_not_retried(state: State) -> None:
    """A conflict that says why."""
    with pytest.raises(Refusal) as caught:
        check_revivable(line(state=state))

    assert (caught.value.code, caught.value.text) == (ErrorCode.CONFLICT, f"notice_is_{state.value}")


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.UNCONFIRMED, State.SUPPRESSED])
def test_what_came_to_nothing_is_retried(state: State) -> None:
    """Staff put right what was wrong, and let it live again."""
    check_revivable(line(state=state))


async def exported(form: Form, *notices: tuple[Line, Sequence[Tried]]) -> bytes:
    async def pages() -> AsyncIterator[Sequence[tuple[Line, Sequence[Tried]]]]:
        for each in notices:
            yield [each]

    return b"".join([piece async for piece in written(pages(), form)])


async def test_csv_has_a_line_for_each_attempt_and_one_for_a_notice_without() -> None:
    """A spreadsheet shows one table."""
    one, other = line(state=State.FAILED, reason="refused"), line()
    content = await exported(
        "csv", (one, [tried(0, "webpush", "gone", code="410"), tried(1, "wechat", "refused")]), (other, [])
    )
    rows = list(csv.DictReader(io.StringIO(content.decode())))

    assert [(row["id"], row["channel"], row["code"]) for row in rows] == [
        (one.id, "webpush", "410"),
        (one.id, "wechat", ""),
        (other.id, "", ""),
    ]
    assert rows[0]["createdAt"] == "2026-03-01T01:00:00.000Z"
    assert (rows[0]["state"], rows[0]["reason"], rows[0]["attemptState"]) == ("failed", "refused", "gone")


async def test_ndjson_has_a_line_for_each_notice() -> None:
    """A program reads it line by line."""
    one = line()
    content = await exported("ndjson", (one, [tried(0, "webpush", "accepted")]), (line(), []))
    first, second = map(msgspec.json.decode, content.splitlines())

    assert first["id"] == one.id
    assert [each["channel"] for each in first["attempts"]] == ["webpush"]
    assert second["attempts"] == []


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_an_export_holds_no_content_and_no_address(form: Form) -> None:
    """Not what a provider said in words, not whom it was about, not the name."""
    noted = tried(0, "sms", "refused", detail="13800000001 不存在", address="openid-7")
    content = (await exported(form, (line(subject="主题-4711"), [noted]))).decode()

    for secret in ("13800000001", "openid-7", "主题-4711", "张三丰"):
        assert secret not in content


async def test_what_a_provider_says_is_no_formula() -> None:
    """A spreadsheet computes what begins like one."""
    content = await exported("csv", (line(), [tried(0, "sms", "refused", code="=HYPERLINK(1)", provider_id="+1")]))
    (row,) = csv.DictReader(io.StringIO(content.decode()))

    assert (row["code"], row["providerId"], row["number"]) == ("'=HYPERLINK(1)", "'+1", "1")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800), ("1", None), ("-1h", None), ("", None)],
)
def test_a_time_back_is_a_number_with_its_unit(said: str, seconds: float | None) -> None:
    """As people say it on a command line."""
    assert seconds_of(said) == seconds


def test_somebody_who_reads_much_at_once_is_told_of_the_newest() -> None:
    """The count is the same in all of them."""
    news = [
        News(
            notice=str(n),
            user="ab"[n % 2],
            class_="chat",
            state="seen",
            conversation=None,
            seq=n,
            unread=0,
            version=1,
            at="",
        )
        for n in range(6)
    ]

    assert [each.notice for each in newest(news, 2)] == ["2", "4", "3", "5"]
