"""Alerts: what was found, whom it was told to, who acknowledged it, and who is on duty."""

from alembic import op

revision = "a0017"
down_revision = "a0016"

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    pass
