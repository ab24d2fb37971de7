"""What a file is, by its content alone: signatures strict enough that nothing else passes for an accepted type. No I/O.

A generic sniffer was tried (puremagic 1.30): it takes any archive for a Word file and does not know every MP3 header.
"""

import io
import re
import struct
import zipfile

_MARKUP = re.compile(r"\A\s*<[a-z!?/]|<(?:html|svg|script|iframe|body|meta)\b", re.IGNORECASE)
_MARKUP_CHARS = 1024

_OGG_VOICE = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")
_ADTS_HEADER_BYTES = 7

_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)  # MPEG-1 layer III
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)  # MPEG-2 and 2.5 layer III
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the version bits
_ID3_PADDING = 4096

_EOCD = struct.Struct("<4s4H2LH")  # APPNOTE.TXT, section 4.3.16: end of central directory record
_EOCD_REACH = 65535 + _EOCD.size  # the record and the longest comment behind it
_DIRECTORY_BYTES = 1 << 20  # an office file has some dozens of members; this is room for thousands
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OFFICE_FOLDERS = {
    "word/": f"{_OFFICE}.wordprocessingml.document",
    "xl/": f"{_OFFICE}.spreadsheetml.sheet",
    "ppt/": f"{_OFFICE}.presentationml.presentation",
}


def sniff(content: bytes) -> str | None:
    """The accepted media type whose rules the content follows, None for everything else.

    Images are known by their first bytes only; that they decode is checked where they are decoded.
    """
    if content.startswith(b"PK\x03\x04"):
        return _office(content)
    # What is a picture to one program and an archive to the next is neither.
    if _directory(content) is not None:
        return None
    found = _image(content) or _voice(content)
    if found is None and content.startswith(b"%PDF-"):
        found = "application/pdf"
    return found or ("text/plain" if _is_text(content) else None)


def _image(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if _is_riff(content, b"WEBP") else None


def _voice(content: bytes) -> str | None:
    if content.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return "audio/amr"
    if _is_riff(content, b"WAVE"):
        return "audio/wav"
    if content.startswith(b"OggS\x00\x02"):
        # RFC 3533, section 6: the first page holds only the codec's header, after the segment table.
        start = 27 + content[26] if len(content) > 26 else 0
        return "audio/ogg" if content.startswith(_OGG_VOICE, start) else None
    if content[4:8] == b"ftyp":
        return "audio/mp4" if _has_only_sound(content) else None
    if _is_aac(content):
        return "audio/aac"
    return "audio/mpeg" if _is_mp3(content) else None


def _is_riff(content: bytes, form: bytes) -> bool:
    return content.startswith(b"RIFF") and content[8:12] == form


def _has_only_sound(content: bytes) -> bool:
    """ISO/IEC 14496-12: each track's `hdlr` box names what it is; a recorder's file differs from a film only there."""
    tracks = set(re.findall(rb"hdlr.{8}(soun|vide)", content, re.DOTALL))
    return tracks == {b"soun"}


def _is_aac(content: bytes) -> bool:
    """Two ADTS frames in a row (ISO/IEC 13818-7, section 6.2), or one that is the whole file."""
    if not _is_adts(content, 0):
        return False
    length = (content[3] & 0x03) << 11 | content[4] << 3 | content[5] >> 5
    return length > _ADTS_HEADER_BYTES and (length == len(content) or _is_adts(content, length))


def _is_adts(content: bytes, at: int) -> bool:
    head = content[at : at + _ADTS_HEADER_BYTES]
    return len(head) == _ADTS_HEADER_BYTES and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _is_mp3(content: bytes) -> bool:
    """Two layer III frames in a row, or one that is the rest of the file; behind an ID3 tag may be padding."""
    first, last = 0, 0
    if content.startswith(b"ID3") and len(content) > 10:
        # ID3v2, section 3.1: a size of four bytes with seven bits each.
        first = 10 + (content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9])
        last = first + _ID3_PADDING
    for at in range(first, min(last, len(content)) + 1):
        length = _mp3_frame(content, at)
        if length and (at + length == len(content) or _mp3_frame(content, at + length)):
            return True
    return False


def _mp3_frame(content: bytes, at: int) -> int:
    """The length of the layer III frame here, 0 if there is none."""
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate = head[1] >> 3 & 0x03, head[2] >> 2 & 0x03
    if version not in _HERTZ or rate == 3:
        return 0
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[head[2] >> 4]
    samples_8 = 144 if version == 3 else 72
    return samples_8 * kbits * 1000 // _HERTZ[version][rate] + (head[2] >> 1 & 0x01) if kbits else 0


def _office(content: bytes) -> str | None:
    """Which office document without macros this archive is. Nothing is unpacked: only its directory is read."""
    size = _directory(content)
    if size is None or size > _DIRECTORY_BYTES:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.lower() for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError):
        return None
    if "[content_types].xml" not in names or any(name.endswith("vbaproject.bin") for name in names):
        return None
    kinds = {kind for folder, kind in _OFFICE_FOLDERS.items() if any(name.startswith(folder) for name in names)}
    return kinds.pop() if len(kinds) == 1 else None


def _directory(content: bytes) -> int | None:
    """The size of the archive's directory that the file ends with, None if there is none."""
    at = content.rfind(b"PK\x05\x06", max(0, len(content) - _EOCD_REACH))
    if at < 0 or at + _EOCD.size > len(content):
        return None
    size: int = _EOCD.unpack_from(content, at)[5]
    # Four bytes may be there by chance in a picture; a directory entry right where the record says is no chance.
    is_real = 0 < size <= at and content.startswith(b"PK\x01\x02", at - size)
    return size if is_real else None


def _is_text(content: bytes) -> bool:
    """UTF-8 without NUL, and not a page or a drawing that a browser would run."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text) and "\0" not in text and not _MARKUP.search(text[:_MARKUP_CHARS].lstrip("\ufeff"))
