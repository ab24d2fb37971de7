"""Verifying the audit chains: each row's seal, each link, and where each chain stands. The first fault of a chain is told."""

import hmac
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from hub.platform import settings
from hub.platform.database import Database, open_database
from hub.security.audit import CHAINS, PURPOSE, Head, Row, link, seal
from hub.security.keyring import Keyring, load_keyring

BEFORE_ALL = -(2**63)  # the hub counts from 1; what lies below was not written by it
BATCH = 5000  # rows of about 400 bytes, so 2 MB at a time

_NOTED = re.compile(r"(\d{1,2}) (\d{1,18}) ([0-9a-f]{64}|-)")
_CHAINS = sa.text(
    "SELECT chain FROM audit_heads UNION SELECT min(chain) FROM audit_log UNION SELECT max(chain) FROM audit_log"
)
# One statement, so that rows written meanwhile are in both or in neither.
_HEADS = sa.text("""
SELECT h.chain, h.number, h.hash, COALESCE((SELECT max(number) FROM audit_log l WHERE l.chain = h.chain), 0) AS last
FROM audit_heads h ORDER BY h.chain
""")
_ROWS = sa.text("""
SELECT l.*, s.hash AS seen FROM audit_log l LEFT JOIN audit_log s ON s.chain = l.chain AND s.number = l.seen_number
WHERE l.chain = CAST(:chain AS smallint) AND l.number > :after AND l.number <= :last ORDER BY l.number LIMIT :batch
""")


class Fault(StrEnum):
    """What is wrong with a chain, as a person reads it."""

    NO_HEAD = "the chain's head is missing"
    CHANGED = "the row was changed, or was not written by the hub"
    MISSING = "the number does not follow: rows are missing before this one"
    DISORDERED = "the row does not follow the one before it"
    REWRITTEN = "the row was written after rows that are no longer there"
    CUT = "the chain ends here, before its head"
    HEAD = "the chain's head is not the hash of its last row"
    BEYOND = "there are rows after the chain's head"
    UNNOTED = "the chain does not contain the head that was noted"


class Finding(msgspec.Struct, frozen=True):
    """The first fault of one chain, and the row where it shows."""

    chain: int
    number: int
    fault: Fault


