"""Web push against a push service of our own that is as strict as the strictest, in each of its moods."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from channels import webpush
from channels.port import Address, Bucket, Channel, Content, Message, Outcome, Pause, Scope, Urgency, Verdict
from channels.transport import Reply
from channels.webpush import Webpush, open_webpush, topic_of
from channels.webpush_answer import MISTRUST_S, RETRY_AFTER_S
from channels.webpush_vapid import DOUBTS, load_vapid, public_key_of
from hub.platform import settings
from hub.platform.clock import SystemClock
from hub.platform.settings import BadSettings
from tests.fake_clock import FakeClock
from tests.hub_process import free_port
from tests.rfc8291 import base64url, opened
from tests.standins.webpush import WebpushStandin, open_webpush_standin
from tests.standins.webpush_browser import Mood, Subscription

PRIVATE_KEY = base64url(b"\1" * 32)
BODY = "您有一条新消息，请打开查看"


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[WebpushStandin]:
    async with open_webpush_standin() as running:
        yield running


def chosen(standin: WebpushStandin, **changed: Any) -> settings.Webpush:
    fields = {"private_key": PRIVATE_KEY, "subject": "mailto:ops@example.com", "hosts": standin.url}
    return settings.Webpush(**fields | {"timeout_s": 5.0} | changed)


@pytest_asyncio.fixture
async def channel(standin: WebpushStandin) -> AsyncIterator[Webpush]:
    async with open_webpush(chosen(standin), SystemClock()) as opened_channel:
        assert opened_channel is not None
        yield opened_channel


@pytest_asyncio.fixture
async def hasty(standin: WebpushStandin) -> AsyncIterator[Webpush]:
    """A channel that does not wait long, for services that say nothing."""
    async with open_webpush(chosen(standin, timeout_s=0.3), SystemClock()) as opened_channel:
        assert opened_channel is not None
        yield opened_channel


def message(subscription: Subscription, tag: str = "对话-1", **content: Any) -> Message:
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    shown = {"title": "王医生", "body": BODY, "url": "https://hub.example.com/c/1", "ttl_s": 600} | content
    address = Address(id=subscription.endpoint.rsplit("/", 1)[-1], value=subscription.endpoint, extra=keys)
    return Message(key="k" * 32, tag=tag, attempt="t1", address=address, content=Content(**shown))


def asked(standin: WebpushStandin) -> int:
    return sum(standin.answered.values())


# What arrives


async def test_a_notice_arrives_as_it_was_written(standin: WebpushStandin, channel: Channel) -> None:
    """The browser, and only it, reads what was written; the service sees how long and how urgent."""
    subscription = standin.subscribe(public_key_of(chosen(standin)))

    outcome = await channel.send(message(subscription, urgency=Urgency.HIGH))

    received = standin.received[0]
    assert outcome == Outcome(verdict=Verdict.ACCEPTED, provider_id=received.id, code="201")
    assert received.payload == {
        "type": "notice",
        "tag": "对话-1",
        "title": "王医生",
        "body": BODY,
        "url": "https://hub.example.com/c/1",
        "language": "zh",
    }
    assert (received.ttl_s, received.urgency, received.topic) == (600, "high", topic_of(message(subscription)))
    assert await channel.settle(message(subscription), received.id, datetime.now(UTC)) is None


async def test_it_opens_for_a_browser_that_knows_only_the_rfc(standin: WebpushStandin, channel: Channel) -> None:
    """Not only for the library that sealed it."""
    await channel.send(message(standin.subscribe()))

    received = standin.received[0]
    plain = opened(received.body, received.browser.key, received.browser.auth)
    assert msgspec.json.decode(plain) == received.payload


@pytest.mark.parametrize(("ttl_s", "sent"), [(-5, 1), (0, 1), (3600, 3600), (9999999, 2419200)])
async def test_the_time_to_live_is_one_that_services_take(
    ttl_s: int, sent: int, standin: WebpushStandin, channel: Channel
) -> None:
    """0 would drop it for everybody who is offline; more than four weeks is refused."""
    await channel.send(message(standin.subscribe(), ttl_s=ttl_s))

    assert standin.received[0].ttl_s == sent


async def test_a_long_text_arrives_shortened_in_at_most_4096_bytes(standin: WebpushStandin, channel: Channel) -> None:
    outcome = await channel.send(message(standin.subscribe(), body="请" * 5000))

    assert outcome.verdict is Verdict.ACCEPTED
    assert len(standin.received[0].body) in range(4090, 4097)
    assert standin.received[0].payload["body"].endswith("请…")


async def test_the_whole_size_is_used() -> None:
    """RFC 8291, section 4: 3993 bytes become 4096."""
    subscription = WebpushStandin().subscribe()
    bare = len(webpush.encrypt(message(subscription, body="")))

    assert len(webpush.encrypt(message(subscription, body="x" * (4096 - bare)))) == 4096
    assert len(webpush.encrypt(message(subscription, body="x" * (4097 - bare)))) <= 4096


async def test_a_text_that_is_no_unicode_is_dead_and_nothing_is_sent(standin: WebpushStandin, channel: Channel) -> None:
    for broken in ({"body": "\ud800"}, {"tag": "\ud800"}, {"tag": "t" * 5000}):
        outcome = await channel.send(message(standin.subscribe(), **broken))
        assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "content", True)
    assert not await channel.withdraw(message(standin.subscribe(), tag="\ud800"), "")

    assert asked(standin) == 0


# Replacing and taking back


async def test_a_repetition_replaces_what_waits_and_what_is_shown(standin: WebpushStandin, channel: Channel) -> None:
    """Nobody is told twice, online or not; another tag stays beside it."""
    near, far = standin.subscribe(), standin.subscribe()
    standin.go_offline(far.id)
    for subscription in (near, far):
        await channel.send(message(subscription, body="旧"))
        await channel.send(message(subscription, tag="对话-2"))
        await channel.send(message(subscription, body="新"))
    standin.come_online(far.id)

    assert channel.may_repeat(message(near))
    assert len(standin.browsers[far.id].delivered) == 2
    for subscription in (near, far):
        assert {tag: each["body"] for tag, each in standin.shown(subscription.id).items()} == {
            "对话-1": "新",
            "对话-2": BODY,
        }


async def test_what_was_seen_elsewhere_is_closed(standin: WebpushStandin, channel: Channel) -> None:
    """Where it shows, and where it still waits; what stands beside it stays."""
    near, far = standin.subscribe(), standin.subscribe()
    standin.go_offline(far.id)
    for subscription in (near, far):
        sent = await channel.send(message(subscription))
        await channel.send(message(subscription, tag="对话-2"))
        assert await channel.withdraw(message(subscription), sent.provider_id)
    standin.come_online(far.id)

    assert standin.received[-1].payload == {"type": "withdraw", "tag": "对话-1"}
    assert [each.payload["type"] for each in standin.browsers[far.id].delivered] == ["notice", "withdraw"]
    assert set(standin.shown(near.id)) == set(standin.shown(far.id)) == {"对话-2"}


@pytest.mark.parametrize("mood", [Mood(status=503), Mood(status=410), Mood(kind="cut"), Mood(kind="silent")])
async def test_taking_back_says_when_it_failed(mood: Mood, standin: WebpushStandin, hasty: Channel) -> None:
    standin.moods = [mood]

    assert not await hasty.withdraw(message(standin.subscribe()), "")


class Recorder:
    """Instead of connections: notes where something would have been sent."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def post(self, url: str, content: bytes, headers: dict[str, str]) -> Reply:
        self.urls.append(url)
        return Reply(201, {}, b"")


