"""What the schedulers do: when each duty ran last, and how long records are kept."""

from alembic import op

revision = "a0018"
down_revision = "a0017"

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    pass
