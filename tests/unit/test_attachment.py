"""What may be attached and how it is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.messaging.attachment import (
    MEDIA,
    NAME_CHARS,
    AttachmentKind,
    Variant,
    clean_name,
    kind_of,
    object_key,
    seal_context,
)
from hub.platform.error import ErrorCode, Refusal


@pytest.mark.parametrize(
    ("given_name", "media_type", "name"),
    [
        ("检查报告.pdf", "application/pdf", "检查报告.pdf"),
        ("IMG_1.JPEG", "image/jpeg", "IMG_1.jpeg"),
        ("../../etc/passwd", "text/plain", "passwd.txt"),
        ("C:\\Users\\me\\scan.png", "image/png", "scan.png"),
        ("notes.bat", "text/plain", "notes.bat.txt"),
        ("photo.jpg", "application/pdf", "photo.jpg.pdf"),
        ("exe\u202egpj.jpg", "image/jpeg", "exegpj.jpg"),
        ("a\r\nSet-Cookie: x.txt", "text/plain", "a Set-Cookie_ x.txt"),
        ('q"uo|te?.md', "text/plain", "q_uo_te_.md"),
        ("", "audio/amr", "voice.amr"),
        (" ... ", "image/png", "image.png"),
        (".pdf", "application/pdf", "file.pdf"),
        ("x" * 300 + ".pdf", "application/pdf", "x" * NAME_CHARS + ".pdf"),
    ],
)
def test_a_name_is_safe_and_its_ending_true(given_name: str, media_type: str, name: str) -> None:
    """No path, nothing invisible, no control characters, and the ending of the real type."""
    assert clean_name(given_name, media_type) == name


@given(st.text(max_size=200), st.sampled_from(sorted(MEDIA)))
def test_any_name_becomes_a_short_safe_one(given_name: str, media_type: str) -> None:
    """Whatever is sent (P14), and cleaning again changes nothing."""
    name = clean_name(given_name, media_type)

    assert name.endswith(MEDIA[media_type].endings)
    assert len(name) <= NAME_CHARS + 5
    assert not set(name) & set('/\\<>:"|?*\r\n\0\u202e')
    assert clean_name(name, media_type) == name


@pytest.mark.parametrize(
    ("media_type", "wanted", "kind"),
    [
        ("image/png", None, "image"),
        ("image/png", "image", "image"),
        ("image/png", "file", "file"),
        ("audio/amr", None, "voice"),
        ("application/pdf", None, "file"),
    ],
)
def test_the_kind_follows_the_content(media_type: str, wanted: str | None, kind: str) -> None:
    """As asked where the content allows it, else by its type."""
    assert kind_of(media_type, AttachmentKind(wanted) if wanted else None) == kind


@pytest.mark.parametrize(
    ("media_type", "wanted"), [("image/png", "voice"), ("audio/amr", "image"), ("application/pdf", "image")]
)
def test_a_kind_is_refused_when_the_content_is_another(media_type: str, wanted: str) -> None:
    """A voice entry never carries a picture (P14)."""
    with pytest.raises(Refusal) as refused:
        kind_of(media_type, AttachmentKind(wanted))

    assert (refused.value.code, set(refused.value.fields)) == (ErrorCode.UNSUPPORTED_MEDIA, {"kind"})


def test_variants_lie_apart_and_open_nowhere_else() -> None:
    """Each variant has its own place and its own binding, so that neither can stand for the other (P12)."""
    one = "0193a5b0-0000-7000-8000-0000000000ab"

    assert object_key(one, Variant.ORIGINAL) == f"attachments/ab/{one}"
    assert object_key(one, Variant.THUMBNAIL) == f"attachments/ab/{one}.thumb"
    assert seal_context(one, Variant.ORIGINAL) == f"attachment|{one}|original".encode()
    assert seal_context(one, Variant.THUMBNAIL) == f"attachment|{one}|thumbnail".encode()
