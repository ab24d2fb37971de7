"""Small real files of each kind, made on the spot, and the hostile ones that look like them."""

import io
import struct
import zipfile
import zlib

from PIL import Image

ORIENTATION, GPS = 0x0112, 0x8825


def picture(kind: str = "PNG", size: tuple[int, int] = (640, 480), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind)
    return out.getvalue()


def photo(orientation: int = 6, size: tuple[int, int] = (640, 480)) -> bytes:
    """A JPEG as a phone makes it: turned, with a place and a comment."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif.get_ifd(GPS)[2] = (30.0, 16.0, 21.0)
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "JPEG", exif=exif, comment=b"Hangzhou, ward 7")
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it has this many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, "<x/>")
    return out.getvalue()


def office(folder: str, *more: str) -> bytes:
    return archive("[Content_Types].xml", "_rels/.rels", f"{folder}/document.xml", *more)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def mp4(*handlers: bytes) -> bytes:
    """An ISO media file whose tracks have these handlers: `soun`, `vide`."""
    tracks = b"".join(box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + each + bytes(13)))) for each in handlers)
    return box(b"ftyp", b"M4A \x00\x00\x00\x00M4A mp42") + box(b"moov", tracks) + box(b"mdat", bytes(64))


MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
MP3_FRAME_2 = b"\xff\xf3\x40\xc4" + bytes(100)  # MPEG-2 layer III, 32 kbit/s, 22.05 kHz: 104 bytes
ADTS_FRAME = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)  # 16 bytes long, as its header says
ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x0f" + bytes(15)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"

GENUINE: dict[str, tuple[str, bytes]] = {
    "jpeg": ("image/jpeg", picture("JPEG")),
    "png": ("image/png", picture("PNG")),
    "gif": ("image/gif", picture("GIF", mode="P")),
    "webp": ("image/webp", picture("WEBP")),
    "mp3": ("audio/mpeg", MP3_FRAME * 3),
    "mp3 with a tag": ("audio/mpeg", ID3 + MP3_FRAME * 2),
    "mp3 with a tag and padding": ("audio/mpeg", ID3 + bytes(100) + MP3_FRAME * 2),
    "mp3 of one frame": ("audio/mpeg", MP3_FRAME),
    "m4a": ("audio/mp4", mp4(b"soun")),
    "aac": ("audio/aac", ADTS_FRAME * 3),
    "amr": ("audio/amr", b"#!AMR\n" + b"\x3c" * 32),
    "ogg": ("audio/ogg", b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead" + bytes(30)),
    "wav": ("audio/wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)),
    "pdf": ("application/pdf", PDF),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", office("word")),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", office("xl")),
    "pptx": ("application/vnd.openxmlformats-officedocument.presentationml.presentation", office("ppt")),
    "text": ("text/plain", "血压 120/80 < 140\n第二行".encode()),
    "text with a byte order mark": ("text/plain", "\ufeff药物,剂量".encode()),
}

HTML = b"<!DOCTYPE html><html><script>fetch('/api/v1/users/me')</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'

REFUSED: dict[str, bytes] = {
    "html": HTML,
    "html behind blanks": b"\n\t  <html><body>x</body></html>",
    "html behind a comment": b"<!-- hello --><b>x</b>",
    "html behind words": b"hello <script>alert(1)</script>",
    "svg": SVG,
    "svg with a declaration": b'<?xml version="1.0"?>\n' + SVG,
    "svg with a byte order mark": b"\xef\xbb\xbf" + SVG,
    "a zip": archive("a.txt"),
    "a zip with something of an office file": archive("word/document.xml"),
    "an office file with macros": office("word", "word/vbaProject.bin"),
    "an office file of two kinds": office("word", "xl/workbook.xml"),
    "half an office file": office("word")[:-30],
    "a picture that is a zip too": picture("GIF", mode="P") + archive("a.class"),
    "a pdf that is a zip too": PDF + archive("a.txt"),
    "text that is a zip too": b"hello\n" + archive("a.txt"),
    "a film": mp4(b"soun", b"vide"),
    "mp4 without a track": mp4(),
    "a program": b"MZ\x90\x00" + bytes(100),
    "bmp": picture("BMP"),
    "tiff": picture("TIFF"),
    "noise": bytes(range(256)),
    "text with NUL": b"abc\x00def",
    "text in another encoding": "患者血压正常，明日复查".encode("gbk"),
    "one frame header of mp3": b"\xff\xfb\x90\x64",
    "ogg with a film": b"OggS\x00\x02" + bytes(20) + b"\x01\x2a\x80theora" + bytes(30),
    "empty": b"",
}
