"""Words of an emergency on their way into a conversation: made known before they are stored, so that none is stored in silence.

What they set off is for whoever handles `EmergencyWritten`. A text without such words costs one look at it (`emergency`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.messaging import store
from hub.messaging.actions import Messaging
from hub.messaging.collector import context_of
from hub.messaging.conversation import Role, State
from hub.messaging.emergency import Sign, sign_in_body
from hub.messaging.event import EmergencyWritten
from hub.messaging.model import SYSTEM, Draft, Kind, Status, refusal_of
from hub.messaging.store import Id
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id
from hub.platform.outbox import publish
from hub.security.sealing import DataKey

# An append that was taken is tried for `retry_s`, after what waits before it: minutes at worst.
LOOKS_S = (1, 5, 30, 120, 600)
# Of one sender and rule, about one person, in one conversation. Answered in a minute: who writes more has an alert already.
ANSWERED_MOST = 5
UNWRITTEN_MOST = 20  # events whose entry never came

# The last entries only: they are read by the primary key, and what is further back is soon a minute old. An event with an
# entry that nobody has answered yet will be; one that is looked at for the last time may be gone before the entry is there.
_STANDING = text("""
WITH waiting AS MATERIALIZED (
  SELECT v.subject, (v.payload ->> 'looks')::int AS looks, EXISTS (
    SELECT FROM entries e WHERE e.conversation = :conversation AND e.sender = :sender
      AND e.client_msg_id = v.payload ->> 'client_msg_id') AS written
  FROM events v WHERE v.subject BETWEEN :lowest AND :highest AND v.done_at IS NULL LIMIT 100
)
SELECT EXISTS (SELECT FROM waiting WHERE subject = :subject AND looks < :last)
    OR EXISTS (SELECT FROM entries WHERE conversation = :conversation AND sender = :sender AND client_msg_id = :client_msg_id)
    OR EXISTS (SELECT FROM entries WHERE conversation = :conversation AND sender = :system AND client_msg_id = :advice) AS known,
  (SELECT count(*) FROM waiting WHERE written) + (
    SELECT count(*) FROM (
      SELECT sender, client_msg_id, created_at FROM entries WHERE conversation = :conversation ORDER BY seq DESC LIMIT 100) e
    WHERE e.sender = :system AND starts_with(e.client_msg_id, :answers)
      AND e.created_at > clock_timestamp() - interval '1 minute') AS answered,
  (SELECT count(*) FROM waiting WHERE NOT written) AS unwritten
""").bindparams(
    *(bindparam(name, type_=Id) for name in ("conversation", "sender", "system", "subject", "lowest", "highest"))
)
_WRITTEN = (
    text("""
SELECT e.seq, e.target, e.type, e.body, e.key_id, e.on_behalf_of, CASE WHEN c.kind = :care THEN c.subject END AS patient
FROM entries e JOIN conversations c ON c.id = e.conversation
WHERE e.conversation = :conversation AND e.sender = :sender AND e.client_msg_id = :client_msg_id
""")
    .bindparams(bindparam("conversation", type_=Id), bindparam("sender", type_=Id))
    .columns(key_id=Id, on_behalf_of=Id, patient=Id)
)


class Written(msgspec.Struct, frozen=True):
    """`seq`: the entry that says it now, or said it before it was edited. `person`: whom it is about.

    `advice`: the client id of what is answered, once for this entry and what it speaks of.
    """

    seq: int
    person: str
    sign: Sign
    advice: str


@asynccontextmanager
async def alarming(services: Messaging, draft: Draft, sign: Sign | None) -> AsyncIterator[None]:
    """Append `draft` inside, and nowhere else. `sign`: `sign_of` it. Raises `Refusal`, and as PostgreSQL does while it is away.

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
    """Nothing where it is known already: a retry finds the entry, or what the first attempt left. Two at once do no harm.

    Who may not write is refused here: they might be let in before the append, and it would be silent.
    """
    async with services.database.transaction() as connection:
        subject_of_key, status = await _place(connection, draft)
        key = (await services.sealer.keys_for({subject_of_key}))[subject_of_key]
        if key is None:
            return  # nothing is stored under it any more, either
        mark = _mark(key, draft.conversation, draft.sender, draft.on_behalf_of, sign)
        subject = str(UUID(bytes=mark[:8] + key.digest(draft.client_msg_id.encode())[:8]))
        standing = (await connection.execute(_STANDING, _asked(draft, mark, subject))).one()
        if standing.known:
            return
        if status != Status.NEW:
            raise refusal_of(status)
        if standing.answered >= ANSWERED_MOST:
            return
        if standing.unwritten >= UNWRITTEN_MOST:
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=60_000)
        written = EmergencyWritten(
            subject=subject,
            conversation=draft.conversation,
            sender=draft.sender,
            client_msg_id=draft.client_msg_id,
        )
        await publish(connection, written)


