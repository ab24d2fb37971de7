"""What the service worker is told, and that it fits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from channels.webpush_payload import ELLIPSIS, MOST_BYTES, Notice, encoded

NOTICE = Notice("c1", "王医生", "您有一条新消息", "https://hub.example.com/c/1", "zh")


def told(notice: Notice, limit: int = MOST_BYTES) -> dict[str, str]:
    content = encoded(notice, limit)
    assert len(content) <= limit
    found: dict[str, str] = json.loads(content)
    return found


def test_everything_is_told_when_it_fits() -> None:
    assert told(NOTICE) == {
        "type": "notice",
        "tag": "c1",
        "title": "王医生",
        "body": "您有一条新消息",
        "url": "https://hub.example.com/c/1",
        "language": "zh",
    }


def test_the_body_is_shortened_visibly_when_it_is_too_long() -> None:
    """As long as possible, and everything else whole."""
    found = told(replace(NOTICE, body="请" * 2000))

    assert found["body"] == "请" * (len(found["body"]) - 1) + ELLIPSIS
    assert found | {"body": ""} == told(NOTICE) | {"body": ""}
    assert len(encoded(replace(NOTICE, body="请" * 2000))) > MOST_BYTES - 3


def test_the_title_is_shortened_when_the_body_is_not_enough() -> None:
    found = told(replace(NOTICE, title="长" * 2000))

    assert found["title"].endswith("长" + ELLIPSIS)
    assert (found["body"], found["url"]) == ("", NOTICE.url)


def test_the_address_is_left_out_when_it_alone_is_too_long() -> None:
    """The page that opens is then the first one; the text is not lost for it."""
    found = told(replace(NOTICE, url="https://hub.example.com/" + "x" * 4000))

    assert found == told(NOTICE) | {"url": ""}


def test_it_is_an_error_when_nothing_can_be_shortened() -> None:
    with pytest.raises(ValueError, match="too long"):
        encoded(replace(NOTICE, tag="t" * 4000))
    with pytest.raises(ValueError, match="surrogates"):
        encoded(replace(NOTICE, body="\ud800"))


def test_a_character_of_several_code_points_is_not_cut() -> None:
    """Half of a family would be somebody else."""
    family, accent, thumb = "👨‍👩‍👧", "e\u0301", "👍🏽"
    for whole in (family, accent, thumb):
        for padding in range(40):
            body = told(replace(NOTICE, body="x" * (3800 + padding) + whole * 40))["body"]

            rest = body.removesuffix(ELLIPSIS).lstrip("x")
            assert rest == whole * (len(rest) // len(whole))


@given(
    title=st.text(max_size=300),
    body=st.text(max_size=3000),
    url=st.text(max_size=100),
    limit=st.integers(min_value=400, max_value=MOST_BYTES),
)
def test_it_always_fits_and_is_a_beginning(title: str, body: str, url: str, limit: int) -> None:
    """Whatever the text: within the limit, and either whole or a beginning with the ellipsis."""
    found = told(replace(NOTICE, title=title, body=body, url=url), limit)

    assert found["body"] in ("", body) or body.startswith(found["body"].removesuffix(ELLIPSIS))
    assert found["title"] in ("", title) or title.startswith(found["title"].removesuffix(ELLIPSIS))
    if found["title"] != title:
        assert found["body"] == ""
    if found["body"] not in ("", body):
        assert found["body"].endswith(ELLIPSIS)
