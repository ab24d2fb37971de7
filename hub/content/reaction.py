"""What people hear of a finished interpretation: a card in their inbox that says a machine made it, and nothing of what."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content.event import InterpretationFinished
from hub.messaging import actions as messaging
from hub.messaging import posting
from hub.messaging.actions import Messaging, Outcome
from hub.messaging.model import CardBody
from hub.platform.error import Refusal
from hub.platform.outbox import AfterCommit, Outbox

TITLE = "报告解读已完成"
SUMMARY = "由机器自动生成，仅供参考，不是医学诊断，不能代替医生的判断。点击查看解读。"


class InterpretationReactions:
    """One per process."""

    def __init__(self, services: Messaging) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(InterpretationFinished, self._tell)

    async def _tell(self, connection: AsyncConnection, happened: InterpretationFinished) -> AfterCommit | None:
        body = CardBody(card="interpretation", id=happened.subject, title=TITLE, summary=SUMMARY)
        name = f"InterpretationFinished-{happened.subject}"
        try:
            outcomes = await posting.post_to_inbox(self._services, connection, happened.user, body, name)
        except Refusal as refusal:
            if refusal.text != "erased":
                raise
            return None  # to somebody whose key is destroyed nothing is said any more
        return partial(self._after, outcomes)

    def _after(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            messaging.tell(self._services, outcome)
