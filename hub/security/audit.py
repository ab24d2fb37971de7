"""Who looked at whose health data (P13): one row for each read, chained by hashes so that a change or a gap shows."""

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.security.token import Principal


class Audit:
    """Writes and verifies the chains. One per process."""

    async def record(
        self, connection: AsyncConnection, who: Principal, person: str, action: str, subject: str = ""
    ) -> None:
        """One row, in the caller's transaction: `who` did `action` ("health.read", ...) with data of `person`.

        Call it last in the transaction: the rows of one chain take turns until commit.
        """
        raise NotImplementedError
