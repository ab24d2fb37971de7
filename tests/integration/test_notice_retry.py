"""What came to nothing lives again: the ladder begins anew, but nothing is sent where it may have arrived (P8). And `hub notices`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from click.testing import CliRunner

from channels.port import Outcome, Verdict
from hub.notice_cli import notices
from hub.notices.class_book import ClassBook
from hub.notices.ledger_actions import Ledger, Wanted
from hub.notices.ledger_command import OPERATOR
from hub.notices.ledger_retry import Revived
from hub.notices.model import State
from hub.notices.notice_class import CLASSES
from hub.notices.withdrawal import Withdrawals
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from hub.security.audit import Audit
from hub.security.keyring import load_keyring
from tests.hub_process import ROOT
from tests.integration.ledger_scene import notice
from tests.integration.notice_scene import Post, ScriptedChannel, change_class, open_post
from tests.integration.wire import SECURITY

DEAD = Outcome(verdict=Verdict.DEAD, code="500")
LOST = Outcome(verdict=Verdict.UNKNOWN, code="timeout")


@pytest.fixture
def push() -> ScriptedChannel:
    return ScriptedChannel("webpush")


@pytest.fixture
def sms() -> ScriptedChannel:
    return ScriptedChannel("sms", repeats=False, receipt_s=60)


@pytest_asyncio.fixture
async def post(database: Database, redis_url: str, push: ScriptedChannel, sms: ScriptedChannel) -> AsyncIterator[Post]:
    await database.log.execute("DELETE FROM notices")
    for code in ("plan", "system"):  # whatever the time of day is
        await change_class(database, msgspec.structs.replace(CLASSES[code], quiet="ignore"))
    async with open_post(database, redis_url, push, sms) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> Ledger:
    clock = SystemClock()
    audit = Audit(load_keyring(settings.Settings(security=SECURITY)), clock)
    return Ledger(database, audit, ClassBook(database, clock), clock)


async def due(database: Database, notice_id: str) -> None:
    await database.log.execute("UPDATE notices SET next_at = clock_timestamp() WHERE id = $1", notice_id)


async def state(database: Database, notice_id: str) -> str:
    found: str = await database.log.fetchval("SELECT state FROM notices WHERE id = $1", notice_id)
    return found


async def retry(ledger: Ledger, notice_id: str, *, force_unknown: bool = False) -> None:
    await ledger.retry(OPERATOR, notice_id, force_unknown=force_unknown)


async def test_a_dead_letter_is_sent_again(post: Post, ledger: Ledger, push: ScriptedChannel) -> None:
    """Its steps begin anew, with new numbers; what went before stays in the ledger."""
    user = await post.person()
    await post.reach(user, "webpush")
    push.answers = [DEAD]
    made = await notice(post.database, user, "open", class_="plan")
    await due(post.database, made)
    await post.deliver()
    assert await state(post.database, made) == "failed"
    await retry(ledger, made)
    await post.deliver()

    assert len(push.sent) == 2
    assert push.sent[0].key == push.sent[1].key
    assert await state(post.database, made) == "unconfirmed"
    story = await ledger.story(OPERATOR, made)
    assert [(each.state, each.aside, each.number) for each in story.steps[0].attempts] == [
        ("dead", 1, 1),
        ("accepted", 0, 1),
    ]


async def test_a_second_retry_puts_aside_again(post: Post, ledger: Ledger, push: ScriptedChannel) -> None:
    """Every round can be told from the others."""
    user = await post.person()
    await post.reach(user, "webpush")
    push.answers = [DEAD, DEAD]
    made = await notice(post.database, user, "failed", (0, "webpush", "dead", "500"), class_="plan")
    await retry(ledger, made)
    await post.deliver()
    await retry(ledger, made)
    story = await ledger.story(OPERATOR, made)

    assert [each.aside for each in story.steps[0].attempts] == [1, 2]


@pytest.mark.parametrize("forced", [False, True])
async def test_what_may_have_arrived_is_sent_again_only_by_force(
    post: Post, ledger: Ledger, sms: ScriptedChannel, forced: bool
) -> None:
    """P8: an unknown text message is never repeated blindly."""
    user = await post.person()
    await post.reach(user, "sms")
    made = await notice(post.database, user, "unconfirmed", (3, "sms", "unknown", "timeout"), reason="no_receipt")
    await retry(ledger, made, force_unknown=forced)
    await post.deliver()
    assert sms.sent == []  # its turn comes half an hour after the ladder has begun anew
    await post.pass_time(1801)
    await post.deliver()

    assert len(sms.sent) == (1 if forced else 0)
    assert await state(post.database, made) == ("open" if forced else "unconfirmed")


async def test_what_a_provider_took_is_not_sent_again(post: Post, ledger: Ledger, push: ScriptedChannel) -> None:
    """Not even by force: only what failed is tried again."""
    user = await post.person()
    await post.reach(user, "webpush")
    attempts = [(0, "webpush", "accepted", ""), (1, "wechat", "refused", "43101")]
    made = await notice(post.database, user, "unconfirmed", *attempts, class_="plan")
    await retry(ledger, made, force_unknown=True)
    await post.deliver()
    story = await ledger.story(OPERATOR, made)

    assert push.sent == []
    assert [[each.aside for each in step.attempts] for step in story.steps] == [[0], [1, 0]]


async def test_an_expired_notice_gets_the_life_of_its_class(post: Post, ledger: Ledger) -> None:
    """One that has time left keeps its end."""
    user = await post.person()
    late = await notice(post.database, user, "expired", class_="plan", expires_s=-5.0)
    young = await notice(post.database, user, "failed", class_="plan", expires_s=600.0)
    for each in (late, young):
        await retry(ledger, each)
    lives = await post.database.log.fetch(
        "SELECT extract(epoch FROM expires_at - clock_timestamp())::int AS s FROM notices WHERE id = ANY ($1) ORDER BY s",
        [late, young],
    )

    assert 590 <= lives[0]["s"] <= 600
    assert 4 * 3600 - 10 <= lives[1]["s"] <= 4 * 3600


async def test_what_was_read_meanwhile_ends_as_seen_and_nothing_is_sent(
    post: Post, ledger: Ledger, push: ScriptedChannel
) -> None:
    """P8: the cursors decide, whatever the row says."""
    user = await post.person()
    _, room = await post.group(user)
    await post.reach(user, "webpush")
    made = await notice(post.database, user, "failed", (0, "webpush", "dead", "500"), conversation=room, seq=1)
    await post.cursor(user, room, read=1)
    await retry(ledger, made)
    await post.deliver()

    assert await state(post.database, made) == "seen"
    assert push.sent == []


async def test_a_late_receipt_of_what_was_put_aside_counts(post: Post, ledger: Ledger, push: ScriptedChannel) -> None:
    """It has reached somebody: nothing more is sent where that is enough."""
    user = await post.person()
    await post.reach(user, "webpush")
    made = await notice(post.database, user, "failed", (0, "webpush", "dead", "500"), class_="system")
    await retry(ledger, made)
    await post.database.log.execute("UPDATE notice_attempts SET state = 'delivered' WHERE notice = $1", made)
    await post.deliver()

    assert push.sent == []
    assert await state(post.database, made) == "delivered"


async def test_one_notice_of_a_conversation_is_open_at_a_time(post: Post, ledger: Ledger) -> None:
    """Of several dead ones the newest lives again; none while the sweep has made another."""
    user, room = await post.person(), new_id()
    older, newer = [
        await notice(post.database, user, "failed", conversation=room, seq=seq, derived=True) for seq in (1, 2)
    ]
    done = await ledger.retry_all(OPERATOR, Wanted(state=State.FAILED), force_unknown=False)
    with pytest.raises(Refusal) as caught:
        await retry(ledger, older)

    assert done == Revived(1, 0)
    assert [await state(post.database, each) for each in (older, newer)] == ["failed", "open"]
    assert (caught.value.code, caught.value.text) == (ErrorCode.CONFLICT, "notice_is_busy")


async def test_what_a_worker_is_at_is_left_to_it(post: Post, ledger: Ledger) -> None:
    """It may be taking back what still shows."""
    made = await notice(post.database, await post.person(), "failed")
    await post.database.log.execute("UPDATE notices SET lease = $2 WHERE id = $1", made, new_id())
    with pytest.raises(Refusal) as caught:
        await retry(ledger, made)

    assert caught.value.text == "notice_is_busy"


async def test_all_of_a_state_live_again_and_the_audit_says_so_before_and_after(
    post: Post, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By class and age, in batches, each once; what is left alone is counted."""
    monkeypatch.setattr("hub.notices.ledger_retry.BATCH", 2)
    user = await post.person()
    chats = [await notice(post.database, user, "failed", (3, "sms", "unknown", "timeout")) for _ in range(5)]
    plan = await notice(post.database, user, "failed", class_="plan")
    old = await notice(post.database, user, "failed", id="01000000-0000-7000-8000-000000000001")
    wanted = Wanted(state=State.FAILED, class_="chat", since_s=3600)
    done = await ledger.retry_all(OPERATOR, wanted, force_unknown=False)
    audited = await post.database.log.fetch(
        "SELECT action, subject FROM audit_log WHERE action LIKE 'notices.re%' ORDER BY id DESC LIMIT 2"
    )

    assert done == Revived(5, 5)
    assert {await state(post.database, each) for each in chats} == {"open"}
    assert [await state(post.database, each) for each in (plan, old)] == ["failed", "failed"]
    assert [tuple(row) for row in reversed(audited)] == [
        ("notices.retried", "failed chat 3600s"),
        ("notices.revived", "failed chat 3600s: 5"),
    ]


