"""A link opens one variant of one attachment for one person until its time, and nothing else."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from hub.messaging.attachment import Variant
from hub.messaging.attachment_link import Grant, check, path_of
from hub.platform.error import ErrorCode, Refusal
from hub.platform.identifier import new_id

KEY = b"k" * 32
NOW = 1_800_000_000.0
GRANT = Grant(attachment=new_id(), variant=Variant.ORIGINAL, user=new_id(), expires=int(NOW) + 300)


def signature_of(grant: Grant, key: bytes = KEY) -> str:
    return parse_qs(urlsplit(path_of(key, grant)).query)["signature"][0]


def test_a_link_opens_until_its_time() -> None:
    """Good up to the last moment, refused from then on."""
    check(KEY, GRANT, signature_of(GRANT), GRANT.expires - 0.001)

    with pytest.raises(Refusal) as refused:
        check(KEY, GRANT, signature_of(GRANT), GRANT.expires)
    assert (refused.value.code, refused.value.fields) == (ErrorCode.FORBIDDEN, {"expires": "link_expired"})


@pytest.mark.parametrize(
    "change",
    [{"attachment": new_id()}, {"variant": Variant.THUMBNAIL}, {"user": new_id()}, {"expires": GRANT.expires + 1}],
    ids=["attachment", "variant", "user", "expires"],
)
def test_a_link_is_refused_when_any_part_of_it_was_changed(change: dict[str, object]) -> None:
    """The signature covers everything that the link says."""
    with pytest.raises(Refusal) as refused:
        check(KEY, msgspec.structs.replace(GRANT, **change), signature_of(GRANT), NOW)

    assert (refused.value.code, refused.value.fields) == (ErrorCode.FORBIDDEN, {"signature": "link_invalid"})


@pytest.mark.parametrize(
    "signature",
    ["", "x", "签名", "\udcff", signature_of(GRANT, b"o" * 32), signature_of(GRANT)[:-1]],
    ids=["none", "short", "chinese", "surrogate", "other key", "cut"],
)
def test_a_link_is_refused_when_its_signature_is_not_ours(signature: str) -> None:
    """Forged, cut off or not even text: the same answer."""
    with pytest.raises(Refusal) as refused:
        check(KEY, GRANT, signature, NOW)

    assert refused.value.fields == {"signature": "link_invalid"}


def test_a_link_is_refused_when_an_id_is_no_id_though_signed() -> None:
    """A separator inside a part could make two grants read the same."""
    odd = msgspec.structs.replace(GRANT, user=f"{GRANT.user}|{GRANT.user}")

    with pytest.raises(Refusal):
        check(KEY, odd, signature_of(odd), NOW)