async def _place(connection: AsyncConnection, draft: Draft) -> tuple[str, Status]:
    """Whose key seals the entry, and whether its sender may write there, as `append_entries` sees it."""
    found = await store.conversation(connection, draft.conversation)
    member = await store.member(connection, draft.conversation, draft.sender)
    if found is None or member is None:
        raise refusal_of(Status.NOT_MEMBER)
    status = Status.NEW
    if not member.active:
        status = Status.NOT_MEMBER
    elif found.state != State.OPEN:
        status = Status.READ_ONLY
    elif member.role == Role.READER:
        status = Status.MAY_ONLY_READ
    return found.seals_for(draft.sender), status


def _asked(draft: Draft, mark: bytes, subject: str) -> dict[str, object]:
    return {
        "conversation": draft.conversation,
        "sender": draft.sender,
        "client_msg_id": draft.client_msg_id,
        "system": SYSTEM,
        "subject": subject,
        "lowest": str(UUID(bytes=mark[:8] + bytes(8))),
        "highest": str(UUID(bytes=mark[:8] + b"\xff" * 8)),
        "last": len(LOOKS_S),
        "answers": _advice(mark),
        "advice": f"{_advice(mark)}{draft.target}",  # of the entry that is edited; no other has a target
    }


def _mark(key: DataKey, conversation: str, sender: str, on_behalf_of: str | None, sign: Sign) -> bytes:
    """Equal for what one person says of one kind in one place about one; says nothing to who lacks the key."""
    return key.digest(f"emergency|{conversation}|{sender}|{on_behalf_of}|{sign.rule}".encode())


def _advice(mark: bytes) -> str:
    return f"emergency:{mark.hex()}:"


async def written(services: Messaging, connection: AsyncConnection, happened: EmergencyWritten) -> Written | None:
    """What became of it; None, too, where its key is destroyed. When it is not there it is looked for again, a few times."""
    row = (await connection.execute(_WRITTEN, msgspec.structs.asdict(happened) | {"care": Kind.CARE})).one_or_none()
    if row is None:
        if happened.looks < len(LOOKS_S):
            later = msgspec.structs.replace(happened, looks=happened.looks + 1)
            await publish(connection, later, after_s=LOOKS_S[happened.looks])
        return None
    key = (await services.sealer.by_ids({row.key_id}))[row.key_id]
    body = None if key is None else _open(key, row.body, happened)
    sign = None if body is None else sign_in_body(row.type, body)
    if key is None or sign is None:
        return None
    seq = row.target or row.seq
    mark = _mark(key, happened.conversation, happened.sender, row.on_behalf_of, sign)
    return Written(seq, row.on_behalf_of or row.patient or happened.sender, sign, f"{_advice(mark)}{seq}")


def _open(key: DataKey, sealed: bytes, happened: EmergencyWritten) -> bytes | None:
    try:
        return key.open(sealed, context_of(happened.conversation, happened.sender, happened.client_msg_id))
    except InvalidTag:
        return None
