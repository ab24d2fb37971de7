"""The road of an entry that nobody received to its end in the ledger: sweep, ladder, outcomes, receipts (P8, P9)."""

from collections.abc import AsyncIterator

import pytest_asyncio

from channels.port import Outcome, Verdict
from hub.notices.withdrawal import _SEE
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.delivery_scene import Desk, away, open_desk


@pytest_asyncio.fixture
async def desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database, redis_url) as opened:
        yield opened


async def see(desk: Desk, user: str, conversation: str, seq: int) -> None:
    """What a receipt of reading does."""
    await desk.post.cursor(user, conversation, read=seq)
    await desk.post.database.log.execute(_SEE, [user], [conversation], [seq])


async def test_unreceived_entry_reaches_every_address_of_the_first_steps_after_the_grace(desk: Desk) -> None:
    """P9: no device acknowledged it within the grace, so web push and WeChat are sent; nothing of what was said goes outside."""
    patient, _, _ = await away(desk, "webpush", "webpush", "wechat")
    woken = await desk.post.sweep()
    await desk.post.deliver()

    assert woken == {("normal", 0)}
    assert len(desk.webpush.sent) == 2
    assert len(desk.wechat.sent) == 1
    assert "血压" not in f"{desk.webpush.sent[0].content} {desk.wechat.sent[0].content}"
    assert [state for _, state, _ in await desk.post.attempts(patient)][:2] == ["accepted", "accepted"]


async def test_nothing_is_sent_before_the_grace_or_to_who_received_it(desk: Desk) -> None:
    """P9: a device's acknowledgement within the grace is enough."""
    patient = await desk.post.person()
    await desk.post.reach(patient, "webpush")
    doctor, group = await desk.post.group(patient)
    sent = await desk.post.send(group, doctor, "早上好")
    assert await desk.post.sweep() == set()
    await desk.post.cursor(patient, group, delivered=sent.seq or 0)
    await desk.post.pass_time(20)

    assert await desk.post.sweep() == set()
    assert await desk.post.notices(patient) == []
    assert await desk.post.notices(doctor) == []


async def test_several_entries_of_a_conversation_are_one_notice(desk: Desk) -> None:
    """Those that come while it is open join it; the person is told how many."""
    patient, doctor, group = await away(desk, "webpush")
    await desk.post.send(group, doctor, "还有")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.send(group, doctor, "第三条")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (notice["first_seq"], notice["upto_seq"]) == (2, 4)
    assert [message.content.body for message in desk.webpush.sent] == ["您有 3 条新消息，请登录查看。"]


async def test_reading_ends_the_notice_and_closes_the_push(desk: Desk) -> None:
    """Read anywhere, withdrawn everywhere; the steps that are left are never made (P8)."""
    patient, _, group = await away(desk, "webpush", "sms")
    await desk.post.sweep()
    await desk.post.deliver()
    await see(desk, patient, group, 2)
    await desk.post.deliver()
    await desk.post.pass_time(1900)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (notice["state"], notice["reason"], notice["next_at"]) == ("seen", "read", None)
    assert notice["seen_at"] is not None
    assert desk.webpush.withdrawn == [group.replace("-", "")]
    assert desk.aliyun.sent == []


async def test_ladder_goes_on_at_its_time_when_nothing_is_seen(desk: Desk) -> None:
    """SMS comes half an hour later; a receipt says how it ended."""
    patient, _, _ = await away(desk, "webpush", "sms")
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(1700)
    await desk.post.deliver()
    assert desk.aliyun.sent == []
    await desk.post.pass_time(101)
    await desk.post.deliver()

    assert len(desk.aliyun.sent) == 1
    assert ("sms", "accepted", "") in await desk.post.attempts(patient)
    await desk.post.pass_time(601)
    await desk.post.deliver()
    [notice] = await desk.post.notices(patient)
    assert (notice["state"], notice["reason"]) == ("unconfirmed", "no_receipt")


async def test_definite_refusal_fails_over_and_a_lost_answer_does_not(desk: Desk) -> None:
    """The second SMS provider is asked only where the first has certainly not taken it."""
    patient, _, _ = await away(desk, "sms")
    desk.aliyun.answers = [Outcome(verdict=Verdict.DEAD, code="isv.SMS_SIGNATURE_ILLEGAL")]
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()
    assert len(desk.tencent.sent) == 1
    assert ("sms", "dead", "isv.SMS_SIGNATURE_ILLEGAL") in await desk.post.attempts(patient)

    other, _, _ = await away(desk, "sms")
    desk.aliyun.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()

    assert (len(desk.aliyun.sent), len(desk.tencent.sent)) == (2, 1)
    assert ("sms", "unknown", "") in await desk.post.attempts(other)


