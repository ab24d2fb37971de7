"""From an entry that nobody received to its end in the ledger: sweep, ladder, outcomes, receipts, crashes (P8, P9)."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from channels.port import Message, Outcome, Pause, Scope, Verdict
from hub.notices.notice_class import CLASSES, Step
from hub.notices.withdrawal import _SEE
from hub.platform.database import Database
from hub.platform.identifier import new_id
from tests.integration.notice_scene import Post, ScriptedChannel, change_class, open_post


class Desk:
    """The channels of one test and the worker over them."""

    def __init__(self, post: Post, channels: list[ScriptedChannel]) -> None:
        self.post = post
        self.webpush, self.wechat, self.aliyun, self.tencent = channels


@pytest_asyncio.fixture
async def desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    for table in ("notices", "notice_marks", "entries"):
        await database.log.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here
    channels = [
        ScriptedChannel("webpush"),
        ScriptedChannel("wechat", "weixin", receipt_s=600),
        ScriptedChannel("sms", "aliyun", repeats=False, receipt_s=600),
        ScriptedChannel("sms", "tencent", repeats=False, receipt_s=600),
    ]
    async with open_post(database, redis_url, *channels) as post:
        await post.sweep()  # the mark
        yield Desk(post, channels)


async def away(desk: Desk, *channels: str, words: str = "请今天量血压") -> tuple[str, str, str]:
    """A doctor wrote, and the patient's phone is away: (patient, doctor, conversation), past the grace."""
    patient = await desk.post.person("patient", "张三丰")
    await desk.post.reach(patient, *channels)
    doctor, group = await desk.post.group(patient)
    await desk.post.send(group, doctor, words)
    await desk.post.pass_time(11)
    return patient, doctor, group


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


async def test_call_of_a_dead_worker_is_unknown(desk: Desk) -> None:
    """P8: after a kill between the call and its answer nobody knows; an SMS is not sent again."""
    patient, _, _ = await away(desk, "sms")
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()
    await desk.post.database.log.execute("UPDATE notice_attempts SET state = 'leased' WHERE channel = 'sms'")
    await desk.post.database.log.execute(
        "UPDATE notices SET lease = gen_random_uuid(), next_at = now() WHERE user_id = $1", patient
    )
    await desk.post.deliver()

    assert len(desk.aliyun.sent) == 1
    assert ("sms", "unknown", "worker_lost") in await desk.post.attempts(patient)


async def test_worker_that_lost_its_lease_changes_nothing(desk: Desk) -> None:
    """Its outcome is written beside the attempt; what becomes of the notice is the new holder's to say."""
    patient, _, _ = await away(desk, "webpush")

    def stolen(_message: object) -> Outcome:
        return Outcome(verdict=Verdict.ACCEPTED)

    desk.webpush.answers = [stolen]
    await desk.post.sweep()
    pool = desk.post.database.log
    await pool.execute(
        """CREATE OR REPLACE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN UPDATE notices SET lease = gen_random_uuid() WHERE id = NEW.notice; RETURN NULL; END $$"""
    )
    await pool.execute(
        "CREATE TRIGGER steal AFTER INSERT ON notice_attempts FOR EACH ROW WHEN (NEW.state = 'leased') EXECUTE FUNCTION steal()"
    )
    try:
        await desk.post.deliver()
    finally:
        await pool.execute("DROP TRIGGER steal ON notice_attempts")

    [notice] = await desk.post.notices(patient)
    assert (notice["state"], notice["lease"] is not None) == ("open", True)
    assert ("webpush", "accepted", "") in await desk.post.attempts(patient)


async def test_gone_address_is_forgotten(desk: Desk) -> None:
    """RFC 8030, section 7.3: a subscription that answers 404 or 410 is never asked again."""
    patient, _, _ = await away(desk, "webpush")
    desk.webpush.answers = [Outcome(verdict=Verdict.GONE, code="410")]
    await desk.post.sweep()
    await desk.post.deliver()
    gone = await desk.post.database.log.fetchval("SELECT gone_why FROM notice_addresses WHERE user_id = $1", patient)

    assert gone == "provider"


