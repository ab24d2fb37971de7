"""Who may act for whom, who takes part in whose care, and what people agreed to; and finding people, for the staff."""

from alembic import op

revision = "a0004"
down_revision = "a0003"

STATEMENTS = (
    """CREATE TABLE user_relations (
        id uuid PRIMARY KEY,
        person_id uuid REFERENCES users (id) ON DELETE CASCADE,
        actor_id uuid REFERENCES users (id) ON DELETE CASCADE,
        asked_phone text,
        kind text NOT NULL CHECK (kind IN ('family', 'caregiver')),
        state text NOT NULL CHECK (state IN ('asked', 'active', 'declined', 'ended')),
        asked_by uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        asked_at timestamptz NOT NULL,
        answered_at timestamptz,
        expires_at timestamptz,
        ended_at timestamptz,
        CHECK (asked_by IN (person_id, actor_id)),
        CHECK (person_id <> actor_id),
        CHECK (person_id IS NOT NULL AND actor_id IS NOT NULL OR asked_phone IS NOT NULL AND state <> 'active'))""",
    "COMMENT ON COLUMN user_relations.actor_id IS 'who may act for person_id while the state is active and not expired'",
    """COMMENT ON COLUMN user_relations.asked_phone IS 'who was asked by phone: whether anybody has it is not looked at, the other side is
       filled in by whose phone it is when they answer'""",
    """CREATE UNIQUE INDEX user_relations_pair ON user_relations (person_id, actor_id)
       WHERE state IN ('asked', 'active')""",
    """CREATE UNIQUE INDEX user_relations_phone ON user_relations (asked_by, asked_phone, (person_id IS NULL))
       WHERE state = 'asked' AND asked_phone IS NOT NULL""",
    "CREATE INDEX user_relations_asked ON user_relations (asked_phone) WHERE state = 'asked' AND asked_phone IS NOT NULL",
    "CREATE INDEX user_relations_person ON user_relations (person_id)",
    "CREATE INDEX user_relations_actor ON user_relations (actor_id)",
    "CREATE INDEX user_relations_asker ON user_relations (asked_by, asked_at)",
    """CREATE TABLE consents (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        purpose text NOT NULL,
        version text NOT NULL,
        actor_id uuid NOT NULL,
        given_at timestamptz,
        withdrawn_at timestamptz,
        source uuid,
        CHECK (given_at IS NOT NULL OR withdrawn_at IS NOT NULL))""",
    "COMMENT ON COLUMN consents.given_at IS 'null where it was refused before it was ever given'",
    "COMMENT ON COLUMN consents.withdrawn_at IS 'when it ended: withdrawn, or given anew for a newer version'",
    "COMMENT ON COLUMN consents.source IS 'the order whose booking gave it; null where the person said so'",
    "CREATE UNIQUE INDEX consents_given ON consents (user_id, purpose) WHERE withdrawn_at IS NULL",
    "CREATE INDEX consents_user ON consents (user_id, purpose)",
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
    "CREATE INDEX users_created ON users (created_at, id)",
    "CREATE INDEX users_name ON users (name text_pattern_ops)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for index in ("users_created", "users_name"):
        op.execute(f"DROP INDEX {index}")
    for table in ("care_grants", "consents", "user_relations"):
        op.execute(f"DROP TABLE {table}")
