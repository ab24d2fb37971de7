"""Attachments' use cases: upload, link, open, and the removal of uploads that no entry ever used.

What each crash leaves behind:
- Upload stores the objects, then commits the row, then answers. A crash before the row leaves sealed objects that
  nobody was told of and nothing refers to; they cost space only. A crash after it leaves an unused upload for `purge`.
- `purge` commits "no entry may take this any more", then deletes the objects, then the row. Whatever is interrupted is
  done again, and no entry can ever carry an attachment whose objects are gone.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.exceptions import InvalidTag

from hub.messaging import attachment_link, attachment_row
from hub.messaging.attachment import (
    THUMBNAIL_TYPE,
    Attachment,
    Upload,
    Variant,
    clean_name,
    kind_of,
    object_key,
    seal_context,
)
from hub.messaging.attachment_image import Picture, read_image
from hub.messaging.attachment_link import Grant
from hub.messaging.attachment_row import Place, Stored
from hub.messaging.attachment_store import ObjectStore
from hub.messaging.attachment_transfer import Transfers
from hub.messaging.attachment_type import sniff
from hub.messaging.model import Status, refusal_of
from hub.platform import settings
from hub.platform.clock import Clock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id, new_id
from hub.security.sealing import DataKey, Sealer

INSPECTIONS = 2  # images decoded at the same time: each may take four bytes per pixel, and all of a core

log = structlog.get_logger("hub.attachments")


@dataclass(frozen=True, slots=True)
class Attachments:
    """What these use cases stand on; one per process. `link_key` is `keyring.derive("attachment-links")`."""

    database: Database
    sealer: Sealer
    objects: ObjectStore
    settings: settings.Attachments
    clock: Clock
    link_key: bytes = field(repr=False)
    transfers: Transfers = field(default_factory=Transfers)
    inspections: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(INSPECTIONS))


@dataclass(frozen=True, slots=True)
class Link:
    """A path that opens the content until `expires_at`."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What a valid link points at, still sealed; `size` bounds what opening it takes."""

    row: Stored
    variant: Variant
    key: DataKey

    @property
    def media_type(self) -> str:
        return THUMBNAIL_TYPE if self.variant is Variant.THUMBNAIL else self.row.media_type

    @property
    def name(self) -> str:
        name = self.key.open(base64.b64decode(self.row.name), seal_context(self.row.id, "name")).decode()
        return clean_name(name, THUMBNAIL_TYPE) if self.variant is Variant.THUMBNAIL else name


async def upload(services: Attachments, user: str, sent: Upload) -> Attachment:
    """Check, seal and keep an active member's upload; then an entry may carry it. Raises `Refusal`."""
    place = await _place(services, sent.conversation, user)
    if not sent.content:
        raise Refusal(ErrorCode.INVALID, fields={"file": "attachment_empty"})
    async with services.inspections:
        media_type, picture = await asyncio.to_thread(_inspect, sent.content, services.settings)
    attachment = Attachment(
        id=new_id(),
        kind=kind_of(media_type, sent.kind),
        media_type=media_type,
        name=clean_name(sent.name, media_type),
        size=len(sent.content),
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        thumbnail=picture is not None,
    )
    key = await services.sealer.key_for(place.seals_for(user))
    parts = {Variant.ORIGINAL: sent.content} | ({Variant.THUMBNAIL: picture.thumbnail} if picture else {})
    await _store(services, attachment.id, key, parts)
    async with services.database.transaction() as connection:
        kept = await attachment_row.insert(connection, _columns(attachment, user, sent.conversation, key))
    if not kept:
        await _delete_objects(services, attachment.id)
        raise refusal_of(Status.NOT_MEMBER)
    return attachment


async def link(services: Attachments, user: str, attachment_id: str, variant: Variant) -> Link:
    """A short-lived link for who may see the entry that carries it, or owns it while unused. Raises `Refusal`."""
    await _visible(services, user, attachment_id, variant)
    # Whole seconds: what is told and what is signed are the same moment.
    expires = int(services.clock.now().timestamp()) + services.settings.link_s
    grant = Grant(attachment=attachment_id, variant=variant, user=user, expires=expires)
    url = attachment_link.path_of(services.link_key, grant)
    return Link(url, datetime.fromtimestamp(expires, UTC))