async def test_quota_is_spent_given_back_and_emptied(desk: Desk) -> None:
    """One accept is one send: a send that was certainly not taken costs nothing, and 43101 means that nothing is left."""
    patient, _, _ = await away(desk, "wechat")
    desk.wechat.answers = [
        Outcome(verdict=Verdict.RETRY, code="-1"),
        Outcome(verdict=Verdict.REFUSED, code="43101"),
    ]
    query = "SELECT remaining FROM wechat_quotas WHERE openid = $1 AND template = 'wechat-chat'"
    await desk.post.sweep()
    await desk.post.deliver()
    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 5
    await desk.post.pass_time(5)
    await desk.post.deliver()

    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 0
    assert ("wechat", "refused", "43101") in await desk.post.attempts(patient)


@pytest.mark.parametrize("what", ["read", "delivered"])
async def test_nothing_is_sent_to_who_saw_it_between_the_claim_and_the_call(desk: Desk, what: str) -> None:
    """P8: the last look is in the statement that writes the call down."""
    patient, _, group = await away(desk, "webpush")
    await desk.post.sweep()
    limit = desk.post.delivery._limit

    async def meanwhile(plans: object) -> None:
        await limit(plans)  # type: ignore[arg-type]
        await desk.post.cursor(patient, group, **{what: 2})

    desk.post.delivery._limit = meanwhile  # type: ignore[assignment,method-assign]
    await desk.post.deliver()

    assert desk.webpush.sent == []
    [notice] = await desk.post.notices(patient)
    assert notice["state"] == ("seen" if what == "read" else "delivered")


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


async def test_later_entries_bother_again_only_after_the_digest_window(desk: Desk) -> None:
    """A conversation bothers once in ten minutes, and what came meanwhile is told then."""
    patient, doctor, group = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.send(group, doctor, "在吗")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.deliver()
    assert len(desk.webpush.sent) == 1
    await desk.post.pass_time(1800)
    await desk.post.deliver()
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 2
    assert [notice["first_seq"] for notice in await desk.post.notices(patient)] == [2, 3]


async def test_limit_of_a_provider_holds_calls_back_and_loses_none(desk: Desk) -> None:
    """A bucket that is empty delays; every notice is sent in the end."""
    desk.webpush.per_s = 2
    for _ in range(4):
        await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.deliver()
    assert len(desk.webpush.sent) == 2
    desk.webpush.per_s = 1000
    await desk.post.pass_time(3)
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 4


async def test_expired_notice_is_not_sent(desk: Desk) -> None:
    """Too late is `expired`, not a message at a time when it is of no use."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.pass_time(90_000)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "expired", "too_late")


async def test_worker_that_is_asked_to_stop_gives_back_what_it_has_not_begun(desk: Desk) -> None:
    """A deployment costs nobody a lease's time: the next worker goes on at once."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    limit = desk.post.delivery._limit

    async def meanwhile(plans: object) -> None:
        await limit(plans)  # type: ignore[arg-type]
        desk.post.delivery.stop()

    desk.post.delivery._limit = meanwhile  # type: ignore[assignment,method-assign]
    await desk.post.delivery.drain("normal", 0)

    [notice] = await desk.post.notices(patient)
    overdue = await desk.post.database.log.fetchval("SELECT next_at <= now() FROM notices WHERE id = $1", notice["id"])
    assert (desk.webpush.sent, notice["state"], notice["lease"], overdue) == ([], "open", None, True)


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


async def test_entry_that_joins_while_a_worker_is_at_it_is_not_ended_with_it(desk: Desk) -> None:
    """What the worker decided is about what it had claimed."""
    patient, doctor, group = await away(desk, "webpush")
    await desk.post.sweep()
    sent = asyncio.Event()

    async def joins(message: object) -> None:
        await desk.post.send(group, doctor, "还有一件事")
        await desk.post.database.log.execute(
            "UPDATE entries SET created_at = created_at - interval '11 s' WHERE conversation = $1 AND seq = 3", group
        )
        await desk.post.sweep()
        sent.set()

    send = desk.webpush.send

    async def meanwhile(message: Message) -> Outcome:
        if not sent.is_set():
            await joins(message)
        return await send(message)

    desk.webpush.send = meanwhile  # type: ignore[method-assign]
    await desk.post.deliver()

    notices = await desk.post.notices(patient)
    assert [(each["first_seq"], each["upto_seq"]) for each in notices] == [(2, 2), (3, 3)]


