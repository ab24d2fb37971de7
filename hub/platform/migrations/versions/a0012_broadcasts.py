"""Broadcasts: what is said to a segment of the people, how far it has come, and when a worker goes on with it."""

from alembic import op

revision = "a0012"
down_revision = "a0011"

STATEMENTS = (
    """CREATE TABLE broadcasts (
        id uuid PRIMARY KEY,
        class text NOT NULL,
        title bytea NOT NULL,
        body bytea,
        key_id uuid NOT NULL,
        segment jsonb NOT NULL,
        state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'running', 'paused', 'done', 'cancelled')),
        seq bigint,
        cursor uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        estimated bigint NOT NULL,
        is_least boolean NOT NULL DEFAULT false,
        looked_at bigint NOT NULL DEFAULT 0,
        reached bigint NOT NULL DEFAULT 0,
        left_out jsonb NOT NULL DEFAULT '{}',
        busy_s double precision NOT NULL DEFAULT 0,
        per_s int CHECK (per_s > 0),
        next_at timestamptz,
        lease uuid,
        runs int NOT NULL DEFAULT 0,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL,
        starts_at timestamptz,
        started_at timestamptz,
        finished_at timestamptz)""",
    "COMMENT ON COLUMN broadcasts.id IS 'of its conversation too, which is opened when it starts; and what title and body are sealed for'",
    "COMMENT ON COLUMN broadcasts.body IS 'until it starts; then it is the entry seq of the conversation, and nowhere else'",
    "COMMENT ON COLUMN broadcasts.cursor IS 'the last user looked at; they are taken in the order of their ids'",
    "COMMENT ON COLUMN broadcasts.is_least IS 'counting took too long: there are at least this many'",
    "COMMENT ON COLUMN broadcasts.left_out IS 'how many, by reason: consent, off, inactive'",
    "COMMENT ON COLUMN broadcasts.busy_s IS 'how long workers were at it: what its rate is measured by'",
    "COMMENT ON COLUMN broadcasts.next_at IS 'when a worker goes on; while one does, when its lease ends; null: nothing to do'",
    "COMMENT ON COLUMN broadcasts.runs IS 'leases so far, so that each wakes a worker of its own'",
    "CREATE INDEX broadcasts_due ON broadcasts (next_at) WHERE next_at IS NOT NULL",
    "CREATE INDEX broadcasts_created ON broadcasts (created_at, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE broadcasts")