class Outcome(msgspec.Struct, frozen=True):
    rows: int
    findings: Sequence[Finding]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it is stored, and the hash that the head it names has today."""

    number: int
    row: Row
    seal: bytes
    hash: bytes
    seen: bytes | None


class Broken(Exception):
    def __init__(self, number: int, fault: Fault) -> None:
        super().__init__(fault)
        self.number = number
        self.fault = fault


class Walk:
    """The check of one chain, row by row; no I/O."""

    def __init__(self, key: bytes, noted: Head | None) -> None:
        self._key = key
        self._noted = noted
        self.at = Head()

    def follow(self, each: Link) -> None:
        """Go on to the next row. Raises `Broken` at the first that does not fit."""
        if each.number != self.at.number + 1:
            raise Broken(each.number, Fault.MISSING)
        if not hmac.compare_digest(seal(self._key, each.row), each.seal):
            raise Broken(each.number, Fault.CHANGED)
        if each.hash != link(self.at.hash, each.seal):
            raise Broken(each.number, Fault.DISORDERED)
        if each.row.seen_number and (each.row.seen_number >= each.number or each.seen != each.row.seen_hash):
            raise Broken(each.number, Fault.REWRITTEN)
        self.at = Head(each.number, each.hash)
        if self._noted and self._noted.number == each.number and self._noted.hash != each.hash:
            raise Broken(each.number, Fault.UNNOTED)

    def end(self, head: Head, last: int) -> None:
        """No more rows: is this where the chain says that it stands? `last` is the highest number there is."""
        if self.at.number < head.number:
            raise Broken(self.at.number, Fault.CUT)
        if self.at.hash != head.hash:
            raise Broken(self.at.number, Fault.HEAD)
        if last > head.number:
            raise Broken(last, Fault.BEYOND)
        if self._noted and self._noted.number > self.at.number:
            raise Broken(self.at.number, Fault.UNNOTED)


async def heads(database: Database) -> dict[int, Head]:
    """Where the chains stand now; kept elsewhere, it proves later that nothing before was taken away."""
    async with database.transaction() as connection:
        return {row.chain: Head(row.number, row.hash) for row in await connection.execute(_HEADS)}


async def verify(database: Database, keyring: Keyring, noted: Mapping[int, Head] | None = None) -> Outcome:
    """Walk every chain; `noted` are heads that were written down before. May run while rows are being written."""
    rows, findings = 0, []
    for chain in await _chains(database):
        walk = Walk(keyring.derive(PURPOSE), (noted or {}).get(chain))
        try:
            await _walk(database, chain, walk)
        except Broken as broken:
            findings.append(Finding(chain, broken.number, broken.fault))
        rows += walk.at.number
    return Outcome(rows, findings)


async def _chains(database: Database) -> list[int]:
    """Those that the hub writes, and any that somebody else may have begun."""
    async with database.transaction() as connection:
        found = [chain for chain in await connection.scalars(_CHAINS) if chain is not None]
    return sorted({*range(CHAINS), *found})


async def _walk(database: Database, chain: int, walk: Walk) -> None:
    async with database.transaction() as connection:
        found = {row.chain: row for row in await connection.execute(_HEADS)}
    if chain not in found:
        raise Broken(0, Fault.NO_HEAD)
    head = Head(found[chain].number, found[chain].hash)
    after = BEFORE_ALL
    while batch := await _batch(database, chain, after, head.number):
        for each in batch:
            walk.follow(each)
        after = walk.at.number
    walk.end(head, found[chain].last)


async def _batch(database: Database, chain: int, after: int, last: int) -> list[Link]:
    values = {"chain": chain, "after": after, "last": last, "batch": BATCH}
    async with database.transaction() as connection:
        return [_link(row) for row in await connection.execute(_ROWS, values)]


def _link(stored: sa.Row[tuple[object, ...]]) -> Link:
    fields = stored._asdict()
    row = {name: fields[name] for name in Row.__struct_fields__}
    row |= {name: str(row[name]) for name in ("id", "actor", "person")}
    return Link(row=Row(**row), **{name: fields[name] for name in ("number", "seal", "hash", "seen")})


async def verify_all(chosen: settings.Settings, noted: Mapping[int, Head]) -> Outcome:
    """Verify the installation that these settings describe."""
    async with open_database(chosen.database) as database:
        return await verify(database, load_keyring(chosen), noted)


async def heads_of(chosen: settings.Settings) -> dict[int, Head]:
    async with open_database(chosen.database) as database:
        return await heads(database)


def described(outcome: Outcome) -> str:
    """The outcome for a person: one line, or one for each broken chain."""
    if not outcome.findings:
        return f"the audit is whole: {outcome.rows} rows in {CHAINS} chains"
    lines = [f"chain {each.chain}, row {each.number}: {each.fault}" for each in outcome.findings]
    return "\n".join([*lines, f"the audit does not verify: {len(lines)} of {CHAINS} chains are broken"])


def note(heads: Mapping[int, Head]) -> str:
    """Heads as lines of text: chain, number of rows, hash."""
    return "".join(f"{chain} {head.number} {head.hash.hex() or '-'}\n" for chain, head in sorted(heads.items()))


def noted(text: str) -> dict[int, Head]:
    """The heads that `note` wrote; `ValueError` for anything else."""
    found = {}
    for line in filter(None, text.splitlines()):
        parts = _NOTED.fullmatch(line.strip())
        if parts is None:
            raise ValueError(f"not a line of `hub audit heads`: {line[:100]}")
        found[int(parts[1])] = Head(int(parts[2]), b"" if parts[3] == "-" else bytes.fromhex(parts[3]))
    if found.keys() != set(range(CHAINS)):
        raise ValueError(f"not all of the {CHAINS} chains are in it: an empty or cut file proves nothing")
    return found