async def test_limit_of_one_provider_holds_back_no_other_step(desk: Desk) -> None:
    """WeChat is paused for half a day; the text message comes at its time all the same."""
    patient, _, _ = await away(desk, "wechat", "sms")
    desk.wechat.per_s = 1
    wait = Outcome(verdict=Verdict.RETRY, code="45009", pause=Pause(Scope.PROVIDER, 43_200))
    desk.wechat.answers = [wait]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(1801)
    await desk.post.deliver()

    assert (len(desk.wechat.sent), len(desk.aliyun.sent)) == (1, 1)
    assert ("sms", "accepted", "") in await desk.post.attempts(patient)


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


async def test_43101_after_a_lost_answer_means_that_it_arrived(desk: Desk) -> None:
    """The call whose answer was lost took the last of the quota."""
    patient, _, _ = await away(desk, "wechat")
    desk.wechat.answers = [Outcome(verdict=Verdict.UNKNOWN), Outcome(verdict=Verdict.REFUSED, code="43101")]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(5)
    await desk.post.deliver()

    assert ("wechat", "accepted", "43101") in await desk.post.attempts(patient)


async def test_repetition_stops_when_the_provider_would_not_tell_it_any_more(desk: Desk) -> None:
    """WeCom tells one for half an hour; after a night of quiet it would come twice."""
    await away(desk, "webpush")
    desk.webpush.answers = [Outcome(verdict=Verdict.UNKNOWN)]
    await desk.post.sweep()
    await desk.post.deliver()
    await desk.post.pass_time(1600)
    await desk.post.deliver()

    assert len(desk.webpush.sent) == 1


async def test_quota_is_spent_by_each_of_two_notices_at_once(desk: Desk) -> None:
    """Two conversations of one person in one claim: two sends, two less."""
    patient, _, _ = await away(desk, "wechat")
    doctor, group = await desk.post.group(patient)
    await desk.post.send(group, doctor, "另一件事")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.deliver()
    query = "SELECT remaining FROM wechat_quotas WHERE openid = $1 AND template = 'wechat-chat'"

    assert len(desk.wechat.sent) == 2
    assert await desk.post.database.log.fetchval(query, f"openid-{patient}") == 3


async def test_many_conversations_cost_nobody_their_alerts(desk: Desk) -> None:
    """Carriers cut off a phone that gets too many text messages: whoever writes often gets no more than so many through."""
    patient = await desk.post.person()
    await desk.post.reach(patient, "sms")
    for _ in range(7):
        doctor, group = await desk.post.group(patient)
        await desk.post.send(group, doctor, "您好")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    for _ in range(7):
        await desk.post.pass_time(1801)
        await desk.post.deliver()
        await desk.post.database.log.execute("UPDATE notices SET next_at = now() WHERE state = 'open'")

    assert len(desk.aliyun.sent) == 5
    more, group = await desk.post.group(patient)
    await desk.post.send(group, more, "在吗")
    await desk.post.pass_time(11)
    await desk.post.sweep()
    await desk.post.pass_time(1801)
    await desk.post.deliver()

    assert ("sms", "suppressed", "texts_enough") in await desk.post.attempts(patient)


