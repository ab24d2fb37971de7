"""People who attach things, on a real database and a real folder, with a clock that tests move."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hub.messaging import attachment_actions, membership, operation
from hub.messaging.attachment import Attachment, AttachmentKind, Upload, Variant
from hub.messaging.attachment_actions import Attachments
from hub.messaging.attachment_link import Grant
from hub.messaging.attachment_store import LocalObjectStore, ObjectStore
from hub.messaging.collector import context_of
from hub.messaging.model import Status
from hub.platform import settings
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id
from tests.fake_clock import FakeClock
from tests.integration.scene import APPEND, Scene
from tests.sample_file import photo

CHOSEN = settings.Attachments(max_bytes=200_000, max_pixels=1_000_000)
LINK_KEY = b"l" * 32


class FaultyObjectStore:
    """A store that works until told otherwise: `failing` names the calls that fail as in an outage."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.failing: set[str] = set()

    async def put(self, key: str, content: bytes) -> None:
        self._fail("put thumbnail" if key.endswith(".thumb") else "put")
        await self._store.put(key, content)

    async def get(self, key: str) -> bytes | None:
        self._fail("get")
        return await self._store.get(key)

    async def delete(self, key: str) -> None:
        self._fail("delete")
        await self._store.delete(key)

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise Refusal(ErrorCode.UNAVAILABLE)


class AttachmentScene(Scene):
    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        self.clock = FakeClock(datetime.now(UTC))  # the database stamps rows with the real time
        self.store = FaultyObjectStore(LocalObjectStore(folder))
        self.attachments = Attachments(database, self.sealer, self.store, CHOSEN, self.clock, LINK_KEY)

    async def upload(
        self, user: str, conversation: str, content: bytes = b"", name: str = "x", kind: AttachmentKind | None = None
    ) -> Attachment:
        """A photo if nothing else is given."""
        sent = Upload(content or photo(), name, conversation, kind)
        return await attachment_actions.upload(self.attachments, user, sent)

    async def carry(self, conversation: str, sender: str, attachment: str) -> tuple[int, int]:
        """Send an entry with it, as the hot path does; answers status and seq."""
        body = msgspec.json.encode({"attachment": attachment})
        key, client = await self.sealer.key_for(sender), new_id()
        sealed = key.seal(body, context_of(conversation, sender, client))
        columns = (conversation, sender, client, "image", None, sealed, key.digest(body), key.id, attachment, None)
        row = await self.database.log.fetchrow(APPEND, *([value] for value in columns))
        assert row is not None
        return row["status"], row["seq"]

    async def share(self, conversation: str, sender: str) -> tuple[str, int]:
        """Upload a photo and send it; answers its id and the entry's seq."""
        kept = await self.upload(sender, conversation)
        status, seq = await self.carry(conversation, sender, kept.id)
        assert status == Status.NEW
        return kept.id, seq

    async def fetch(self, user: str, attachment: str, variant: Variant = Variant.ORIGINAL) -> bytes:
        """Ask for a link and follow it. Raises `Refusal`."""
        await attachment_actions.link(self.attachments, user, attachment, variant)
        return await self.follow(user, attachment, variant)

    async def follow(self, user: str, attachment: str, variant: Variant = Variant.ORIGINAL) -> bytes:
        """Follow a link that was given before. Raises `Refusal`."""
        expires = int(self.clock.now().timestamp()) + 60
        grant = Grant(attachment=attachment, variant=variant, user=user, expires=expires)
        signature = attachment_actions.attachment_link.path_of(LINK_KEY, grant).rsplit("signature=", 1)[1]
        found = await attachment_actions.follow(self.attachments, grant, signature)
        return await attachment_actions.open_content(self.attachments, found)

    async def may_see(self, user: str, attachment: str) -> bool:
        """Whether both a new link and one given before open it; they must agree."""
        answers = []
        for attempt in (self.fetch, self.follow):
            try:
                answers.append(bool(await attempt(user, attachment)))
            except Refusal as refusal:
                if refusal.code != ErrorCode.NOT_FOUND:
                    raise
                answers.append(False)
        assert answers[0] == answers[1]
        return answers[0]

    async def recall(self, conversation: str, sender: str, seq: int) -> None:
        await operation.recall(
            self.services,
            conversation=conversation,
            actor=sender,
            role="patient",
            seq=seq,
            client_msg_id=new_id(),
            body=b"{}",
        )

    async def remove(self, conversation: str, owner: str, user: str) -> None:
        await membership.remove(self.services, actor=owner, role="doctor", conversation=conversation, members=[user])

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    async def row(self, attachment: str) -> dict[str, object] | None:
        found = await self.database.log.fetchrow("SELECT * FROM attachments WHERE id = $1", attachment)
        return dict(found) if found else None
