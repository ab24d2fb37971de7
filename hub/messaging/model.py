"""The conversation log without I/O: kinds, entry types and their bodies, drafts, what came of them, and the rules of operations."""

from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import is_id

SYSTEM = "00000000-0000-0000-0000-000000000000"
"""The sender of entries that no person wrote; shown as null."""

STAFF_ROLES = frozenset({"staff", "admin"})


class Kind(StrEnum):
    DIRECT = "direct"
    CARE = "care"
    GROUP = "group"
    INBOX = "inbox"
    BROADCAST = "broadcast"


class EntryType(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    FILE = "file"
    CARD = "card"
    SYSTEM = "system"
    EDIT = "edit"
    RECALL = "recall"
    REACT = "react"
    PIN = "pin"


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """What an entry carries; one struct per type. Kept and shown as it was sent, in canonical form."""


class TextBody(Body, frozen=True):
    text: Annotated[str, Meta(min_length=1, max_length=20000)]
    mentions: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=50)] = []
    reply_to: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None  # what JavaScript can hold


class AttachmentBody(Body, frozen=True):
    """An image or a file that was uploaded to this conversation before."""

    attachment: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(max_length=255)] = ""
    caption: Annotated[str, Meta(max_length=1000)] = ""


class VoiceBody(Body, frozen=True):
    attachment: Annotated[str, Meta(max_length=64)]
    duration_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0


class CardBody(Body, frozen=True):
    """A pointer to something of the core, with what to show meanwhile."""

    card: Annotated[str, Meta(pattern=r"^(order|appointment|reading|article|interpretation|plan|alert)(?![\s\S])")]
    id: Annotated[str, Meta(max_length=64)]
    title: Annotated[str, Meta(max_length=200)] = ""
    summary: Annotated[str, Meta(max_length=1000)] = ""


class SystemBody(Body, frozen=True):
    """An event of the conversation itself: `members_added`, `member_removed`, `member_left`, `state_changed`, ..."""

    event: Annotated[str, Meta(max_length=64)]
    users: list[str] = []
    by: str | None = None
    note: str = ""


class RecallBody(Body, frozen=True):
    reason: Annotated[str, Meta(max_length=500)] = ""


class ReactBody(Body, frozen=True):
    emoji: Annotated[str, Meta(min_length=1, max_length=16)]
    on: bool = True


class PinBody(Body, frozen=True):
    on: bool = True


# What a person may send, and the shape of its body. Edit and recall have frames of their own.
SENDABLE: dict[str, type[Body]] = {
    EntryType.TEXT: TextBody,
    EntryType.IMAGE: AttachmentBody,
    EntryType.VOICE: VoiceBody,
    EntryType.FILE: AttachmentBody,
    EntryType.CARD: CardBody,
    EntryType.REACT: ReactBody,
    EntryType.PIN: PinBody,
}
NEEDS_TARGET = frozenset({EntryType.REACT, EntryType.PIN})

_decoders = {kind: msgspec.json.Decoder(shape) for kind, shape in SENDABLE.items()}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry before it has a number. `body` is canonical JSON in the clear; it is sealed on its way to the database."""

    conversation: str
    sender: str
    client_msg_id: str
    type: str
    body: bytes
    target: int | None = None
    attachment: str | None = None
    on_behalf_of: str | None = None


class Entry(msgspec.Struct, frozen=True, rename="camel", tag_field="op", tag="entry", kw_only=True, omit_defaults=True):
    """One entry of a log as members see it, over every road. `recalled` and `erased` entries keep their number and have an empty body."""

    conversation: str
    seq: int
    sender: str | None
    type: str
    body: Raw
    client_msg_id: str
    at: str
    target: int | None = None
    on_behalf_of: str | None = None
    recalled: bool = False
    erased: bool = False


class Status(IntEnum):
    """What `append_entries` answers for a row; the numbers are those of the SQL function."""

    NEW = 0
    REPEATED = 1
    OTHER_BODY = 2
    NOT_MEMBER = 3
    READ_ONLY = 4
    NO_SUCH_ATTACHMENT = 5
    MAY_ONLY_READ = 6
    NO_SUCH_TARGET = 7
    MAY_NOT_ACT = 8


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """A committed entry's number and time."""

    seq: int
    at: datetime
    dup: bool
    members_version: int
    recalled: bool = False


