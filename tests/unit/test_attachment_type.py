"""Types come from content alone: the accepted ones are known, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.messaging.attachment import MEDIA
from hub.messaging.attachment_type import sniff
from tests.sample_file import GENUINE, MP3_FRAME_2, REFUSED, SVG, archive, office


@pytest.mark.parametrize("sample", GENUINE)
def test_the_type_is_known_when_the_file_is_genuine(sample: str) -> None:
    """Each accepted type is found by its content."""
    media_type, content = GENUINE[sample]

    assert sniff(content) == media_type


def test_each_accepted_type_has_a_sample() -> None:
    """The list of accepted types and the tests name the same."""
    assert {media_type for media_type, _ in GENUINE.values()} == set(MEDIA)


@pytest.mark.parametrize("sample", REFUSED)
def test_nothing_is_found_when_the_file_is_not_accepted(sample: str) -> None:
    """Active content, archives, films, programs and what is two things at once are no type at all."""
    assert sniff(REFUSED[sample]) is None


def test_small_mpeg_2_frames_are_sound() -> None:
    """Recorders of mini-programs write MPEG-2 layer III, which general sniffers miss."""
    assert sniff(MP3_FRAME_2 * 2) == "audio/mpeg"


@pytest.mark.parametrize("words", ["x <3 y", "a < b and c > d", "<张三> 你好", "体温<38"])
def test_plain_words_are_text_when_they_hold_an_angle_bracket(words: str) -> None:
    """Only what a browser would take for a page is refused as one."""
    assert sniff(words.encode()) == "text/plain"


def test_an_office_file_is_refused_when_its_directory_is_huge() -> None:
    """Reading a directory of a million members would cost seconds (P7)."""
    assert sniff(office("word", *(f"word/{n}-{'x' * 200}" for n in range(5000)))) is None


def test_an_office_file_is_refused_when_something_precedes_it() -> None:
    """An archive starts at the first byte, or it is something else to another program."""
    assert sniff(b"#!/bin/sh\n" + office("word")) is None


@given(st.binary(max_size=300), st.sampled_from(sorted(GENUINE)), st.integers(0, 300))
def test_a_damaged_file_never_raises(noise: bytes, sample: str, at: int) -> None:
    """Whatever is sent, the answer is a type or None (P14)."""
    content = GENUINE[sample][1]

    assert sniff(content[:at] + noise + content[at + len(noise) :]) in {None, *MEDIA}


@given(st.binary(max_size=100))
def test_markup_is_never_accepted_when_only_its_start_counts(tail: bytes) -> None:
    """No ending makes an SVG or an archive acceptable."""
    assert sniff(SVG + tail) is None
    assert sniff(archive("a.txt")[:4] + tail) is None