async def test_nothing_silent_is_sent_to_apple(standin: WebpushStandin) -> None:
    """Safari ends the subscription after some pushes that show nothing; a notice is sent, its withdrawal is not."""
    at_apple = message(msgspec.structs.replace(standin.subscribe(), endpoint="https://web.push.apple.com/QM"))
    recorder, clock = Recorder(), SystemClock()
    usual = settings.Webpush(private_key=PRIVATE_KEY, subject="mailto:ops@example.com")
    channel = Webpush(usual, load_vapid(usual, clock.now()), recorder, clock)  # type: ignore[arg-type]

    assert (await channel.send(at_apple)).verdict is Verdict.ACCEPTED
    assert not await channel.withdraw(at_apple, "")
    assert recorder.urls == ["https://web.push.apple.com/QM"]


# Answers


async def test_a_subscription_that_ended_or_never_was_is_gone(standin: WebpushStandin, channel: Channel) -> None:
    ended = standin.subscribe()
    standin.expire(ended.id)
    unknown = msgspec.structs.replace(ended, endpoint=f"{standin.url}/push/nobody")

    for subscription, code in ((ended, "410/106"), (unknown, "404/102")):
        outcome = await channel.send(message(subscription))
        assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.GONE, code, False)


@pytest.mark.parametrize(
    "keys",
    [
        {"p256dh": ""},
        {"p256dh": base64url(b"\4" + b"\1" * 64)},
        {"auth": "AAAA"},
        {"auth": ""},
    ],
)
async def test_a_subscription_with_bad_keys_is_gone_and_nothing_is_sent(
    keys: dict[str, str], standin: WebpushStandin, channel: Channel
) -> None:
    broken = message(msgspec.structs.replace(standin.subscribe(), **keys))

    assert (await channel.send(broken)).verdict is Verdict.GONE
    assert not await channel.withdraw(broken, "")
    assert asked(standin) == 0