def refusal_of(status: int) -> Refusal:
    """Why a draft was not appended. A conversation one is not a member of does not exist for the asker."""
    match status:
        case Status.OTHER_BODY:
            return Refusal(ErrorCode.CONFLICT, fields={"clientMsgId": "already used for another body"})
        case Status.READ_ONLY:
            return Refusal(ErrorCode.READ_ONLY)
        case Status.NO_SUCH_ATTACHMENT:
            return Refusal(
                ErrorCode.INVALID, fields={"body.attachment": "not an unused upload of yours to this conversation"}
            )
        case Status.MAY_ONLY_READ:
            return Refusal(ErrorCode.FORBIDDEN)
        case Status.MAY_NOT_ACT:
            return Refusal(
                ErrorCode.NOT_FOUND, fields={"onBehalfOf": "not a member here for whom you may act at the moment"}
            )
        case Status.NO_SUCH_TARGET:
            return Refusal(ErrorCode.NOT_FOUND, fields={"target": "no such entry"})
        case _:
            return Refusal(ErrorCode.NOT_FOUND, fields={"conversation": "unknown, or you are not a member"})


def draft(
    conversation: str,
    sender: str,
    client_msg_id: str,
    entry_type: str,
    body: bytes,
    target: int | None,
    text_chars: int,
    on_behalf_of: str | None = None,
) -> Draft:
    """Check a person's entry by its type. Raises `Refusal` for an unknown type or a missing target, `ValidationError` for the body."""
    decoder = _decoders.get(entry_type)
    if decoder is None:
        raise Refusal(ErrorCode.INVALID, fields={"type": "not a type that can be sent"})
    if (target is not None) != (entry_type in NEEDS_TARGET):
        raise Refusal(ErrorCode.INVALID, fields={"target": "required" if target is None else "not for this type"})
    content = decoder.decode(body)
    if isinstance(content, TextBody) and len(content.text) > text_chars:
        raise Refusal(ErrorCode.TOO_LARGE, fields={"body.text": f"at most {text_chars} characters"})
    attachment = content.attachment if isinstance(content, AttachmentBody | VoiceBody) else None
    if attachment is not None and not is_id(attachment):
        raise refusal_of(Status.NO_SUCH_ATTACHMENT)
    if on_behalf_of is not None and not is_id(on_behalf_of):
        raise refusal_of(Status.MAY_NOT_ACT)
    return Draft(
        conversation=conversation,
        sender=sender,
        client_msg_id=client_msg_id,
        type=entry_type,
        body=msgspec.json.encode(content),
        target=target,
        attachment=attachment,
        on_behalf_of=on_behalf_of,
    )


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation needs to know of the entry it aims at."""

    seq: int
    sender: str
    type: str
    created_at: datetime
    recalled: bool


def permit_edit(original: Original | None, actor: str) -> None:
    """One's own text, not recalled. Raises `Refusal`."""
    if original is None:
        raise Refusal(ErrorCode.NOT_FOUND, fields={"seq": "no such entry"})
    if original.sender != actor:
        raise Refusal(ErrorCode.FORBIDDEN, fields={"seq": "somebody else's entry"})
    if original.type != EntryType.TEXT or original.recalled:
        raise Refusal(ErrorCode.CONFLICT, fields={"seq": "only a text that was not recalled can be edited"})


def permit_recall(original: Original | None, actor: str, role: str, reason: str, now: datetime, window_s: int) -> None:
    """One's own for `window_s` seconds; staff anything at any time, with a reason. Raises `Refusal`."""
    if original is None or original.type in (EntryType.SYSTEM, EntryType.EDIT, EntryType.RECALL):
        raise Refusal(ErrorCode.NOT_FOUND, fields={"seq": "no entry that can be recalled"})
    if original.recalled:
        raise Refusal(ErrorCode.CONFLICT, fields={"seq": "already recalled"})
    if role in STAFF_ROLES:
        if not reason.strip():
            raise Refusal(ErrorCode.INVALID, fields={"body.reason": "required"})
        return
    if original.sender != actor:
        raise Refusal(ErrorCode.FORBIDDEN, fields={"seq": "somebody else's entry"})
    if now - original.created_at > timedelta(seconds=window_s):
        raise Refusal(ErrorCode.TOO_LATE, fields={"seq": f"recall is possible for {window_s} s"})
