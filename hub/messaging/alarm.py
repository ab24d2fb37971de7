"""Words of an emergency on their way into a conversation: made known before they are stored, so that none is stored in silence.

What they set off is for whoever handles `EmergencyWritten`. A text without such words costs one look at it (`emergency`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import NAMESPACE_URL, uuid5

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.actions import Messaging
from hub.messaging.emergency import RULE_VERSION, Sign
from hub.messaging.event import EmergencyWritten
from hub.messaging.model import Draft, Kind
from hub.messaging.store import Id
from hub.platform.identifier import is_id
from hub.platform.outbox import publish

# An append that was taken is tried for `retry_s`, after what waits before it: minutes at worst.
LOOKS_S = (1, 5, 30, 120, 600)

_WAITS = text("SELECT EXISTS (SELECT FROM events WHERE subject = :subject AND done_at IS NULL)").bindparams(
    bindparam("subject", type_=Id)
)
_WRITTEN = (
    text("""
SELECT e.seq, e.target, e.on_behalf_of, CASE WHEN c.kind = :care THEN c.subject END AS patient
FROM entries e JOIN conversations c ON c.id = e.conversation
WHERE e.conversation = :conversation AND e.sender = :sender AND e.client_msg_id = :client_msg_id
""")
    .bindparams(bindparam("conversation", type_=Id), bindparam("sender", type_=Id))
    .columns(on_behalf_of=Id, patient=Id)
)


class Written(msgspec.Struct, frozen=True):
    """`seq`: the entry that says it now, or said it before it was edited. `person`: whom it is about."""

    seq: int
    person: str


@asynccontextmanager
async def alarming(services: Messaging, draft: Draft, sign: Sign | None) -> AsyncIterator[None]:
    """Append `draft` inside, and nowhere else. `sign`: `sign_of` it. Raises as PostgreSQL does while it is away.

    A crash before the append leaves an event without an entry, which is dropped in time; one after it leaves both.
    """
    if sign is None or not is_id(draft.conversation):
        yield
        return
    await _make_known(services, draft, sign)
    try:
        yield
    finally:
        services.wake()


async def _make_known(services: Messaging, draft: Draft, sign: Sign) -> None:
    """Nothing where it is known already: a retry finds the entry, or what the first attempt left. Two at once do no harm."""
    subject = str(uuid5(NAMESPACE_URL, f"{draft.conversation}|{draft.sender}|{draft.client_msg_id}"))
    async with services.database.transaction() as connection:
        if await connection.scalar(_WAITS, {"subject": subject}):
            return
        if await store.is_used(connection, draft.conversation, draft.sender, draft.client_msg_id):
            return
        written = EmergencyWritten(
            subject=subject,
            conversation=draft.conversation,
            sender=draft.sender,
            client_msg_id=draft.client_msg_id,
            rule=sign.rule,
            version=RULE_VERSION,
            severity=sign.severity,
        )
        await publish(connection, written)


async def written(connection: AsyncConnection, happened: EmergencyWritten) -> Written | None:
    """What became of it. When it is not there it is looked for again after a while, a few times."""
    row = (await connection.execute(_WRITTEN, msgspec.structs.asdict(happened) | {"care": Kind.CARE})).one_or_none()
    if row is not None:
        return Written(row.target or row.seq, row.on_behalf_of or row.patient or happened.sender)
    if happened.looks < len(LOOKS_S):
        later = msgspec.structs.replace(happened, looks=happened.looks + 1)
        await publish(connection, later, after_s=LOOKS_S[happened.looks])
    return None
