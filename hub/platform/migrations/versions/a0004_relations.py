"""Who may act for whom, who takes part in whose care, and what people agreed to."""

from alembic import op

revision = "a0004"
down_revision = "a0003"

STATEMENTS = (
    """CREATE TABLE user_relations (
        id uuid PRIMARY KEY,
        person_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        actor_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        kind text NOT NULL CHECK (kind IN ('family', 'caregiver')),
        state text NOT NULL CHECK (state IN ('asked', 'active', 'declined', 'ended')),
        asked_by uuid NOT NULL,
        asked_at timestamptz NOT NULL,
        answered_at timestamptz,
        expires_at timestamptz,
        ended_at timestamptz,
        CHECK (person_id <> actor_id))""",
    "COMMENT ON COLUMN user_relations.actor_id IS 'who may act for person_id while the state is active and not expired'",
    """CREATE UNIQUE INDEX user_relations_pair ON user_relations (person_id, actor_id)
       WHERE state IN ('asked', 'active')""",
    "CREATE INDEX user_relations_actor ON user_relations (actor_id)",
    """CREATE TABLE consents (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        purpose text NOT NULL,
        version text NOT NULL,
        actor_id uuid NOT NULL,
        given_at timestamptz NOT NULL,
        withdrawn_at timestamptz)""",
    "CREATE UNIQUE INDEX consents_given ON consents (user_id, purpose) WHERE withdrawn_at IS NULL",
    "CREATE INDEX consents_user ON consents (user_id, given_at)",
    """CREATE TABLE care_grants (
        person_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        member_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        source uuid NOT NULL,
        scope text NOT NULL CHECK (scope IN ('care', 'service')),
        starts_at timestamptz NOT NULL,
        ends_at timestamptz,
        PRIMARY KEY (person_id, member_id, source))""",
    "COMMENT ON TABLE care_grants IS 'who sees what of a person because of an order: source is the order'",
    "CREATE INDEX care_grants_member ON care_grants (member_id, person_id)",
    "CREATE INDEX care_grants_source ON care_grants (source)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("care_grants", "consents", "user_relations"):
        op.execute(f"DROP TABLE {table}")
