"""Limits count what belongs together, and keep counting when Redis is away."""

import pytest
from limits import RateLimitItemPerMinute

from hub.security.ratelimit import FALLBACK_KEYS, FallbackWindow, address_key

LIMIT = RateLimitItemPerMinute(10, namespace="test")


def test_the_fallback_allows_half_and_says_when_to_return() -> None:
    """Nodes that cannot count together allow less each."""
    window = FallbackWindow()
    answers = [window.hit(LIMIT, "a", 70.0) for _ in range(6)]

    assert answers == [None] * 5 + [50.0]
    assert window.hit(LIMIT, "b", 70.0) is None
    assert window.hit(LIMIT, "a", 120.0) is None


def test_the_fallback_is_bounded() -> None:
    """A flood of addresses costs no more memory than the bound."""
    window = FallbackWindow()
    for number in range(FALLBACK_KEYS + 10):
        window.hit(LIMIT, str(number), 0.0)

    assert len(window._hits) <= FALLBACK_KEYS


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("testclient", "testclient"),
    ],
)
def test_one_subscriber_counts_as_one_address(host: str, key: str) -> None:
    """Who owns a whole IPv6 network cannot hide in it."""
    assert address_key(host) == key
