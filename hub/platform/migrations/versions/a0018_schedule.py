"""What the schedulers do: when each duty ran last, and who is at it; what deleting old records and changing master keys read along."""

from alembic import op

revision = "a0018"
down_revision = "a0017"

STATEMENTS = (
    """CREATE TABLE schedule_duties (
        name text PRIMARY KEY,
        every_s double precision NOT NULL,
        began_at timestamptz NOT NULL,
        ended_at timestamptz,
        took_ms double precision,
        failed_at timestamptz,
        error_kind text NOT NULL DEFAULT '',
        runs bigint NOT NULL DEFAULT 0)""",
    "COMMENT ON TABLE schedule_duties IS 'of all schedulers together; each writes every 10 s, and when a duty fails or is well again'",
    "COMMENT ON COLUMN schedule_duties.ended_at IS 'of the last run that was well'",
    """CREATE TABLE schedulers (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        started_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL)""",
    """CREATE TABLE rotation_targets (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        master_key text NOT NULL UNIQUE,
        begun_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON TABLE rotation_targets IS 'what data keys were to be wrapped with, in order; only the newest may wrap them. Never deleted'",
    "CREATE INDEX notices_old ON notices (ended_at) WHERE ended_at IS NOT NULL AND next_at IS NULL",
    "CREATE INDEX data_keys_master_key ON data_keys (master_key) WHERE wrapped IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX data_keys_master_key")
    op.execute("DROP INDEX notices_old")
    op.execute("DROP TABLE rotation_targets")
    op.execute("DROP TABLE schedulers")
    op.execute("DROP TABLE schedule_duties")
