"""Reminders of appointments: when people want them, and what they answer."""

from alembic import op

revision = "a0015"
down_revision = "a0014"

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    pass
