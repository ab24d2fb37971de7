"""Reminders of appointments: when people want them, and what they answer."""

from alembic import op

revision = "a0015"
down_revision = "a0014"

STATEMENTS = (
    "ALTER TABLE services ADD COLUMN reminder_minutes int[] CHECK (cardinality(reminder_minutes) <= 5)",
    "COMMENT ON COLUMN services.reminder_minutes IS 'how long before to remind; null: as the settings say'",
    """ALTER TABLE appointments
        ADD COLUMN reminder_minutes int[] NOT NULL DEFAULT '{1440,120,15}',
        ADD COLUMN attendance text CHECK (attendance IN ('confirmed', 'declined')),
        ADD COLUMN attendance_at timestamptz,
        ADD COLUMN attendance_by uuid,
        ADD COLUMN attendance_answers smallint NOT NULL DEFAULT 0""",
    "COMMENT ON COLUMN appointments.reminder_minutes IS 'what held when it was booked: of its service, else of the settings'",
    "COMMENT ON COLUMN appointments.attendance IS 'what was answered for the patient, to this revision'",
    """CREATE TABLE reminder_preferences (
        user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        minutes int[] NOT NULL CHECK (cardinality(minutes) <= 5),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON COLUMN reminder_preferences.minutes IS 'goes before what services and settings say; empty: none are wanted'",
    # Who ordered for somebody else is looked for when they change their wish.
    "CREATE INDEX orders_actor ON orders (actor_id) WHERE actor_id <> user_id",
    # What was booked before there were reminders gets those of the default, as far as they are to come.
    """INSERT INTO timers (id, kind, subject, key, revision, person, due_at, next_at, expires_at)
        SELECT gen_random_uuid(), 'appointment_reminder', a.id,
          m.minutes || ':' || coalesce(p.person::text, 'conversation') || ':' || 'a0015', a.revision,
          p.person, t.due_at, t.due_at, a.starts_at - make_interval(mins => m.next)
        FROM appointments a
        JOIN orders o ON o.id = a.order_id
        CROSS JOIN (VALUES (1440, 120), (120, 15), (15, 0)) AS m(minutes, next)
        CROSS JOIN LATERAL (SELECT a.user_id UNION SELECT o.actor_id UNION SELECT a.staff_id UNION SELECT NULL) AS p(person)
        CROSS JOIN LATERAL (SELECT a.starts_at - make_interval(mins => m.minutes)) AS t(due_at)
        WHERE a.state IN ('scheduled', 'confirmed') AND t.due_at > clock_timestamp()""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DELETE FROM timers WHERE kind = 'appointment_reminder'")
    op.execute("DROP INDEX orders_actor")
    op.execute("DROP TABLE reminder_preferences")
    op.execute("""ALTER TABLE appointments DROP COLUMN reminder_minutes, DROP COLUMN attendance,
        DROP COLUMN attendance_at, DROP COLUMN attendance_by, DROP COLUMN attendance_answers""")
    op.execute("ALTER TABLE services DROP COLUMN reminder_minutes")
