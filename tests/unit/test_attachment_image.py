"""Images decode within bounds, or are refused; thumbnails are small, upright and tell nothing but the picture."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hub.messaging.attachment_image import Picture, read_image
from hub.platform.error import ErrorCode, Refusal
from tests.sample_file import bomb, photo, picture

PIXELS = 1_000_000
PICTURE = picture("PNG", (64, 48))


def read(content: bytes, media_type: str = "image/png") -> Picture:
    return read_image(content, media_type, PIXELS, 320)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "I;16"),
        ("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA"), ("GIF", "P"),
    ],
)  # fmt: skip
def test_a_picture_is_measured_and_made_small(kind: str, mode: str) -> None:
    """Every colour mode that the accepted formats have gets a JPEG thumbnail of at most 320 pixels."""
    found = read(picture(kind, (640, 480), mode), f"image/{kind.lower()}")

    assert (found.width, found.height) == (640, 480)
    assert (opened(found.thumbnail).format, opened(found.thumbnail).size) == ("JPEG", (320, 240))


def test_a_small_picture_is_not_enlarged() -> None:
    """The thumbnail is at most as large as the picture."""
    assert opened(read(PICTURE).thumbnail).size == (64, 48)


@pytest.mark.parametrize(("orientation", "size"), [(1, (640, 480)), (3, (640, 480)), (6, (480, 640)), (8, (480, 640))])
def test_width_and_height_are_as_seen_when_the_camera_was_turned(orientation: int, size: tuple[int, int]) -> None:
    """What a person sees counts, in the answer and in the thumbnail."""
    found = read(photo(orientation), "image/jpeg")
    small = opened(found.thumbnail).size

    assert (found.width, found.height) == size
    assert (small[0] > small[1]) == (size[0] > size[1])


def test_a_thumbnail_has_no_metadata_when_the_photo_has_a_place() -> None:
    """Where somebody was treated is not handed on with the preview."""
    assert b"Hangzhou" in photo()
    small = read(photo(), "image/jpeg").thumbnail

    assert not opened(small).getexif()
    assert b"Exif" not in small
    assert b"Hangzhou" not in small


@pytest.mark.parametrize("size", [(1001, 1000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    """A hundred bytes cannot make the hub take gigabytes (P7)."""
    with pytest.raises(Refusal) as refused:
        read(bomb(*size))

    assert (refused.value.code, set(refused.value.fields)) == (ErrorCode.TOO_LARGE, {"file"})


@pytest.mark.parametrize(
    "content",
    [PICTURE[:-20], PICTURE[:40], PICTURE[:8], PICTURE[:60] + b"\0" * 40 + PICTURE[100:], bomb(10, 10)],
    ids=["cut off at the end", "cut off early", "only its first bytes", "overwritten", "without its pixels"],
)
def test_a_broken_picture_is_refused(content: bytes) -> None:
    """What does not decode to its end is not an image (P14)."""
    with pytest.raises(Refusal) as refused:
        read(content)

    assert refused.value.code == ErrorCode.UNSUPPORTED_MEDIA


def test_another_format_is_refused_when_the_type_says_png() -> None:
    """Only the decoder of the sniffed type is tried."""
    with pytest.raises(Refusal):
        read(picture("TIFF"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_picture_never_raises_anything_else(data: st.DataObject) -> None:
    """Whatever the decoders stumble over becomes a refusal (P14)."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]))
    content = bytearray(picture(kind, (40, 30)) if kind != "JPEG" else photo(size=(40, 30)))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))

    try:
        found = read(bytes(content), f"image/{kind.lower()}")
    except Refusal:
        return
    assert found.width * found.height <= PIXELS
