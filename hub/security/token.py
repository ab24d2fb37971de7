"""Access tokens: issued and verified without I/O; and the sessions revoked while their tokens are still good."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

import jwt
import msgspec

from hub.platform.clock import Clock, SystemClock
from hub.platform.database import Database
from hub.platform.error import ErrorCode, Refusal

ISSUER = "hub"
PURPOSE = "access token"  # of the signing key's sub-key
POLL_S = 0.5
# A revocation is visible only from its commit on; a statement may take 10 s, so each poll looks back this much further.
LOOK_BACK_S = 10.0

_ALGORITHM = "HS256"
_REQUIRED = ["sub", "sid", "role", "iat", "exp", "iss"]
# Expiry is judged below, with the caller's time.
_OPTIONS: jwt.types.Options = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False}
_SELECT_REVOKED = "SELECT id FROM sessions WHERE revoked_at > clock_timestamp() - make_interval(secs => $1)"


class Principal(msgspec.Struct, frozen=True):
    """Who is asking: a user, through one session, in one role, until the token expires (Unix seconds)."""

    user: str
    session: str
    role: str
    expires_at: float


class Claims(msgspec.Struct, frozen=True):
    sub: str
    sid: str
    role: str
    iat: int
    exp: int
    iss: str


def issue(key: bytes, *, user: str, session: str, role: str, now: datetime, life_s: int) -> str:
    """An access token for this session; `key` is the keyring's sub-key for `PURPOSE`."""
    claims = Claims(
        sub=user,
        sid=session,
        role=role,
        iat=int(now.timestamp()),
        exp=int((now + timedelta(seconds=life_s)).timestamp()),
        iss=ISSUER,
    )
    return jwt.encode(msgspec.to_builtins(claims), key, algorithm=_ALGORITHM)


def verify(key: bytes, token: str, now: datetime) -> Principal:
    """Who the token speaks for; anything wrong with it is refused as unauthorized, without saying what."""
    try:
        # The one allowed algorithm is ours, never the header's (RFC 8725, section 3.1).
        payload = jwt.decode(token, key, algorithms=[_ALGORITHM], issuer=ISSUER, options=_OPTIONS)
        claims = msgspec.convert(payload, Claims)
    except (jwt.PyJWTError, msgspec.ValidationError, ValueError) as error:
        raise Refusal(ErrorCode.UNAUTHORIZED) from error
    if claims.exp <= now.timestamp():
        raise Refusal(ErrorCode.UNAUTHORIZED, "token_expired")
    return Principal(claims.sub, claims.sid, claims.role, float(claims.exp))


class RevokedSessions:
    """The sessions whose tokens must be refused though they have not expired. One per node; each request asks it."""

    def __init__(self, token_life_s: float) -> None:
        """No token outlives `token_life_s`, so neither need its session be remembered longer."""
        self.token_life_s = token_life_s
        self.read_at: float | None = None  # when the last successful poll began
        self._seen_at: dict[str, float] = {}
        self._unannounced: set[str] = set()

    def __contains__(self, session: str) -> bool:
        return session in self._seen_at

    def add(self, session: str, now: float) -> None:
        """Refuse a session that this node has just revoked, ahead of the poll, which still announces it."""
        if session not in self._seen_at:
            self._seen_at[session] = now
            self._unannounced.add(session)

    def load(self, sessions: Iterable[str], now: float) -> set[str]:
        """Add what a poll found and forget what no token can name any more; the answer is what no poll found before."""
        fresh = {each for each in sessions if each not in self._seen_at or each in self._unannounced}
        for session in fresh:
            self._seen_at.setdefault(session, now)
        self._unannounced -= fresh
        self._forget(now)
        return fresh

    def _forget(self, now: float) -> None:
        # A dict keeps insertion order, so the oldest come first.
        life_s = self.token_life_s + LOOK_BACK_S
        while self._seen_at and now - next(iter(self._seen_at.values())) > life_s:
            oldest = next(iter(self._seen_at))
            del self._seen_at[oldest]
            self._unannounced.discard(oldest)


async def read_revocations(database: Database, revoked: RevokedSessions, clock: Clock) -> set[str]:
    """Bring `revoked` up to date; the answer is what is new.

    The first call reads a whole token life back: await it before serving, or a restart would forget what was revoked.
    """
    began = clock.monotonic()
    since_s = revoked.token_life_s if revoked.read_at is None else began - revoked.read_at
    rows = await database.log.fetch(_SELECT_REVOKED, since_s + LOOK_BACK_S)
    revoked.read_at = began
    return revoked.load((str(row["id"]) for row in rows), began)


async def watch_revocations(
    database: Database,
    revoked: RevokedSessions,
    on_revoked: Callable[[set[str]], None],
    *,
    clock: Clock | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run for ever, supervised: within a second of a revocation anywhere `on_revoked` is told, without Redis."""
    clock = clock or SystemClock()
    while True:
        if fresh := await read_revocations(database, revoked, clock):
            on_revoked(fresh)
        await sleep(POLL_S)
