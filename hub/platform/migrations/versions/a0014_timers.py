"""Timers: what must happen at a time, one row each, fired once in the transaction of what follows."""

from alembic import op

revision = "a0014"
down_revision = "a0013"

STATEMENTS = (
    """CREATE TABLE timers (
        id uuid PRIMARY KEY,
        kind text NOT NULL,
        subject uuid NOT NULL,
        key text NOT NULL DEFAULT '',
        revision int NOT NULL DEFAULT 1,
        person uuid,
        due_at timestamptz NOT NULL,
        expires_at timestamptz,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'fired', 'expired', 'cancelled')),
        next_at timestamptz,
        ended_at timestamptz,
        attempts smallint NOT NULL DEFAULT 0,
        error text,
        CHECK ((state = 'pending') = (next_at IS NOT NULL)),
        UNIQUE (subject, kind, key, revision)) WITH (fillfactor = 85)""",
    "COMMENT ON COLUMN timers.subject IS 'what it belongs to: an appointment, a plan, an alert'",
    "COMMENT ON COLUMN timers.key IS 'which of several of this kind: an offset and a person, a step; never anything of health'",
    "COMMENT ON COLUMN timers.revision IS 'of the subject when it was set; a later one cancels it'",
    "COMMENT ON COLUMN timers.expires_at IS 'from then on it is too late and it does not fire; null: late is better than never'",
    "COMMENT ON COLUMN timers.next_at IS 'due_at, or later after a failure; null once it has ended'",
    "CREATE INDEX timers_due ON timers (kind, next_at) WHERE next_at IS NOT NULL",
    "CREATE INDEX timers_person ON timers (person, due_at) WHERE person IS NOT NULL AND next_at IS NOT NULL",
    "CREATE INDEX timers_ended ON timers (ended_at) WHERE ended_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE timers")
