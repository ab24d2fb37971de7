"""What `hub doctor` says of the ways to reach people: which are on, what the others lack, and whether anybody delivers."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg

from channels.email import open_email
from channels.sms import open_sms
from channels.webpush import open_webpush
from channels.wechat import open_wechat_messages
from channels.wecom import open_wecom
from hub.notices.due import LANES, backlog
from hub.platform.clock import SystemClock
from hub.platform.settings import Settings
from workers.notice_worker import queue_of
from workers.queue import open_queue

LATE_S = 60.0

Opening = Callable[[Settings], AbstractAsyncContextManager[object]]

# Channel → how it is opened, and which settings turn it on.
CHANNELS: dict[str, tuple[Opening, str]] = {
    "web push": (lambda chosen: open_webpush(chosen.webpush, SystemClock()), "webpush.private_key"),
    "WeChat": (lambda chosen: open_wechat_messages(chosen, None, SystemClock()), "wechat.app_id and wechat.app_secret"),
    "WeCom": (
        lambda chosen: open_wecom(chosen.wecom, None, SystemClock()),
        "wecom.corp_id, wecom.corp_secret and wecom.agent_id",
    ),
    "SMS": (lambda chosen: open_sms(chosen.sms, SystemClock()), "sms.providers"),
    "e-mail": (lambda chosen: open_email(chosen.email, SystemClock()), "email.host"),
}


async def channel(name: str, settings: Settings) -> str:
    """Whether a channel is on. Raises `BadSettings` for credentials that cannot be used; no provider is asked."""
    opening, missing = CHANNELS[name]
    async with opening(settings) as opened:
        return "on" if opened else f"off; {missing} would turn it on"


async def delivery(settings: Settings) -> tuple[str, bool]:
    """Who delivers, and whether that is well."""
    workers = 0
    for lane in LANES:
        async with open_queue(settings.redis, queue_of(lane)) as queue:
            workers = max(workers, await queue.workers())
    late = await _late(settings)
    if late:
        return f"{late}; is there a worker (hub work) and a scheduler (hub schedule)?", False
    if not workers:
        return "no worker was heard of in the last seconds, and nothing waits for one; hub work starts one", True
    return f"{workers} worker(s), nothing is late", True


async def _late(settings: Settings) -> str:
    url = settings.database.url.replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=1, max_size=1, timeout=5, command_timeout=5) as pool:
        now = await pool.fetchval("SELECT clock_timestamp()")
        waiting = {each.lane: (now - each.oldest).total_seconds() for each in await backlog(pool)}
    return ", ".join(f"{lane} notices wait since {waited:.0f} s" for lane, waited in waiting.items() if waited > LATE_S)
