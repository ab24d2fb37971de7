"""What the ledger reads along: the notices of one person, and of one broadcast, in the order in which they were made."""

from alembic import op

revision = "a0013"
down_revision = "a0012"

STATEMENTS = (
    "CREATE INDEX notices_user ON notices (user_id, id)",
    "DROP INDEX notices_broadcast",
    "CREATE INDEX notices_broadcast ON notices (broadcast, state, id) WHERE broadcast IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX notices_broadcast")
    op.execute("CREATE INDEX notices_broadcast ON notices (broadcast, state) WHERE broadcast IS NOT NULL")
    op.execute("DROP INDEX notices_user")
