"""What happened, for other areas; and who looked at whose health data."""

from alembic import op

revision = "a0003"
down_revision = "a0002"

STATEMENTS = (
    """CREATE TABLE events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL,
        subject uuid NOT NULL,
        payload jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts int NOT NULL DEFAULT 0,
        error text,
        done_at timestamptz)""",
    "COMMENT ON COLUMN events.subject IS 'events of one subject are handled one after another, in the order of number'",
    "CREATE INDEX events_waiting ON events (subject, number) WHERE done_at IS NULL",
    "CREATE INDEX events_due ON events (due_at) WHERE done_at IS NULL",
    "CREATE INDEX events_done ON events (done_at) WHERE done_at IS NOT NULL",
    """CREATE TABLE audit_heads (
        chain smallint PRIMARY KEY,
        number bigint NOT NULL DEFAULT 0,
        hash bytea NOT NULL)""",
    # Audit rows of one chain take turns; people are spread over the chains.
    "INSERT INTO audit_heads (chain, hash) SELECT n, '' FROM generate_series(0, 15) n",
    """CREATE TABLE audit_log (
        chain smallint NOT NULL,
        number bigint NOT NULL,
        at timestamptz NOT NULL,
        actor uuid NOT NULL,
        person uuid NOT NULL,
        action text NOT NULL,
        subject text NOT NULL,
        request_id text NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (chain, number))""",
    "CREATE INDEX audit_log_person ON audit_log (person, at)",
    "CREATE INDEX audit_log_actor ON audit_log (actor, at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("audit_log", "audit_heads", "events"):
        op.execute(f"DROP TABLE {table}")
