"""ACS3-HMAC-SHA256, the signature of Aliyun's APIs (help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

ALGORITHM = "ACS3-HMAC-SHA256"


class Call(msgspec.Struct, frozen=True):
    """What is signed: an RPC call, whose parameters stand in the query and whose body is empty."""

    host: str
    action: str
    version: str
    parameters: Mapping[str, str]


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted by name, and all but RFC 3986's unreserved characters encoded."""
    return "&".join(f"{_encoded(name)}={_encoded(parameters[name])}" for name in sorted(parameters))


def headers_of(call: Call, key_id: str, key_secret: str, now: datetime, nonce: str) -> dict[str, str]:
    """All headers that the call must bear. `nonce` is good for one request; `now` may be 15 minutes wrong."""
    headers = {
        "host": call.host,
        "x-acs-action": call.action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": call.version,
    }
    return headers | {"authorization": authorization(headers, canonical_query(call.parameters), key_id, key_secret)}


def authorization(headers: Mapping[str, str], query: str, key_id: str, key_secret: str) -> str:
    """The Authorization header of a POST to `/` that has these headers (names in lower case) and this canonical query."""
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    request = "\n".join(("POST", "/", query, lines, signed, headers["x-acs-content-sha256"]))
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key_secret.encode(), to_sign.encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={signed},Signature={signature}"


def _encoded(text: str) -> str:
    return quote(text, safe="~")  # Python leaves - . _ as they are