async def follow(services: Attachments, grant: Grant, signature: str) -> Found:
    """What the link points at, if it is genuine and its person may still see it (P5). Raises `Refusal`."""
    attachment_link.check(services.link_key, grant, signature, services.clock.now().timestamp())
    row = await _visible(services, grant.user, grant.attachment, grant.variant)
    key = (await services.sealer.by_ids([row.key_id]))[row.key_id]
    if key is None:
        raise Refusal(ErrorCode.NOT_FOUND, "erased")
    return Found(row, grant.variant, key)


async def open_content(services: Attachments, found: Found) -> bytes:
    """The content in the clear. Raises `Refusal` when the store does not answer."""
    sealed = await services.objects.get(object_key(found.row.id, found.variant))
    if sealed is None:
        # Never by our own order of writing: somebody removed it from the store, or another store is configured.
        log.error("attachment_missing", attachment=found.row.id, variant=found.variant.value)
        raise Refusal(ErrorCode.NOT_FOUND)
    try:
        return await asyncio.to_thread(found.key.open, sealed, seal_context(found.row.id, found.variant))
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        log.error("attachment_damaged", attachment=found.row.id, variant=found.variant.value)
        raise Refusal(ErrorCode.NOT_FOUND) from None


async def due_orphans(database: Database, now: datetime, orphan_s: int, limit: int) -> list[str]:
    """Uploads that no entry used for `orphan_s`, and those whose removal was interrupted."""
    async with database.transaction() as connection:
        return await attachment_row.orphans(connection, now - timedelta(seconds=orphan_s), limit)


async def purge(services: Attachments, attachment_id: str) -> None:
    """Remove an upload that no entry used in time. May be repeated and interrupted; does nothing to any other."""
    before = services.clock.now() - timedelta(seconds=services.settings.orphan_s)
    async with services.database.transaction() as connection:
        if not await attachment_row.condemn(connection, attachment_id, before):
            return
    await _delete_objects(services, attachment_id)
    async with services.database.transaction() as connection:
        await attachment_row.delete(connection, attachment_id)


async def _place(services: Attachments, conversation: str, user: str) -> Place:
    async with services.database.transaction() as connection:
        place = await attachment_row.place(connection, conversation, user)
    if place is None:
        raise refusal_of(Status.NOT_MEMBER)
    if place.state != "open":
        raise refusal_of(Status.READ_ONLY)
    if place.role == "reader":
        raise refusal_of(Status.MAY_ONLY_READ)
    return place


def _inspect(content: bytes, chosen: settings.Attachments) -> tuple[str, Picture | None]:
    media_type = sniff(content)
    if media_type is None:
        raise Refusal(ErrorCode.UNSUPPORTED_MEDIA, fields={"file": "attachment_type_refused"})
    if not media_type.startswith("image/"):
        return media_type, None
    return media_type, read_image(content, media_type, chosen.max_pixels, chosen.thumbnail_px)


async def _store(services: Attachments, attachment_id: str, key: DataKey, parts: Mapping[Variant, bytes]) -> None:
    for variant, content in parts.items():
        sealed = await asyncio.to_thread(key.seal, content, seal_context(attachment_id, variant))
        await services.objects.put(object_key(attachment_id, variant), sealed)


async def _delete_objects(services: Attachments, attachment_id: str) -> None:
    for variant in Variant:
        await services.objects.delete(object_key(attachment_id, variant))


async def _visible(services: Attachments, user: str, attachment_id: str, variant: Variant) -> Stored:
    row = None
    if is_id(attachment_id):
        async with services.database.transaction() as connection:
            row = await attachment_row.visible(connection, attachment_id, user)
    if row is None or (variant is Variant.THUMBNAIL and not row.has_thumbnail):
        raise Refusal(ErrorCode.NOT_FOUND)
    return row


def _columns(attachment: Attachment, owner: str, conversation: str, key: DataKey) -> dict[str, object]:
    # A file's name tells about health as its content does, so it is sealed too; the column holds it as base64.
    name = base64.b64encode(key.seal(attachment.name.encode(), seal_context(attachment.id, "name"))).decode()
    return {
        "id": attachment.id,
        "owner": owner,
        "conversation": conversation,
        "kind": attachment.kind.value,
        "media_type": attachment.media_type,
        "name": name,
        "size": attachment.size,
        "width": attachment.width,
        "height": attachment.height,
        "has_thumbnail": attachment.thumbnail,
        "key_id": key.id,
    }
