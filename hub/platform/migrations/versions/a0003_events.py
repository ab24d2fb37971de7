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
        hash bytea NOT NULL DEFAULT '',
        writer xid8,
        settled_number bigint NOT NULL DEFAULT 0,
        settled_hash bytea NOT NULL DEFAULT '')""",
    "COMMENT ON COLUMN audit_heads.settled_number IS 'where the chain stood before the transaction that wrote it last'",
    # Audit rows of one chain take turns; people are spread over the chains.
    "INSERT INTO audit_heads (chain) SELECT generate_series(0, 15)",
    """CREATE TABLE audit_log (
        chain smallint NOT NULL,
        number bigint NOT NULL,
        id uuid NOT NULL UNIQUE,
        at timestamptz NOT NULL,
        actor uuid NOT NULL,
        person uuid NOT NULL,
        action text NOT NULL,
        subject text NOT NULL,
        request_id text NOT NULL,
        seen_number bigint NOT NULL,
        seen_hash bytea NOT NULL,
        seal bytea NOT NULL,
        hash bytea NOT NULL,
        PRIMARY KEY (chain, number))""",
    "COMMENT ON COLUMN audit_log.id IS 'a UUIDv7, so that rows are listed in the order of their ids'",
    "COMMENT ON COLUMN audit_log.seen_hash IS 'the head that the writing process knew to be committed'",
    "COMMENT ON COLUMN audit_log.seal IS 'HMAC over the row by a key that the database does not have'",
    "COMMENT ON COLUMN audit_log.hash IS 'sha256 of the hash before it in the chain and the seal'",
    "CREATE INDEX audit_log_person ON audit_log (person, id)",
    "CREATE INDEX audit_log_actor ON audit_log (actor, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("audit_log", "audit_heads", "events"):
        op.execute(f"DROP TABLE {table}")