async def test_a_subscription_without_keys_is_gone(standin: WebpushStandin, channel: Channel) -> None:
    whole = message(standin.subscribe())
    bare = msgspec.structs.replace(whole, address=msgspec.structs.replace(whole.address, extra={}))

    assert (await channel.send(bare)).verdict is Verdict.GONE


async def test_nothing_is_sent_where_the_settings_do_not_point(standin: WebpushStandin) -> None:
    """A stored address is judged again, because the settings may have changed; it is not forgotten for that."""
    async with open_webpush(chosen(standin, hosts="fcm.googleapis.com"), SystemClock()) as channel:
        assert channel is not None
        inside = message(standin.subscribe())
        outcome = await channel.send(inside)

        assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "endpoint", True)
        assert not await channel.withdraw(inside, "")
        assert channel.bucket(inside) == Bucket("webpush", 1000)
    assert asked(standin) == 0


@pytest.mark.parametrize(("retry_after", "least", "most"), [("7", 7, 7), ("date:60", 55, 61), ("", 120, 120)])
async def test_a_limit_pauses_the_service_for_as_long_as_it_says(
    retry_after: str, least: float, most: float, standin: WebpushStandin, channel: Channel
) -> None:
    """In seconds, as a date, or the usual two minutes."""
    standin.moods = [Mood(status=429, retry_after=retry_after, times=1)]
    asking = message(standin.subscribe())

    outcome = await channel.send(asking)

    assert outcome.verdict is Verdict.RETRY
    assert outcome.retry_after_s is not None
    assert least <= outcome.retry_after_s <= most <= RETRY_AFTER_S
    assert outcome.pause == Pause(Scope.PROVIDER, outcome.retry_after_s)
    assert channel.bucket(asking) == Bucket(f"webpush:{standin.url}", 1000)
    assert (await channel.send(asking)).verdict is Verdict.ACCEPTED


async def test_a_service_in_trouble_is_tried_again_later(standin: WebpushStandin, channel: Channel) -> None:
    standin.moods = [Mood(status=503, retry_after="9")]
    outcome = await channel.send(message(standin.subscribe()))

    assert (outcome.verdict, outcome.retry_after_s, outcome.pause) == (Verdict.RETRY, 9.0, None)
    assert asked(standin) == 1


async def test_a_service_that_finds_it_too_long_gets_a_short_one_once(
    standin: WebpushStandin, channel: Channel
) -> None:
    """The text is cut, the rest is the same; a second refusal is final."""
    subscription = standin.subscribe()
    standin.moods = [Mood(status=413, above_bytes=2000)]
    assert (await channel.send(message(subscription, body="请" * 900))).verdict is Verdict.ACCEPTED
    short = standin.received[0]
    standin.moods = [Mood(status=413)]
    outcome = await channel.send(message(subscription, body="请" * 900))

    assert len(short.body) <= 1024 + 103
    assert short.payload["body"].endswith("请…")
    assert (short.payload["url"], short.topic) == ("https://hub.example.com/c/1", topic_of(message(subscription)))
    assert (outcome.verdict, outcome.code, outcome.alarm) == (Verdict.DEAD, "413", True)
    assert standin.answered == {"413": 3, "201": 1}


