"""What may be attached and how it is named: the allow-list, kinds, variants, clean names and sealed places. No I/O."""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from hub.platform.error import ErrorCode, Refusal

NAME_CHARS = 100


class AttachmentKind(StrEnum):
    IMAGE = "image"
    VOICE = "voice"
    FILE = "file"


class Variant(StrEnum):
    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"


class Media(NamedTuple):
    """One accepted media type: what it is used as, and the endings its name may have, the usual one first."""

    kind: AttachmentKind
    endings: tuple[str, ...]


_OFFICE = "application/vnd.openxmlformats-officedocument"
# SVG and HTML run scripts, archives hide anything, and old office files carry macros: none of them is here.
MEDIA: Mapping[str, Media] = {
    "image/jpeg": Media(AttachmentKind.IMAGE, (".jpg", ".jpeg")),
    "image/png": Media(AttachmentKind.IMAGE, (".png",)),
    "image/gif": Media(AttachmentKind.IMAGE, (".gif",)),
    "image/webp": Media(AttachmentKind.IMAGE, (".webp",)),
    "audio/mpeg": Media(AttachmentKind.VOICE, (".mp3",)),
    "audio/mp4": Media(AttachmentKind.VOICE, (".m4a", ".mp4")),
    "audio/aac": Media(AttachmentKind.VOICE, (".aac",)),
    "audio/amr": Media(AttachmentKind.VOICE, (".amr",)),
    "audio/ogg": Media(AttachmentKind.VOICE, (".ogg", ".oga", ".opus")),
    "audio/wav": Media(AttachmentKind.VOICE, (".wav",)),
    "application/pdf": Media(AttachmentKind.FILE, (".pdf",)),
    f"{_OFFICE}.wordprocessingml.document": Media(AttachmentKind.FILE, (".docx",)),
    f"{_OFFICE}.spreadsheetml.sheet": Media(AttachmentKind.FILE, (".xlsx",)),
    f"{_OFFICE}.presentationml.presentation": Media(AttachmentKind.FILE, (".pptx",)),
    "text/plain": Media(AttachmentKind.FILE, (".txt", ".csv", ".log", ".md")),
}
THUMBNAIL_TYPE = "image/jpeg"


class Upload(NamedTuple):
    """What somebody sent, as they named it."""

    content: bytes
    name: str
    conversation: str
    kind: AttachmentKind | None = None


class Attachment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An upload as its owner is told of it. `width` and `height` are those a person sees; only images have them."""

    id: str
    kind: AttachmentKind
    media_type: str
    name: str
    size: int
    width: int | None = None
    height: int | None = None
    thumbnail: bool = False


def kind_of(media_type: str, wanted: AttachmentKind | None) -> AttachmentKind:
    """What to use it as: as asked if its content allows, else as its type says. Anything may be sent as a file."""
    natural = MEDIA[media_type].kind
    if wanted not in (None, natural, AttachmentKind.FILE):
        raise Refusal(ErrorCode.UNSUPPORTED_MEDIA, fields={"kind": "attachment_kind_other"})
    return wanted or natural


def clean_name(name: str, media_type: str) -> str:
    """A name that is safe to save under anywhere: no path, nothing invisible, and an ending that tells the truth.

    The ending matters: whoever opens it gets the program that the ending names, so `notes.bat` becomes `notes.bat.txt`.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    # Cf holds the bidirectional overrides that make `gpj.exe` look like `exe.jpg`.
    visible = "".join(c for c in last if c.isspace() or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    plain = " ".join(re.sub(r'[<>:"|?*]', "_", visible).split()).rstrip(". ")
    endings = MEDIA[media_type].endings
    given = next((ending for ending in endings if plain.lower().endswith(ending)), None)
    stem = plain[: -len(given)] if given else plain
    return (stem[:NAME_CHARS].strip(". ") or MEDIA[media_type].kind.value) + (given or endings[0])


def object_key(attachment_id: str, variant: Variant) -> str:
    """Where the sealed bytes lie. Spread by the id's last characters: the first are time, the same for decades."""
    suffix = ".thumb" if variant is Variant.THUMBNAIL else ""
    return f"attachments/{attachment_id[-2:]}/{attachment_id}{suffix}"


def seal_context(attachment_id: str, part: str) -> bytes:
    """What sealed bytes are bound to; `part` is a variant, or `name`."""
    return f"attachment|{attachment_id}|{part}".encode()
