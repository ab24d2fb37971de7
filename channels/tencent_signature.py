"""TC3-HMAC-SHA256, the signature of Tencent Cloud's APIs (cloud.tencent.com/document/api/382: 签名方法 v3)."""

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec

ALGORITHM = "TC3-HMAC-SHA256"
CONTENT_TYPE = "application/json"
SIGNED = "content-type;host"


class Call(msgspec.Struct, frozen=True):
    """What is signed: a POST to `/` of a JSON body."""

    host: str
    service: str
    action: str
    version: str
    region: str
    body: bytes


def headers_of(call: Call, secret_id: str, secret_key: str, now: datetime) -> dict[str, str]:
    """All headers that the call must bear. `now` may be 5 minutes wrong."""
    timestamp = int(now.timestamp())
    return {
        "content-type": CONTENT_TYPE,
        "host": call.host,
        "x-tc-action": call.action,
        "x-tc-region": call.region,
        "x-tc-timestamp": str(timestamp),
        "x-tc-version": call.version,
        "authorization": authorization(call, secret_id, secret_key, timestamp),
    }


def authorization(call: Call, secret_id: str, secret_key: str, timestamp: int) -> str:
    """The Authorization header; the key is bound to the day in UTC and to the service."""
    lines = f"content-type:{CONTENT_TYPE}\nhost:{call.host}\n"
    request = "\n".join(("POST", "/", "", lines, SIGNED, hashlib.sha256(call.body).hexdigest()))
    day = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{call.service}/tc3_request"
    to_sign = "\n".join((ALGORITHM, str(timestamp), scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"TC3{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={SIGNED}, Signature={signature}"
