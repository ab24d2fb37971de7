"""The calls themselves: sending, asking what became of a message, taking one back; and what is known afterwards.

Nothing here decides or is written down: `ladder` decides, `record` writes.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta

import structlog

from channels.limit import Limits, reason_of
from channels.port import Channel, Message, Outcome, Scope, Verdict
from hub.notices.model import Attempt
from hub.notices.outcome import Call, told_of
from hub.notices.plan import Plan, rewritten
from hub.notices.record import Told
from hub.platform.clock import Clock
from hub.platform.identifier import is_id

CALL_S = 11.0  # longer than any channel's own limit; a channel that does not keep it has a defect

log = structlog.get_logger("hub.notices")


class Caller:
    """One per worker process."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock

    async def send(self, plan: Plan, call: Call, message: Message, channel: Channel) -> Told:
        """One call of a provider, once."""
        outcome = await self._guarded(channel.send(message), channel)
        bucket = channel.bucket(message)
        # A provider that answers with a pause is well: it says what it wants.
        is_ill = outcome.verdict in (Verdict.UNKNOWN, Verdict.RETRY) and outcome.pause is None
        await self._limits.judge(bucket, healthy=not is_ill)
        if outcome.pause is not None:
            template = message.content.template if outcome.pause.scope is Scope.TEMPLATE else ""
            await self._limits.pause(bucket, outcome.pause.seconds, reason_of(outcome), template)
        told = told_of(call, outcome, self._now(plan))
        if outcome.alarm:
            log.error("channel needs attention", channel=channel.name, provider=channel.provider, code=told.code)
        return told

    async def settle(self, plan: Plan, attempt: Attempt) -> Told:
        """Ask what became of a message whose answer was lost; never send it again. Where nobody can be asked, later again."""
        found, outcome = rewritten(plan, attempt), None
        if found is not None and attempt.sent_at is not None:
            channel, message = found
            try:
                async with asyncio.timeout(CALL_S):
                    outcome = await channel.settle(message, attempt.provider_id, attempt.sent_at)
            except Exception as error:
                log.warning("message not settled", channel=attempt.channel, error=type(error).__name__)
        known = outcome or Outcome(verdict=Verdict.UNKNOWN, code=attempt.code)
        call = Call(attempt=attempt, repeats=False, receipt_s=0, address_row=is_id(attempt.address))
        return told_of(call, known, self._now(plan))

    async def withdraw(self, plan: Plan, attempt: Attempt) -> Told:
        """Close what may still be showing. Once, whatever comes of it."""
        found = rewritten(plan, attempt)
        if found is not None:
            channel, message = found
            try:
                async with asyncio.timeout(CALL_S):
                    await channel.withdraw(message, attempt.provider_id)
            except Exception as error:
                log.warning("message not withdrawn", channel=attempt.channel, error=type(error).__name__)
        return Told(
            attempt=attempt.id,
            channel=attempt.channel,
            provider=attempt.provider,
            state=attempt.state,
            withdrawn=True,
        )

    def _now(self, plan: Plan) -> datetime:
        """PostgreSQL's time, as far as this process can tell: what is written down is compared with it."""
        return plan.claimed.now + timedelta(seconds=self._clock.monotonic() - plan.began)

    async def _guarded(self, sending: Awaitable[Outcome], channel: Channel) -> Outcome:
        """Channels raise nothing; one that does has a defect, which costs this message's certainty and no other's."""
        try:
            async with asyncio.timeout(CALL_S):
                return await sending
        except Exception as error:
            log.error("channel failed", channel=channel.name, error=type(error).__name__)
            return Outcome(verdict=Verdict.UNKNOWN, code="channel_failed", detail=type(error).__name__)
