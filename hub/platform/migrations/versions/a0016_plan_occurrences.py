"""Occurrences of plans: made ahead in a rolling window, and what became of each."""

from alembic import op

revision = "a0016"
down_revision = "a0015"

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    pass
