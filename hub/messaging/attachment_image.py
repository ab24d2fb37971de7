"""Images: that they decode within bounds, how large they look, and their thumbnail. Slow: call it in a thread."""

import io
import struct
import warnings
import zlib
from typing import NamedTuple

from PIL import ExifTags, Image, ImageOps

from hub.platform.error import ErrorCode, Refusal

# A frame larger than its header said is noticed by Pillow while it decodes; in this process that is an error.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
_QUALITY = 80
_SIDEWAYS = range(5, 9)  # EXIF orientations that swap width and height

# What Pillow's decoders are known to raise for a broken file.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
)


class Picture(NamedTuple):
    width: int
    height: int
    thumbnail: bytes


def read_image(content: bytes, media_type: str, max_pixels: int, thumbnail_px: int) -> Picture:
    """Decode all of it, refusing what is broken or cut off, and what has too many pixels before they take memory.

    The thumbnail is a JPEG without any metadata, so without the place where the picture was taken.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        # Only the decoder of the sniffed type: nothing else Pillow can read is ever tried.
        formats = (_FORMATS[media_type],)
        with Image.open(io.BytesIO(content), formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise Refusal(ErrorCode.TOO_LARGE, fields={"file": f"at most {max_pixels} pixels"})
            image.verify()  # checksums to the end of the file; afterwards the image cannot be used
        with Image.open(io.BytesIO(content), formats=formats) as image:
            if image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                width, height = height, width
            return Picture(width, height, _thumbnail(image, thumbnail_px))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Refusal(ErrorCode.TOO_LARGE, fields={"file": f"at most {max_pixels} pixels"}) from error
    except _BROKEN as error:
        raise Refusal(ErrorCode.UNSUPPORTED_MEDIA, fields={"file": "attachment_image_broken"}) from error


def _thumbnail(image: Image.Image, longest_px: int) -> bytes:
    image.thumbnail((longest_px, longest_px))
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    # Painted onto a new image: nothing of the old one's metadata comes along, and transparency becomes white.
    plain = Image.new("RGB", upright.size, "white")
    plain.paste(upright, mask=upright)
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
