"""Delivering: a worker claims the notices of one shard that are due, makes the calls that follow, and writes down what came of them.

It may be killed anywhere: what it held is due again when its lease ends, and a call it was making is then `unknown`. It may run
twice at once for the same shard: a lease decides.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import structlog

from channels.limit import Allowed, Limits
from channels.port import Channel, Message
from hub.notices import due, store
from hub.notices.calling import Caller
from hub.notices.class_book import ClassBook
from hub.notices.decision import Send
from hub.notices.message import Writer
from hub.notices.plan import Plan, call_of, message_of, plan_of, quota_of, result_of
from hub.notices.record import Recorder
from hub.notices.store import Claimed
from hub.notices.template_book import TemplateBook
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.supervisor import describe

CLAIM = 128  # notices of one statement
DRAIN_S = 8.0  # a job claims for so long, then another goes on: arq ends a job after `worker.timeout_s`
FULL_S = 1.0  # how soon is looked again where a provider has all the calls it may have
SLOW_S = 1.0  # a call that takes longer gives its place to others
LOOK_S = 0.25  # while calls are under way, how often is looked for what became due meanwhile

log = structlog.get_logger("hub.notices")


class Delivery:
    """One per worker process."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        classes: ClassBook,
        templates: TemplateBook,
        channels: Sequence[Channel],
        limits: Limits,
        recorder: Recorder,
        clock: Clock,
        chosen: settings.Notices,
        long_term: frozenset[str],
    ) -> None:
        self._pool = pool
        self._classes = classes
        self._templates = templates
        self._channels = channels
        self._limits = limits
        self._caller = Caller(limits, clock)
        self._recorder = recorder
        self._clock = clock
        self._settings = chosen
        self._long_term = long_term
        self._busy: dict[str, int] = defaultdict(int)
        self._slow: dict[str, int] = defaultdict(int)
        self._freed = asyncio.Event()
        self._stopping = False
        self._draining: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """Claim nothing more; what is claimed and not begun is given back."""
        self._stopping = True
        self._freed.set()

    async def drain_unwoken(self, lane: str, seconds: float) -> None:
        """Deliver what is due for so long though nobody was woken for it."""
        shards = await due.unwoken(self._pool, lane, seconds)
        await asyncio.gather(*(self.drain(lane, shard) for shard in shards))

    async def drain(self, lane: str, shard: int) -> bool:
        """Deliver what is due; True when there may be more. Returns when all that it claimed is written down.

        A second call for a shard that this process is at returns at once.
        """
        if (lane, shard) in self._draining:
            return False
        self._draining.add((lane, shard))
        try:
            return await self._drain(lane, shard)
        finally:
            self._draining.discard((lane, shard))

    async def _drain(self, lane: str, shard: int) -> bool:
        until = self._clock.monotonic() + DRAIN_S
        under_way: set[asyncio.Task[None]] = set()
        more = True
        async with asyncio.TaskGroup() as groups:
            while more and await self._has_room(lane, until):
                wanted = min(self._settings.in_flight - self._busy[lane], CLAIM)
                claimed = await self._claim(lane, shard, wanted)
                if claimed:
                    group = groups.create_task(self._group(lane, claimed), name=f"notices {lane} {shard}")
                    under_way.add(group)
                    group.add_done_callback(under_way.discard)
                elif claimed is None:  # PostgreSQL is away: what is under way goes on
                    more = False
                elif under_way:  # what comes back may be due again at once, for the next provider
                    await asyncio.wait(under_way, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                else:
                    return False
        return True

    async def _has_room(self, lane: str, until: float) -> bool:
        """Whether this process may have more under way in the lane; waits until it is worth a statement, but not past `until`."""
        while not self._stopping and self._busy[lane] > self._settings.in_flight * 3 // 4:
            left_s = until - self._clock.monotonic()
            if left_s <= 0:
                return False
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._freed.wait()
        return not self._stopping and self._clock.monotonic() < until

    async def _claim(self, lane: str, shard: int, most: int) -> list[Claimed] | None:
        """Hold up to `most`, which count as under way from before the statement on. None when PostgreSQL did not answer."""
        self._busy[lane] += most
        claimed: list[Claimed] = []
        try:
            classes = await self._classes.all()
            texting = [code for code, each in classes.items() if any(step.channel == "sms" for step in each.ladder)]
            claimed = await store.claim(self._pool, lane, shard, most, self._settings.lease_s, texting)
        except Exception as error:
            log.warning("notices not claimed", lane=lane, shard=shard, error=describe(error))
            return None
        finally:
            self._busy[lane] -= most - len(claimed)
        return claimed

    def _free(self, lane: str) -> None:
        self._busy[lane] -= 1
        self._freed.set()

    async def _group(self, lane: str, claimed: Sequence[Claimed]) -> None:
        """One claim. Whatever goes wrong in it costs its notices a lease's time, and no other's calls anything."""
        left, waiting = len(claimed), list[Plan]()
        try:
            waiting = await self._plan(claimed)
            await self._limit(waiting)
            begun = {} if self._stopping else await self._begin(waiting)
            async with asyncio.TaskGroup() as calls:
                while waiting:
                    left -= 1
                    calls.create_task(self._finish_one(lane, waiting.pop(), begun), name="notice")
        except Exception as error:
            log.warning("notices not begun", lane=lane, notices=left, error=describe(error))
        finally:
            for _ in range(left):
                self._free(lane)

    # Deciding

    async def _plan(self, claimed: Sequence[Claimed]) -> list[Plan]:
        classes = await self._classes.all()
        self._recorder.know({code: each.digest_s for code, each in classes.items()})
        writer = Writer(self._channels, await self._templates.all(), self._settings.public_url, self._long_term)
        plans, began = [], self._clock.monotonic()
        texts: Counter[str] = Counter()  # of this claim: the next one finds them in the database
        for each in claimed:
            user = each.notice.user
            try:
                plan = plan_of(each, classes, writer, self._settings.texts_per_day - texts[user], began)
                texts[user] += sum(send.channel == "sms" for send in plan.decision.sends)
                plans.append(plan)
            except Exception:  # a defect costs this notice a lease's time, and its neighbours nothing
                log.exception("notice not decided", notice=each.notice.id)
        return plans

    async def _limit(self, plans: Sequence[Plan]) -> None:
        """Keep what the providers' limits allow, and say until when the rest waits. One question per bucket.

        Calls that take long leave their places to others; a provider that has `in_flight` of them gets no more for now.
        """
        wanted: dict[tuple[str, float, str], list[tuple[Plan, Send, Message, Channel]]] = defaultdict(list)
        for plan in plans:
            for send in plan.decision.sends:
                channel = plan.writer.channel(send.provider)
                message = message_of(plan, send)
                if channel is None or message is None:
                    plan.hold(send, FULL_S)
                    continue
                bucket = channel.bucket(message)
                wanted[bucket.name, bucket.per_s, message.content.template].append((plan, send, message, channel))
        for (_, _, template), calls in wanted.items():
            bucket = calls[0][3].bucket(calls[0][2])
            is_stuck = self._slow[bucket.name] >= self._settings.in_flight
            allowed = Allowed(0, FULL_S) if is_stuck else await self._limits.take(bucket, len(calls), template)
            for number, (plan, send, message, channel) in enumerate(calls):
                if number < allowed.count:
                    plan.calls.append((send, message, channel))
                else:
                    plan.hold(send, allowed.wait_s or FULL_S)

    async def _begin(self, plans: Sequence[Plan]) -> dict[str, datetime]:
        calls = [
            (message.attempt, plan.claimed.notice.id, send, *(quota_of(send, message) or ("", "")))
            for plan in plans
            for send, message, _ in plan.calls
        ]
        if not calls:
            return {}
        return dict(await store.begin(self._pool, plans[0].claimed.lease, calls))

    # Doing

    async def _finish_one(self, lane: str, plan: Plan, begun: dict[str, datetime]) -> None:
        let_go = asyncio.get_running_loop().call_later(SLOW_S, self._let_go, lane, plan)
        try:
            await self._finish(plan, begun)
        except Exception:  # as above; what it sent is `unknown` when its lease ends
            log.exception("notice not finished", notice=plan.claimed.notice.id)
        finally:
            let_go.cancel()
            if plan.is_slow:
                self._count_slow(plan, -1)
            else:
                self._free(lane)

    def _let_go(self, lane: str, plan: Plan) -> None:
        plan.is_slow = True
        self._count_slow(plan, 1)
        self._free(lane)

    def _count_slow(self, plan: Plan, by: int) -> None:
        for _, message, channel in plan.calls:
            self._slow[channel.bucket(message).name] += by

    async def _finish(self, plan: Plan, begun: dict[str, datetime]) -> None:
        made = [
            (call_of(plan, send, message, channel, begun[message.attempt]), message, channel)
            for send, message, channel in plan.calls
            if message.attempt in begun
        ]
        calling = [
            *(self._caller.send(plan, *each) for each in made),
            *(self._caller.settle(plan, each) for each in plan.decision.settles),
            *(self._caller.withdraw(plan, each) for each in plan.decision.withdraws),
        ]
        told = [await calling[0]] if len(calling) == 1 else await asyncio.gather(*calling)  # a task costs 15 µs
        await self._recorder.submit(result_of(plan, [call for call, _, _ in made], told))
