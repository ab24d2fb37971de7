"""What people hear of what happens between accounts: who is asked for a relation is told."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import relation_actions
from hub.accounts.event import RelationAsked
from hub.accounts.relation_actions import Asked
from hub.messaging.model import SystemBody
from hub.notices.actions import Notices, notify, tell_all
from hub.notices.draft import Draft
from hub.platform.outbox import AfterCommit, Outbox
from hub.platform.text import text


class AccountReactions:
    """One per process."""

    def __init__(self, services: Notices) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(RelationAsked, self._asked)

    async def _asked(self, connection: AsyncConnection, happened: RelationAsked) -> AfterCommit | None:
        asked = await relation_actions.asked(connection, happened.subject)
        if asked is None:
            return None
        body = SystemBody(event="relation_asked", note=_sentence(asked))
        # The entry's client id names the relation, so that a client can offer to accept it.
        draft = Draft(
            user=asked.user, dedupe_key=f"relation-asked:{happened.subject}", subject=f"relation:{happened.subject}"
        )
        return partial(tell_all, self._services, await notify(self._services, connection, "system", draft, body))


def _sentence(asked: Asked) -> str:
    """In Chinese: an entry is kept as it is written, for everybody who reads it."""
    who_acts = "them" if asked.asker_acts else "me"
    kind = text(f"relation_{asked.kind}")
    return text(f"relation_asked_{who_acts}", name=asked.asker_name or text("relation_nameless"), kind=kind)
