"""People and conversations for the messaging tests, on a real database; what is announced is recorded through the port."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from sqlalchemy import event, text

from hub.messaging import actions, membership
from hub.messaging.actions import Messaging, Opening
from hub.messaging.collector import context_of
from hub.messaging.conversation import Role
from hub.messaging.history import History
from hub.messaging.listing import Listing
from hub.messaging.model import Entry, Kind
from hub.messaging.port import MemberChange
from hub.platform import settings
from hub.platform.clock import Clock, SystemClock
from hub.platform.database import Database
from hub.platform.identifier import new_id
from hub.security.keyring import Keyring
from hub.security.sealing import Sealer

APPEND = "SELECT * FROM append_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"


class Announced:
    """The announcer of a node without sockets: remembers what it was told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.versions: list[int] = []
        self.changes: list[MemberChange] = []
        self.told: list[str] = []
        self.receipts: list[tuple[str, int, int]] = []
        self.again: list[Entry] = []

    def appended(
        self, conversation: str, members_version: int, entries: Sequence[Entry], also: Sequence[str] = ()
    ) -> None:
        self.entries += entries
        self.versions.append(members_version)

    def repeated(self, conversation: str, members_version: int, entry: Entry) -> None:
        self.again.append(entry)

    def members_changed(self, changes: Sequence[MemberChange], told: Sequence[str]) -> None:
        self.changes += changes
        self.told = list(told)

    def receipt_moved(
        self, conversation: str, members_version: int, user: str, delivered_seq: int, read_seq: int
    ) -> None:
        self.receipts.append((user, delivered_seq, read_seq))


class Sent(msgspec.Struct, frozen=True):
    status: int
    seq: int | None
    at: datetime | None
    version: int | None


class Scene:
    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.sealer = Sealer(Keyring({"k": b"m" * 32}, b"s" * 32), database)
        self.announced = Announced()
        self.services = Messaging(
            database=database,
            sealer=self.sealer,
            clock=clock or SystemClock(),
            announcer=self.announced,
            settings=settings.Messaging(members=6),
        )
        self.history = History(database.log, self.sealer, 50)
        self.listing = Listing(database.log, self.sealer, self.history)

    async def person(self, role: str = "patient", name: str = "张三", status: str = "active") -> str:
        user = new_id()
        statement = text("INSERT INTO users (id, name, role, status) VALUES (:id, :name, :role, :status)")
        async with self.database.transaction() as connection:
            await connection.execute(statement, {"id": user, "name": name, "role": role, "status": status})
        return user

    async def group(self, *members: str, title: str = "随访小组") -> tuple[str, str]:
        """A fresh group of a fresh doctor with these members; answers the doctor and the group."""
        doctor = await self.person("doctor", "李医生")
        group = await actions.create_group(
            self.services, actor=doctor, role="doctor", title=title, members=list(members)
        )
        return doctor, group

    async def broadcast(self, author: str, reader: str) -> str:
        """A conversation that many read, with somebody who may write in it."""
        key = await self.services.sealer.key_for(author)
        opening = Opening(
            kind=Kind.BROADCAST, members={reader: Role.READER, author: Role.OWNER}, title="流感季提醒", by=author
        )
        async with self.database.transaction() as connection:
            return (await actions.open_conversation(connection, opening, key)).conversation

    async def admin_of(self, group: str, owner: str, user: str) -> None:
        await membership.change_role(
            self.services, actor=owner, role="doctor", conversation=group, user=user, wanted=Role.ADMIN
        )

    async def send(self, conversation: str, sender: str, words: str, client_msg_id: str | None = None) -> Sent:
        """A text, as the hot path writes it: by the append function, sealed with the sender's key."""
        return await self.write(conversation, sender, "text", msgspec.json.encode({"text": words}), client_msg_id)

    async def write(
        self,
        conversation: str,
        sender: str,
        kind: str,
        body: bytes,
        client_msg_id: str | None = None,
        target: int | None = None,
    ) -> Sent:
        key, client = await self.sealer.key_for(sender), client_msg_id or new_id()
        sealed = key.seal(body, context_of(conversation, sender, client))
        columns = (conversation, sender, client, kind, target, sealed, key.digest(body), key.id, None, None)
        row = await self.database.log.fetchrow(APPEND, *([value] for value in columns))
        assert row is not None
        return Sent(row["status"], row["seq"], row["created_at"], row["members_version"])

    async def seen(self, user: str, conversation: str) -> list[Entry]:
        """Everything this user may fetch."""
        return (await self.history.page(user, conversation, after=0, limit=100)).entries

    async def seqs(self, user: str, conversation: str) -> list[int]:
        return [entry.seq for entry in await self.seen(user, conversation)]

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The statements that transactions run meanwhile."""
        said: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            said.append(statement)

        engine = self.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield said
        finally:
            event.remove(engine, "before_cursor_execute", note)


def words(entry: Entry) -> str:
    said = msgspec.json.decode(entry.body)
    assert isinstance(said, dict)
    return str(said.get("text", ""))


def note(entry: Entry) -> dict[str, object]:
    said: dict[str, object] = msgspec.json.decode(entry.body)
    return said
