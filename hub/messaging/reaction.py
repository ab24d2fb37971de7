"""What people hear of what happens between accounts: who is asked for a relation finds it in the inbox."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.accounts import relation_actions
from hub.accounts.event import RelationAsked
from hub.accounts.relation_actions import Asked
from hub.messaging.actions import Messaging, Outcome, tell
from hub.messaging.model import SystemBody
from hub.messaging.posting import post_to_inbox
from hub.platform.error import Refusal
from hub.platform.outbox import AfterCommit, Outbox
from hub.platform.text import text


class AccountReactions:
    """One per process."""

    def __init__(self, services: Messaging) -> None:
        self._services = services

    def subscribe(self, outbox: Outbox) -> None:
        outbox.subscribe(RelationAsked, self._asked)

    async def _asked(self, connection: AsyncConnection, happened: RelationAsked) -> AfterCommit | None:
        asked = await relation_actions.asked(connection, happened.subject)
        if asked is None:
            return None
        body = SystemBody(event="relation_asked", note=_sentence(asked))
        # The entry's client id names the relation, so that a client can offer to accept it.
        name = f"relation-asked:{happened.subject}"
        try:
            outcomes = await post_to_inbox(self._services, connection, asked.user, body, name)
        except Refusal as refusal:
            if refusal.text != "erased":
                raise
            return None  # to somebody whose key is destroyed nothing is said any more
        return partial(self._tell, outcomes)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            tell(self._services, outcome)


def _sentence(asked: Asked) -> str:
    """In Chinese: an entry is kept as it is written, for everybody who reads it."""
    who_acts = "them" if asked.asker_acts else "me"
    kind = text(f"relation_{asked.kind}")
    return text(f"relation_asked_{who_acts}", name=asked.asker_name or text("relation_nameless"), kind=kind)
