"""What one key sealed opens only with that key, in its place, unchanged."""

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from hub.security.sealing import Cache, DataKey

KEY = DataKey("id", "subject", b"k" * 32)


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_a_sealed_value_opens_in_its_place(plaintext: bytes, context: bytes) -> None:
    """Sealing loses nothing and never gives the same bytes twice."""
    sealed = KEY.seal(plaintext, context)

    assert KEY.open(sealed, context) == plaintext
    assert KEY.seal(plaintext, context) != sealed


def test_a_sealed_value_opens_nowhere_else() -> None:
    """Another context, another key, a changed or a missing byte: nothing opens."""
    sealed = KEY.seal(b"blood pressure", b"place")
    other = DataKey("id", "subject", b"o" * 32)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])

    for key, value, context in [
        (KEY, sealed, b"elsewhere"),
        (other, sealed, b"place"),
        (KEY, changed, b"place"),
        (KEY, sealed[:-1], b"place"),
    ]:
        with pytest.raises(InvalidTag):
            key.open(value, context)


def test_a_digest_tells_equal_from_different_only_under_its_key() -> None:
    """The digest recognises a retry; without the key it cannot be recomputed from a guess."""
    other = DataKey("id", "subject", b"o" * 32)

    assert KEY.digest(b"a") == KEY.digest(b"a")
    assert KEY.digest(b"a") != KEY.digest(b"b")
    assert KEY.digest(b"a") != other.digest(b"a")
    assert len(KEY.digest(b"")) == 16


def test_the_least_recently_used_leaves_a_full_cache() -> None:
    """The cache is bounded, and what is in use stays."""
    cache: Cache[int] = Cache(2, 60)
    cache.put("a", 1, 0)
    cache.put("b", 2, 0)
    cache.get("a", 1)
    cache.put("c", 3, 1)

    assert [cache.get(key, 1) for key in "abc"] == [(1,), None, (3,)]


def test_a_cached_value_ends_with_its_life_however_often_used() -> None:
    """Use does not prolong: a destruction elsewhere takes effect within the life."""
    cache: Cache[None] = Cache(2, 60)
    cache.put("a", None, 0)

    assert cache.get("a", 59.9) == (None,)
    assert cache.get("a", 60) is None