async def test_a_retry_of_all_that_is_cut_off_is_in_the_audit(
    post: Post, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written before the first of them lives again."""
    await notice(post.database, await post.person(), "failed")
    statement = "SELECT count(*) FROM audit_log WHERE action = 'notices.retried' AND subject = 'failed unknown forced'"
    before = await post.database.log.fetchval(statement)

    async def cut(*_: object, **__: object) -> Revived:
        raise ConnectionError("gone")

    monkeypatch.setattr("hub.notices.ledger_retry.revive", cut)
    with pytest.raises(ConnectionError):
        await ledger.retry_all(OPERATOR, Wanted(state=State.FAILED), force_unknown=True)

    assert await post.database.log.fetchval(statement) == before + 1


async def test_reading_ends_a_notice_and_says_so_with_the_count(post: Post) -> None:
    """What `on_seen` is told is of the same statement."""
    told: list[object] = []
    seen = asyncio.Event()
    user = await post.person()
    _, room = await post.group(user)
    made = await notice(post.database, user, "open", conversation=room, seq=1)

    def tell(news: object) -> None:
        told.append(news)
        seen.set()

    withdrawals = Withdrawals(post.database.log, tell)
    running = asyncio.create_task(withdrawals.run())
    withdrawals.note(user, room, 1)
    async with asyncio.timeout(10):
        await seen.wait()
    running.cancel()
    await asyncio.wait([running])
    ((news,),) = told  # type: ignore[misc]  # a sequence of one

    assert (news.notice, news.user, news.state, news.conversation, news.seq) == (made, user, "seen", room, 1)
    assert (news.unread, news.version) == (0, 0)


# The command line


async def run(database_url: str, *arguments: str) -> tuple[int, str]:
    """Exit status and all that was said, without the start of a process. In a thread: a command has a loop of its own."""
    chosen = settings.Settings(database=settings.Database(url=database_url), security=SECURITY)
    done = await asyncio.to_thread(CliRunner().invoke, notices, arguments, obj=lambda: chosen)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


async def start(database_url: str, *arguments: str) -> tuple[int, str]:
    """The same from a process, with the settings of its environment."""
    environment = {
        **os.environ,
        "HUB__DATABASE__URL": database_url,
        "HUB__REDIS__URL": "redis://127.0.0.1:1/0",
        "HUB__SECURITY__MASTER_KEYS": SECURITY.master_keys,
        "HUB__SECURITY__SIGNING_KEY": SECURITY.signing_key,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hub", "notices", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_command_line_lists_shows_retries_and_exports(post: Post, database_url: str) -> None:
    """One story from the list of what failed to its second life."""
    user = await post.person()
    attempts = [(0, "webpush", "dead", "500"), (1, "wechat", "suppressed", "quota")]
    made = await notice(post.database, user, "failed", *attempts, reason="500")
    other = await notice(post.database, user, "seen")
    status, listed = await start(database_url, "list", "--state", "failed")
    assert status == 0
    assert made in listed
    assert other not in listed
    status, shown = await run(database_url, "show", made)
    assert status == 0
    assert "1. webpush: taken (500)" in shown
    assert "2. wechat: skipped (quota)" in shown
    assert await run(database_url, "retry", "--state", "failed", "--since", "1h") == (0, "1 notices live again\n")
    assert await state(post.database, made) == "open"
    status, refused = await run(database_url, "retry", "--id", other)
    assert (status, refused) == (1, "state: The person has seen it\n")
    now = SystemClock().now().date()
    status, exported = await run(
        database_url, "export", "--from", f"{now.replace(day=1)}", "--to", f"{now.isoformat()}T23:59:59Z"
    )

    assert status == 0
    assert exported.startswith("id,user,class,state")
    assert made in exported


@pytest.mark.parametrize(
    "arguments",
    [
        ["retry"],
        ["retry", "--state", "failed", "--id", "x"],
        ["retry", "--state", "seen"],
        ["retry", "--state", "failed", "--since", "soon"],
        ["retry", "--id", "x", "--since", "1h"],
        ["export", "--from", "2026-03-01"],
    ],
)
async def test_a_command_that_makes_no_sense_is_refused(database_url: str, arguments: list[str]) -> None:
    """Before the database is touched."""
    assert (await run(database_url, *arguments))[0] == 2
