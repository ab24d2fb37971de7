"""What people hear of a finished interpretation: a card in their inbox that says a machine made it, and nothing of what."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.content.event import InterpretationFinished
from hub.messaging.model import CardBody
from hub.notices.actions import Notices, notify, tell_all
from hub.notices.draft import Draft
from hub.platform.outbox import AfterCommit, Outbox

TITLE = "报告解读已完成"
SUMMARY = "由机器自动生成，仅供参考，不是医学诊断，不能代替医生的判断。点击查看解读。"


class InterpretationReactions:
    """One per process."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(InterpretationFinished, self._tell)

    async def _tell(self, connection: AsyncConnection, happened: InterpretationFinished) -> AfterCommit | None:
        body = CardBody(card="interpretation", id=happened.subject, title=TITLE, summary=SUMMARY)
        draft = Draft(
            user=happened.user,
            dedupe_key=f"InterpretationFinished-{happened.subject}",
            subject=f"interpretation:{happened.subject}",
        )
        return partial(tell_all, self._services, await notify(self._services, connection, "system", draft, body))
