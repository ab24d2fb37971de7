"""Hospitals, their departments, doctors, and when somebody works."""

from alembic import op

revision = "a0005"
down_revision = "a0004"

STATEMENTS = (
    """CREATE TABLE hospitals (
        id uuid PRIMARY KEY,
        code text UNIQUE,
        name text NOT NULL,
        city text NOT NULL,
        district text NOT NULL DEFAULT '',
        address text NOT NULL DEFAULT '',
        level text NOT NULL DEFAULT '',
        phone text NOT NULL DEFAULT '',
        introduction text NOT NULL DEFAULT '',
        is_active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON COLUMN hospitals.code IS 'the key of an import: a row with the same code is changed, not added'",
    "CREATE INDEX hospitals_city ON hospitals (city)",
    """CREATE TABLE departments (
        id uuid PRIMARY KEY,
        hospital_id uuid NOT NULL REFERENCES hospitals (id) ON DELETE CASCADE,
        name text NOT NULL,
        category text NOT NULL DEFAULT '',
        location text NOT NULL DEFAULT '',
        introduction text NOT NULL DEFAULT '',
        sort_order int NOT NULL DEFAULT 0,
        is_active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (hospital_id, name))""",
    """CREATE TABLE doctors (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
        department_id uuid NOT NULL REFERENCES departments (id),
        name text NOT NULL,
        title text NOT NULL DEFAULT '',
        specialties text[] NOT NULL DEFAULT '{}',
        introduction text NOT NULL DEFAULT '',
        fee numeric(10, 2) NOT NULL DEFAULT 0,
        sort_order int NOT NULL DEFAULT 0,
        is_active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX doctors_department ON doctors (department_id)",
    # `provider` is the person who works: a doctor's account or a companion's.
    """CREATE TABLE doctor_schedules (
        id uuid PRIMARY KEY,
        provider uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
        starts time NOT NULL,
        ends time NOT NULL,
        slot_minutes int NOT NULL CHECK (slot_minutes BETWEEN 5 AND 720),
        capacity int NOT NULL DEFAULT 1 CHECK (capacity BETWEEN 1 AND 100),
        valid_from date,
        valid_until date,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CHECK (starts < ends),
        CHECK (valid_from <= valid_until))""",
    "COMMENT ON COLUMN doctor_schedules.weekday IS 'ISO 8601: 1 is Monday; times are Asia/Shanghai'",
    "CREATE INDEX doctor_schedules_provider ON doctor_schedules (provider, weekday)",
    """CREATE TABLE schedule_exceptions (
        id uuid PRIMARY KEY,
        provider uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        day date NOT NULL,
        kind text NOT NULL CHECK (kind IN ('off', 'extra')),
        starts time NOT NULL,
        ends time NOT NULL,
        slot_minutes int,
        capacity int,
        reason text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CHECK (starts < ends),
        CHECK (kind = 'off' OR (slot_minutes IS NOT NULL AND capacity IS NOT NULL)))""",
    "CREATE INDEX schedule_exceptions_provider ON schedule_exceptions (provider, day)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("schedule_exceptions", "doctor_schedules", "doctors", "departments", "hospitals"):
        op.execute(f"DROP TABLE {table}")