async def test_the_short_one_has_only_what_is_left_of_the_time(standin: WebpushStandin) -> None:
    """Two calls are not two time limits."""
    standin.moods = [Mood(status=413, times=1), Mood(kind="silent")]
    standin.latency_s = 0.7
    async with open_webpush(chosen(standin, timeout_s=1.0), SystemClock()) as channel:
        assert channel is not None

        async with asyncio.timeout(1.6):  # 0.7 and another 1.0 would be more
            outcome = await channel.send(message(standin.subscribe()))
    assert (outcome.verdict, outcome.code) == (Verdict.UNKNOWN, "TimeoutError")


@pytest.mark.parametrize(
    ("mood", "taken"),
    [
        (Mood(kind="silent", times=1), 0),
        (Mood(kind="cut", times=1), 0),
        (Mood(kind="mute", times=1), 1),
        (Mood(kind="lost", times=1), 1),
    ],
)
async def test_a_lost_answer_is_unknown_and_a_repetition_shows_once(
    mood: Mood, taken: int, standin: WebpushStandin, hasty: Channel
) -> None:
    """Whether it was taken or not, nobody can tell from here; so it is sent again, and replaces."""
    standin.moods = [mood]
    asking = message(standin.subscribe())

    outcome = await hasty.send(asking)

    assert outcome.verdict is Verdict.UNKNOWN
    assert len(standin.received) == taken
    assert (await hasty.send(asking)).verdict is Verdict.ACCEPTED
    assert len(standin.shown(asking.address.value.rsplit("/", 1)[1])) == 1