async def test_conversation_that_was_muted_meanwhile_bothers_nobody(desk: Desk) -> None:
    """The wish of the person counts when the message would be sent."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    await desk.post.database.log.execute("UPDATE members SET muted = true WHERE user_id = $1", patient)
    await desk.post.deliver()

    [notice] = await desk.post.notices(patient)
    assert (desk.webpush.sent, notice["state"], notice["reason"]) == ([], "suppressed", "muted")


@pytest.mark.parametrize("what", ["session", "account", "address"])
async def test_last_look_sees_what_changed_since_the_claim(desk: Desk, what: str) -> None:
    """P5: who signed out, was suspended, or gave the browser to somebody else in this moment, is sent nothing."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    limit, pool = desk.post.delivery._limit, desk.post.database.log
    session = new_id()
    await pool.execute(
        """INSERT INTO sessions (id, user_id, created_at, last_seen_at, expires_at)
           VALUES ($1, $2, now(), now(), now() + interval '1 day')""",
        session,
        patient,
    )
    await pool.execute("UPDATE notice_addresses SET session_id = $1 WHERE user_id = $2", session, patient)
    changes = {
        "session": "UPDATE sessions SET revoked_at = now() WHERE user_id = $1",
        "account": "UPDATE users SET status = 'suspended' WHERE id = $1",
        "address": "UPDATE notice_addresses SET gone_at = now() WHERE user_id = $1",
    }

    async def meanwhile(plans: object) -> None:
        await limit(plans)  # type: ignore[arg-type]
        await pool.execute(changes[what], patient)

    desk.post.delivery._limit = meanwhile  # type: ignore[assignment,method-assign]
    await desk.post.deliver()

    assert desk.webpush.sent == []


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


async def test_outage_of_postgresql_cancels_no_call_that_is_out(desk: Desk) -> None:
    """A claim that fails costs nothing but time: what was sent before is written down."""
    patient, _, _ = await away(desk, "webpush")
    await desk.post.sweep()
    out, answered = asyncio.Event(), asyncio.Event()
    send, claim = desk.webpush.send, desk.post.delivery._classes.all

    async def slow(message: Message) -> Outcome:
        out.set()
        await answered.wait()
        return await send(message)

    async def broken(*_: object) -> object:
        if not out.is_set():
            return await claim()
        answered.set()
        raise OSError("away")

    desk.webpush.send = slow  # type: ignore[method-assign]
    desk.post.delivery._classes.all = broken  # type: ignore[assignment,method-assign]
    await desk.post.delivery.drain("normal", 0)

    assert ("webpush", "accepted", "") in await desk.post.attempts(patient)


async def test_as_many_are_under_way_as_may_be_however_many_shards_there_are(
    database: Database, redis_url: str
) -> None:
    """Drains of one lane share its places; and one that is stopped meanwhile claims nothing."""
    channel = ScriptedChannel("webpush")
    out = asyncio.Event()
    channel.answers = [out] * 100
    async with open_post(database, redis_url, channel, in_flight=8) as post:
        for table in ("notices", "notice_marks", "entries"):
            await database.log.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here
        await post.sweep()
        for _ in range(40):
            patient = await post.person()
            await post.reach(patient, "webpush")
            doctor, group = await post.group(patient)
            await post.send(group, doctor, "您好")
        await post.pass_time(11)
        await post.sweep()
        rows = await database.log.fetch("SELECT id FROM notices")
        for number, row in enumerate(rows):
            await database.log.execute("UPDATE notices SET shard = $2 WHERE id = $1", row["id"], number % 8)
        drains = [asyncio.create_task(post.delivery.drain("normal", shard)) for shard in range(8)]
        async with asyncio.timeout(10):
            while len(channel.sent) < 4:  # noqa: ASYNC110 - half of the places for one provider
                await asyncio.sleep(0)
        assert post.delivery._busy["normal"] <= 8
        post.delivery.stop()
        out.set()
        await asyncio.gather(*drains)

    assert len(channel.sent) <= 8


async def test_step_that_waits_for_reading_is_not_made_when_it_was_read_in_this_moment(desk: Desk) -> None:
    """P8, where a device that has it is not enough: the reading itself is what the last look sees."""
    only = msgspec.structs.replace(CLASSES["chat"], ladder=[Step("webpush", unless="read")])
    await change_class(desk.post.database, only)
    patient, _, group = await away(desk, "webpush")
    await desk.post.sweep()
    limit = desk.post.delivery._limit

    async def meanwhile(plans: object) -> None:
        await limit(plans)  # type: ignore[arg-type]
        await desk.post.cursor(patient, group, read=2)

    desk.post.delivery._limit = meanwhile  # type: ignore[assignment,method-assign]
    try:
        await desk.post.deliver()
    finally:
        await desk.post.database.log.execute("DELETE FROM notice_classes")

    assert desk.webpush.sent == []
