"""The connection to Redis without a Redis: addresses, and replies that arrive in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.platform.settings import BadSettings
from hub.realtime.redis_link import Address, Link, Reply, command, parse_addresses, split_urls

STREAM = b"*3\r\n$7\r\nmessage\r\n$3\r\nh:a\r\n$4\r\n\r\n\x00\xff\r\n:3\r\n$-1\r\n"
STREAM += b"*3\r\n$9\r\nsubscribe\r\n$3\r\nh:b\r\n:1\r\n+OK\r\n"
REPLIES = [[b"message", b"h:a", b"\r\n\x00\xff"], 3, None, [b"subscribe", b"h:b", 1], b"OK"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1", Address("127.0.0.1", 6379)),
        ("redis://:se%2Ccret@cache:7000/2", Address("cache", 7000, 2, password="se,cret")),
        ("rediss://hub:p%40ss@[::1]:6380/", Address("::1", 6380, 0, "hub", "p@ss", tls=True)),
    ],
)
def test_an_address_has_what_its_url_says(url: str, expected: Address) -> None:
    """Host, port, database, user and password, percent-encoding undone, TLS by the scheme."""
    assert parse_addresses(url) == [expected]


def test_shards_keep_their_order() -> None:
    """The order of the addresses decides which channel lives where, so it is kept."""
    urls = "redis://a:1/0, redis://b:2/0,redis://c:3/0,"

    assert [str(address) for address in parse_addresses(urls)] == ["a:1", "b:2", "c:3"]
    assert split_urls(urls) == ["redis://a:1/0", "redis://b:2/0", "redis://c:3/0"]


@pytest.mark.parametrize("bad", ["", " , ", "http://h", "redis://", "redis://:secret@h:port", "redis://:secret@h/none"])
def test_a_bad_address_is_refused_without_its_password(bad: str) -> None:
    """The text names the setting and what is expected, never the address itself."""
    with pytest.raises(BadSettings, match=r"redis\.url") as refused:
        parse_addresses(bad)

    assert "secret" not in str(refused.value)


def test_a_command_is_an_array_of_its_words() -> None:
    """Lengths are in bytes, and any byte may be in a word."""
    assert command(b"PUBLISH", b"a", b"\r\n") == b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$2\r\n\r\n\r\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
async def test_replies_are_whole_when_they_arrive_in_pieces(cuts: list[int]) -> None:
    """However the stream is cut, the same replies come in the same order, none twice."""
    heard: list[Reply] = []
    link = Link(heard.extend)
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        link.data_received(STREAM[start:end])

    assert heard == REPLIES


async def test_what_is_not_redis_closes_the_link_after_the_good_part() -> None:
    """Replies before the broken byte are handed on; nothing after it is."""
    heard: list[Reply] = []
    link = Link(heard.extend)
    link.data_received(b"+OK\r\nHTTP/1.1 400 Bad Request\r\n")
    link.data_received(b"+OK\r\n")

    assert heard == [b"OK"]
    assert link.closed.result() == "not the Redis protocol"


async def test_writing_to_a_closed_link_is_harmless() -> None:
    """Hints are lost silently here; the shard counts them."""
    link = Link(lambda _: None)
    link.write(b"x")
    link.connection_lost(None)
    link.write(b"x")

    assert link.unsent_bytes == 0
    assert link.closed.result() == "closed by the server"