async def test_no_connection_is_certainly_not_sent(standin: WebpushStandin) -> None:
    """Nobody listens there, or the name is too long for any host."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    hosts = f"{nowhere} *.invalid.example"
    async with open_webpush(chosen(standin, hosts=hosts), SystemClock()) as channel:
        assert channel is not None
        long_host = ".".join(["a" * 60] * 5) + ".invalid.example"
        for endpoint in (f"{nowhere}/push/x", f"https://{long_host}/x"):
            outcome = await channel.send(message(msgspec.structs.replace(standin.subscribe(), endpoint=endpoint)))
            assert outcome.verdict is Verdict.RETRY


# Signatures


async def test_one_signature_serves_many_messages_and_each_service_has_its_own(standin: WebpushStandin) -> None:
    """Claims that are used again would name the first service to the second, which refuses."""
    async with open_webpush_standin() as other:
        both = f"{standin.url} {other.url}"
        async with open_webpush(chosen(standin, hosts=both), SystemClock()) as channel:
            assert channel is not None
            for _ in range(2):
                for service in (standin, other):
                    outcome = await channel.send(message(service.subscribe()))
                    assert outcome.verdict is Verdict.ACCEPTED

        assert len({each.authorization for each in standin.received}) == 1
        assert standin.received[0].authorization != other.received[0].authorization


async def test_a_signature_is_renewed_before_it_ends(standin: WebpushStandin) -> None:
    """A process that runs for days is taken all the time."""
    clock = FakeClock()
    standin.now = lambda: clock.now().timestamp()
    async with open_webpush(chosen(standin), clock) as channel:
        assert channel is not None
        for _ in range(10):
            assert (await channel.send(message(standin.subscribe()))).verdict is Verdict.ACCEPTED
            await clock.advance(timedelta(hours=6).total_seconds())

    assert len({each.authorization for each in standin.received}) == 5


async def test_a_signature_nobody_takes_stops_the_service_and_deletes_nothing(standin: WebpushStandin) -> None:
    """Our clock is a day behind: an alarm, at the fifth a pause, and dead, never gone; when it is right, the next is signed anew."""
    clock = FakeClock()
    service_now = clock.now().timestamp() + timedelta(hours=21).total_seconds()
    standin.now = lambda: service_now
    async with open_webpush(chosen(standin), clock) as channel:
        assert channel is not None
        outcomes = [await channel.send(message(standin.subscribe())) for _ in range(DOUBTS)]
        await clock.advance(timedelta(hours=2).total_seconds())

        assert {(each.verdict, each.code, each.alarm) for each in outcomes} == {(Verdict.DEAD, "403/109", True)}
        assert [each.pause for each in outcomes] == [None] * (DOUBTS - 1) + [Pause(Scope.PROVIDER, MISTRUST_S)]
        assert (await channel.send(message(standin.subscribe()))).verdict is Verdict.ACCEPTED


async def test_a_subscription_for_another_site_stops_nobody_else(standin: WebpushStandin, channel: Channel) -> None:
    """Anybody can register one; the service has just taken our signature, so it is about that subscription."""
    await channel.send(message(standin.subscribe()))
    outcome = await channel.send(message(standin.subscribe("another-site-s-key")))

    assert (outcome.verdict, outcome.pause, outcome.alarm) == (Verdict.DEAD, None, False)
    assert (await channel.send(message(standin.subscribe()))).verdict is Verdict.ACCEPTED
    assert standin.received[0].authorization == standin.received[1].authorization


async def test_one_strange_subscription_pauses_nobody_before_the_signature_is_proven(
    standin: WebpushStandin, channel: Channel
) -> None:
    """A worker that has just begun is refused for it as often as it tries: it is one all the same, and a success clears it."""
    strange = [standin.subscribe(f"another-site-s-key-{number}") for number in range(DOUBTS)]
    alone = [await channel.send(message(strange[0])) for _ in range(DOUBTS + 1)]
    others = [await channel.send(message(each)) for each in strange[1:-1]]
    await channel.send(message(standin.subscribe()))
    last = await channel.send(message(strange[-1]))

    assert {each.pause for each in (*alone, *others, last)} == {None}
    assert (await channel.send(message(standin.subscribe()))).verdict is Verdict.ACCEPTED


async def test_a_service_cannot_tell_who_talks_with_whom(standin: WebpushStandin, channel: Channel) -> None:
    """The same conversation is another topic for each subscription, and for one it is the same, also when it is taken back."""
    patient, doctor = standin.subscribe(), standin.subscribe()
    for subscription in (patient, doctor, patient):
        await channel.send(message(subscription))
    await channel.withdraw(message(patient), "")
    first, other, *again = [each.topic for each in standin.received]

    assert first != other
    assert again == [first, first]


# Opening, and what is never told


async def test_there_is_no_channel_without_a_key() -> None:
    async with open_webpush(settings.Webpush(), SystemClock()) as channel:
        assert channel is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("private_key", "no-such-file"),
        ("subject", "mailto:ops@localhost"),
        ("subject", ""),
        ("hosts", "fcm.googleapis.com *"),
    ],
)
async def test_a_bad_setting_stops_the_start_and_is_named(key: str, value: str, standin: WebpushStandin) -> None:
    with pytest.raises(BadSettings, match=rf"^webpush\.{key}: "):
        async with open_webpush(chosen(standin, **{key: value}), SystemClock()):
            pass


MOODS = [
    None,
    *(Mood(status=status, body={"reason": "地址 /push/", "errno": 1}) for status in (400, 403, 404, 413, 429, 503)),
    *(Mood(kind=kind) for kind in ("cut", "silent", "lost")),
]


@pytest.mark.parametrize("mood", MOODS)
async def test_neither_outcome_nor_log_tells_address_or_content(
    mood: Mood | None, standin: WebpushStandin, hasty: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """Staff read outcomes, operators read logs; neither is for what was written to whom."""
    caplog.set_level(logging.DEBUG)
    standin.moods = [mood] if mood else []
    subscription = standin.subscribe()

    told = repr(await hasty.send(message(subscription))) + caplog.text

    for secret in (subscription.id, subscription.auth, subscription.p256dh, BODY, "王医生", PRIVATE_KEY, "/push/"):
        assert secret not in told
