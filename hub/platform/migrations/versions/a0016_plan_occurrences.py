"""Occurrences of plans: made ahead in a rolling window, and what became of each."""

from alembic import op

revision = "a0016"
down_revision = "a0015"

STATEMENTS = (
    """CREATE TABLE plan_occurrences (
        id uuid PRIMARY KEY,
        plan_id uuid NOT NULL REFERENCES health_plans (id) ON DELETE CASCADE,
        user_id uuid NOT NULL,
        at timestamptz NOT NULL,
        revision int NOT NULL,
        state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'done', 'skipped', 'missed')),
        snoozed_until timestamptz,
        snoozes smallint NOT NULL DEFAULT 0,
        told_at timestamptz,
        acted_at timestamptz,
        acted_by uuid,
        reading uuid,
        UNIQUE (plan_id, at)) WITH (fillfactor = 85)""",
    "COMMENT ON COLUMN plan_occurrences.revision IS 'of the plan by which it is due; timers of another one are void'",
    "COMMENT ON COLUMN plan_occurrences.told_at IS 'when the person was reminded; null again while it is snoozed'",
    "COMMENT ON COLUMN plan_occurrences.reading IS 'the record that made it done; no reference: records are partitioned'",
    "CREATE INDEX plan_occurrences_user ON plan_occurrences (user_id, at)",
    # Plans that are there already begin now, with the first sweep of a scheduler.
    """INSERT INTO timers (id, kind, subject, key, revision, person, due_at, next_at)
        SELECT gen_random_uuid(), 'plan_window', id, to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'), revision,
          user_id, now(), now()
        FROM health_plans WHERE state = 'active' AND (ends_at IS NULL OR ends_at > now())""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DELETE FROM timers WHERE kind IN ('plan_window', 'plan_due', 'plan_missed')")
    op.execute("DROP TABLE plan_occurrences")
