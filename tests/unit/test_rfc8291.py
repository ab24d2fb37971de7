"""The browser's side that tests judge by is itself judged by the RFC's own example."""

import http_ece
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key, generate_private_key

from tests.rfc8291 import base64url, from_base64url, opened, point_of

# RFC 8291, section 5.
PLAIN = b"When I grow up, I want to be a watermelon"
AUTH = from_base64url("BTBZMqHH6r4Tts7J_aSIgg")
PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
BODY = from_base64url(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
    "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
KEY = derive_private_key(int.from_bytes(from_base64url(PRIVATE)), SECP256R1())


def test_the_example_of_the_rfc_opens() -> None:
    """Section 5 of RFC 8291, with our reading and with http_ece's."""
    assert base64url(point_of(KEY)) == PUBLIC
    assert opened(BODY, KEY, AUTH) == PLAIN
    assert http_ece.decrypt(BODY, private_key=KEY, auth_secret=AUTH, version="aes128gcm") == PLAIN


def test_nothing_opens_for_another_browser_or_when_changed() -> None:
    """A reading that opens anything would prove nothing."""
    with pytest.raises(InvalidTag):
        opened(BODY, generate_private_key(SECP256R1()), AUTH)
    with pytest.raises(InvalidTag):
        opened(BODY, KEY, bytes(16))
    with pytest.raises(InvalidTag):
        opened(BODY[:-1] + bytes([BODY[-1] ^ 1]), KEY, AUTH)