async def test_unknown_is_settled_by_asking_and_never_repeated(desk: Desk) -> None:
    """P8: where a repetition could reach somebody twice, the provider's word decides."""
    patient, _, _ = await away(desk, "sms")
    desk.aliyun.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()
    await desk.post.pass_time(31)
    desk.aliyun.fate = Outcome(verdict=Verdict.DELIVERED)
    await desk.post.deliver()

    assert (len(desk.aliyun.sent), len(desk.aliyun.asked)) == (1, 1)
    assert ("sms", "delivered", "") in await desk.post.attempts(patient)
    [notice] = await desk.post.notices(patient)
    assert notice["state"] == "delivered"


async def test_unknown_push_is_repeated_with_the_same_key(desk: Desk) -> None:
    """The provider tells the repetition by it."""
    await away(desk, "webpush")
    desk.webpush.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(5)
    await desk.post.deliver()

    first, second = desk.webpush.sent
    assert (first.key, first.tag) == (second.key, second.tag)
    assert first.attempt != second.attempt


async def test_gone_address_is_forgotten(desk: Desk) -> None:
    """RFC 8030, section 7.3: a subscription that answers 404 or 410 is never asked again."""
    patient, _, _ = await away(desk, "webpush")
    desk.webpush.answers = [Outcome(verdict=Verdict.GONE, code="410")]
    await desk.post.sweep()
    await desk.post.deliver()
    gone = await desk.post.database.log.fetchval("SELECT gone_why FROM notice_addresses WHERE user_id = $1", patient)

    assert gone == "provider"


async def test_member_who_left_gets_nothing(desk: Desk) -> None:
    """P5, outside too."""
    patient, _, _group = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute("UPDATE members SET to_seq = 2 WHERE user_id = $1", patient)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "superseded", "left")


async def test_recalled_entry_is_no_reason_to_bother(desk: Desk) -> None:
    """What was taken back before it was told is not told."""
    patient, _, group = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute(
        "UPDATE entries SET recalled_by = 3 WHERE conversation = $1 AND seq = 2", group
    )
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "superseded", "recalled")


async def test_expired_notice_is_not_sent(desk: Desk) -> None:
    """Too late is `expired`, not a message at a time when it is of no use."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.pass_time(90_000)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "expired", "too_late")


async def test_preference_that_cannot_be_read_is_as_if_never_said(desk: Desk) -> None:
    """While a newer version is rolled out, its rows cost nobody their notices."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute(
        "INSERT INTO notice_preferences (user_id, timezone, quiet) VALUES ($1, 'Asia/Shanghai', '{\"new\": 7}')",
        patient,
    )
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 1


async def test_notice_of_a_class_of_a_newer_version_is_left_to_it(desk: Desk) -> None:
    """During a rollout an old worker decides nothing about what it does not know."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute("UPDATE notices SET class = 'novelty'")
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["begun"], notice["lease"]) == ([], "open", False, None)
    assert await desk.post.attempts(patient) == []


async def test_entry_that_comes_after_the_ladder_began_is_a_notice_of_its_own(desk: Desk) -> None:
    """A receipt for the first message, or a device that got the first entry, says nothing of the second."""
    patient, doctor, group = await away(desk, "webpush", "wechat")
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.send(group, doctor, "在吗")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.database.log.execute("UPDATE notice_attempts SET state = 'delivered' WHERE channel = 'wechat'")
    await desk.post.pass_time(600)
    await desk.post.deliver()

    first, second = await desk.post.notices(patient)
    assert (first["upto_seq"], second["first_seq"]) == (2, 3)
    assert len(desk.webpush.sent) == 2


async def test_unknown_message_of_a_provider_that_is_gone_is_not_asked_about_all_the_time(desk: Desk) -> None:
    """Nobody can be asked; it is looked at again like any other."""
    patient, _, _ = await away(desk, "sms")
    desk.aliyun.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()
    desk.aliyun.provider = "gone"
    await desk.post.pass_time(31)
    await desk.post.deliver()

    waits = "SELECT next_at > now() + interval '20 s' FROM notices WHERE user_id = $1"
    assert await desk.post.database.log.fetchval(waits, patient)


async def test_repetition_stops_when_the_provider_would_not_tell_it_any_more(desk: Desk) -> None:
    """WeCom tells one for half an hour; after a night of quiet it would come twice."""
    await away(desk, "webpush")
    desk.webpush.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(1600)
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 1


async def test_conversation_that_was_muted_meanwhile_bothers_nobody(desk: Desk) -> None:
    """The wish of the person counts when the message would be sent."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute("UPDATE members SET muted = true WHERE user_id = $1", patient)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "suppressed", "muted")


async def test_session_that_expired_is_reached_no_more(desk: Desk) -> None:
    """A push subscription lives as long as the session that made it."""
    patient, _, _ = await away(desk, "webpush")
    pool, session = desk.post.database.log, new_id()
    await pool.execute(
        """INSERT INTO sessions (id, user_id, created_at, last_seen_at, expires_at)
           VALUES ($1, $2, now(), now(), now() - interval '1 hour')""",
        session,
        patient,
    )
    await pool.execute("UPDATE notice_addresses SET session_id = $1 WHERE user_id = $2", session, patient)
    await desk.post.sweep()
    await desk.post.deliver()

    assert desk.webpush.sent == []
