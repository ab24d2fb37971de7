"""Health data, sealed under the key of the person it is about: profile, readings (partitioned by month), reports, plans."""

from alembic import op

revision = "a0006"
down_revision = "a0005"

STATEMENTS = (
    """CREATE TABLE user_health_profiles (
        user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        body bytea,
        tags bytea,
        key_id uuid NOT NULL,
        updated_by uuid NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE TABLE health_data_records (
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        type text NOT NULL,
        value bytea NOT NULL,
        unit text NOT NULL,
        source text NOT NULL CHECK (source IN ('manual', 'device', 'hospital')),
        recorded_at timestamptz NOT NULL,
        notes bytea,
        metadata bytea,
        key_id uuid NOT NULL,
        digest bytea NOT NULL,
        actor_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (id, recorded_at),
        UNIQUE (user_id, type, recorded_at, source)) PARTITION BY RANGE (recorded_at)""",
    "COMMENT ON COLUMN user_health_profiles.body IS 'sealed; null while there are only tags'",
    "COMMENT ON COLUMN health_data_records.value IS 'sealed: the number, its indicators and its risk'",
    "COMMENT ON COLUMN health_data_records.digest IS 'keyed: tells a repetition from another reading at the same moment'",
    # Readings of before the first month that has a partition.
    "CREATE TABLE health_data_records_old PARTITION OF health_data_records DEFAULT",
    # A partition is made apart and attached: rows that had to go to the default one meanwhile move over, and nobody who
    # reads or writes other months waits.
    """CREATE FUNCTION ensure_record_partitions(p_first date, p_months int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE
      v_start timestamp; v_from timestamptz; v_until timestamptz; v_name text; v_made int := 0;
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtext('ensure_record_partitions'));
      FOR n IN 0 .. p_months - 1 LOOP
        v_start := date_trunc('month', p_first::timestamp) + make_interval(months => n);
        v_from := v_start AT TIME ZONE 'UTC';
        v_until := (v_start + interval '1 month') AT TIME ZONE 'UTC';
        v_name := 'health_data_records_' || to_char(v_start, 'YYYYMM');
        IF to_regclass(v_name) IS NULL THEN
          EXECUTE format('CREATE TABLE %I (LIKE health_data_records INCLUDING ALL)', v_name);
          EXECUTE format('WITH moved AS (DELETE FROM health_data_records_old WHERE recorded_at >= %L AND recorded_at < %L
                          RETURNING *) INSERT INTO %I SELECT * FROM moved', v_from, v_until, v_name);
          EXECUTE format('ALTER TABLE health_data_records ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                         v_name, v_from, v_until);
          v_made := v_made + 1;
        END IF;
      END LOOP;
      RETURN v_made;
    END $$""",
    # Two years back, so that what people bring along has its place, and half a year ahead; the scheduler goes on from there.
    "SELECT ensure_record_partitions((CURRENT_DATE - interval '24 months')::date, 31)",
    """CREATE TABLE health_reports (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        actor_id uuid NOT NULL,
        period text NOT NULL,
        body bytea NOT NULL,
        key_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX health_reports_user ON health_reports (user_id, created_at)",
    """CREATE TABLE health_plans (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        actor_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('medication', 'measurement', 'exercise', 'visit')),
        body bytea NOT NULL,
        key_id uuid NOT NULL,
        schedule text NOT NULL,
        starts_at timestamp NOT NULL,
        timezone text NOT NULL,
        until timestamptz,
        ends_at timestamptz,
        state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'ended')),
        revision int NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON COLUMN health_plans.schedule IS 'RFC 5545 RRULE; starts_at is its DTSTART, local time in timezone'",
    "COMMENT ON COLUMN health_plans.ends_at IS 'after this nothing comes: until, or the last of a counted rule'",
    "COMMENT ON COLUMN health_plans.revision IS 'raised with each change of when it is due'",
    "CREATE INDEX health_plans_user ON health_plans (user_id, created_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION ensure_record_partitions")
    for table in ("health_plans", "health_reports", "health_data_records", "user_health_profiles"):
        op.execute(f"DROP TABLE {table}")
