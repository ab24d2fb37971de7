"""A worker's delivery over all channels, and a patient whose phone is away; no fixtures here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hub.platform.database import Database
from tests.integration.notice_scene import Post, ScriptedChannel, open_post


class Desk:
    """The channels of one test and the worker over them."""

    def __init__(self, post: Post, channels: list[ScriptedChannel]) -> None:
        self.post = post
        self.webpush, self.wechat, self.aliyun, self.tencent = channels

    def between_claim_and_call(self, act: Callable[[], Awaitable[object]]) -> None:
        """From now on this happens when a worker has claimed notices and not called a provider yet."""
        limit = self.post.delivery._limit

        async def meanwhile(plans: object) -> None:
            await limit(plans)  # type: ignore[arg-type]
            await act()

        self.post.delivery._limit = meanwhile  # type: ignore[assignment,method-assign]


@asynccontextmanager
async def open_desk(database: Database, redis_url: str) -> AsyncIterator[Desk]:
    """Nothing of the tests before is left."""
    await clear(database)
    channels = [
        ScriptedChannel("webpush"),
        ScriptedChannel("wechat", "weixin", receipt_s=600),
        ScriptedChannel("sms", "aliyun", repeats=False, receipt_s=600),
        ScriptedChannel("sms", "tencent", repeats=False, receipt_s=600),
    ]
    async with open_post(database, redis_url, *channels) as post:
        await post.sweep()  # the mark
        yield Desk(post, channels)


async def clear(database: Database) -> None:
    for table in ("notices", "notice_marks", "entries"):
        await database.log.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here


async def away(desk: Desk, *channels: str, words: str = "请今天量血压") -> tuple[str, str, str]:
    """A doctor wrote, and the patient's phone is away: (patient, doctor, conversation), past the grace."""
    patient = await desk.post.person("patient", "张三丰")
    await desk.post.reach(patient, *channels)
    doctor, group = await desk.post.group(patient)
    await desk.post.send(group, doctor, words)
    await desk.post.pass_time(11)
    return patient, doctor, group
