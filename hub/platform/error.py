"""Every refusal the hub can give: one exception, one table. Only the edges turn it into bytes (P14)."""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    MALFORMED = "malformed"
    UNKNOWN_OP = "unknown_op"
    INVALID = "invalid"
    FRAME_TOO_LARGE = "frame_too_large"
    TOO_LARGE = "too_large"
    WRONG_FRAME_TYPE = "wrong_frame_type"
    UNSUPPORTED_MEDIA = "unsupported_media"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LATE = "too_late"
    READ_ONLY = "read_only"
    CODE_WRONG = "code_wrong"
    RATE_LIMITED = "rate_limited"
    FLOOD = "flood"
    SLOW_CONSUMER = "slow_consumer"
    SILENT = "silent"
    HELLO_TIMEOUT = "hello_timeout"
    TOO_MANY_SOCKETS = "too_many_sockets"
    DRAINING = "draining"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one error looks outside: HTTP status, WebSocket close code (None: the socket stays), and whether trying again may help."""

    http: int
    close: int | None
    retry: bool


# Close codes 4000-4499: come back, with jitter; 4500-4999: do not. 1009, 1011, 1013: RFC 6455, section 7.4.1 and the IANA registry.
RULES: dict[ErrorCode, Rule] = {
    ErrorCode.MALFORMED: Rule(400, None, False),
    ErrorCode.UNKNOWN_OP: Rule(400, None, False),
    ErrorCode.INVALID: Rule(400, None, False),
    ErrorCode.FRAME_TOO_LARGE: Rule(413, 1009, False),
    ErrorCode.TOO_LARGE: Rule(413, None, False),
    ErrorCode.WRONG_FRAME_TYPE: Rule(400, None, False),
    ErrorCode.UNSUPPORTED_MEDIA: Rule(415, None, False),
    ErrorCode.UNAUTHORIZED: Rule(401, 4401, False),
    ErrorCode.FORBIDDEN: Rule(403, None, False),
    ErrorCode.NOT_FOUND: Rule(404, None, False),
    ErrorCode.METHOD_NOT_ALLOWED: Rule(405, None, False),
    ErrorCode.CONFLICT: Rule(409, None, False),
    ErrorCode.TOO_LATE: Rule(409, None, False),
    ErrorCode.READ_ONLY: Rule(409, None, False),
    ErrorCode.CODE_WRONG: Rule(401, None, False),
    ErrorCode.RATE_LIMITED: Rule(429, None, True),
    ErrorCode.FLOOD: Rule(429, 4429, True),
    ErrorCode.SLOW_CONSUMER: Rule(503, 4001, True),
    ErrorCode.SILENT: Rule(408, 4002, True),
    ErrorCode.HELLO_TIMEOUT: Rule(408, 4408, True),
    ErrorCode.TOO_MANY_SOCKETS: Rule(409, 4509, False),
    ErrorCode.DRAINING: Rule(503, 4000, True),
    ErrorCode.OVERLOADED: Rule(503, 1013, True),
    ErrorCode.UNAVAILABLE: Rule(503, None, True),
    ErrorCode.UPSTREAM: Rule(502, None, True),
    ErrorCode.INTERNAL: Rule(500, None, True),
}


class Refusal(Exception):
    """An expected no. `fields` names what was wrong: field → reason code of the text catalogue, or a sentence."""

    def __init__(
        self,
        code: ErrorCode,
        text: str | None = None,
        *,
        fields: dict[str, str] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        """`text` is a key of the text catalogue (`hub/platform/text.py`); the code's own text is the default."""
        super().__init__(code.value)
        self.code = code
        self.text = text or code.value
        self.fields = fields or {}
        self.retry_after_ms = retry_after_ms
