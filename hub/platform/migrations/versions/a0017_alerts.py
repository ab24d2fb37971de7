"""Alerts: what was found, whom it was told to, who acknowledged it, and who is on duty."""

from alembic import op

revision = "a0017"
down_revision = "a0016"

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE duty_shifts (
        id uuid PRIMARY KEY,
        role text NOT NULL CHECK (role IN ('doctor_on_call', 'backup', 'coordinator')),
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        note text NOT NULL DEFAULT '',
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CHECK (ends_at > starts_at))""",
    "CREATE INDEX duty_shifts_role ON duty_shifts (role, ends_at, starts_at)",
    """CREATE TABLE alerts (
        id uuid PRIMARY KEY,
        person uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        kind text NOT NULL CHECK (kind IN ('reading', 'words', 'missed', 'manual', 'drill')),
        severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
        rule bytea NOT NULL,
        rule_digest bytea NOT NULL,
        drill boolean NOT NULL,
        conversation uuid,
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'resolved')),
        number int NOT NULL DEFAULT 0,
        step text NOT NULL DEFAULT '',
        next_at timestamptz,
        count int NOT NULL DEFAULT 1,
        opened_at timestamptz NOT NULL,
        last_at timestamptz NOT NULL,
        acknowledged_at timestamptz,
        acknowledged_by uuid,
        resolved_at timestamptz,
        resolved_by uuid,
        acknowledge_note bytea,
        resolve_note bytea,
        key_id uuid NOT NULL,
        CHECK ((state = 'open') = (next_at IS NOT NULL)),
        CHECK ((kind = 'drill') = drill))""",
    "COMMENT ON COLUMN alerts.rule IS 'which rule found it, in which version; sealed, as the notes are'",
    "COMMENT ON COLUMN alerts.rule_digest IS 'keyed: equal for one rule and person'",
    "COMMENT ON COLUMN alerts.resolved_by IS 'null: the key of the person was destroyed'",
    "COMMENT ON COLUMN alerts.number IS 'how many steps of its ladder have fired'",
    "COMMENT ON COLUMN alerts.step IS 'the role that was told last'",
    "COMMENT ON COLUMN alerts.next_at IS 'when the next step fires unless somebody acknowledges'",
    "COMMENT ON COLUMN alerts.count IS 'how many sources raised it'",
    "CREATE UNIQUE INDEX alerts_open ON alerts (person, rule_digest, severity, drill) WHERE state = 'open'",
    "CREATE INDEX alerts_state ON alerts (state, opened_at DESC, id DESC)",
    "CREATE INDEX alerts_person ON alerts (person, opened_at DESC, id DESC)",
    """CREATE TABLE alert_sources (
        digest bytea PRIMARY KEY,
        number bigint GENERATED ALWAYS AS IDENTITY,
        alert uuid NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
        at timestamptz NOT NULL,
        actor uuid,
        source bytea NOT NULL,
        note bytea,
        key_id uuid NOT NULL)""",
    "COMMENT ON TABLE alert_sources IS 'what raised alerts, by reference only; each raises one, ever'",
    "COMMENT ON COLUMN alert_sources.digest IS 'keyed, of the source; which that is stands sealed beside it'",
    "COMMENT ON COLUMN alert_sources.actor IS 'who raised it by hand'",
    "CREATE INDEX alert_sources_alert ON alert_sources (alert, at DESC)",
    """CREATE TABLE alert_steps (
        alert uuid NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
        number int NOT NULL,
        step text NOT NULL,
        told uuid[] NOT NULL,
        due_at timestamptz NOT NULL,
        fired_at timestamptz NOT NULL,
        until timestamptz,
        PRIMARY KEY (alert, number))""",
    "CREATE INDEX alert_steps_told ON alert_steps USING gin (told)",
    "COMMENT ON COLUMN alert_steps.told IS 'empty: nobody was on duty'",
    "COMMENT ON COLUMN alert_steps.until IS 'the deadline; null where nobody was on duty and the next step fired at once'",
    """CREATE TABLE alert_ladders (
        severity text PRIMARY KEY CHECK (severity IN ('warning', 'critical')),
        value jsonb NOT NULL,
        version bigint NOT NULL,
        changed_by uuid NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE SEQUENCE alert_ladder_versions",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("alert_ladders", "alert_steps", "alert_sources", "alerts", "duty_shifts"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE alert_ladder_versions")
