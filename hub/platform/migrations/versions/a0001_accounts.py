"""Users, their devices' sessions, SMS codes, and the data keys under which everything of theirs is sealed."""

from alembic import op

revision = "a0001"
down_revision = None

STATEMENTS = (
    """CREATE TABLE users (
        id uuid PRIMARY KEY,
        phone text UNIQUE,
        wechat_openid text UNIQUE,
        name text NOT NULL DEFAULT '',
        avatar text NOT NULL DEFAULT '',
        role text NOT NULL DEFAULT 'patient' CHECK (role IN ('patient', 'companion', 'doctor', 'staff', 'admin')),
        membership_level text NOT NULL DEFAULT 'basic' CHECK (membership_level IN ('basic', 'professional', 'premium')),
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended')),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE TABLE sms_codes (
        id uuid PRIMARY KEY,
        phone text NOT NULL,
        scene text NOT NULL,
        code_hash bytea NOT NULL,
        address text NOT NULL,
        attempts int NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        consumed_at timestamptz)""",
    "CREATE INDEX sms_codes_phone ON sms_codes (phone, created_at)",
    "CREATE INDEX sms_codes_address ON sms_codes (address, created_at)",
    "CREATE INDEX sms_codes_created ON sms_codes (created_at)",
    """CREATE TABLE sessions (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        device text NOT NULL DEFAULT '',
        user_agent text NOT NULL DEFAULT '',
        address text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        revoked_why text)""",
    "CREATE INDEX sessions_user ON sessions (user_id)",
    "CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL",
    "CREATE INDEX sessions_expires ON sessions (expires_at)",
    """CREATE TABLE refresh_tokens (
        token_hash bytea PRIMARY KEY,
        session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        issued_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz)""",
    "CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)",
    "CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_at)",
    """CREATE TABLE socket_tickets (
        ticket_hash bytea PRIMARY KEY,
        session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        expires_at timestamptz NOT NULL)""",
    "CREATE INDEX socket_tickets_expires ON socket_tickets (expires_at)",
    "CREATE INDEX socket_tickets_session ON socket_tickets (session_id)",
    """CREATE TABLE data_keys (
        id uuid PRIMARY KEY,
        subject uuid NOT NULL UNIQUE,
        wrapped bytea,
        master_key text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        destroyed_at timestamptz)""",
    "COMMENT ON COLUMN data_keys.subject IS 'a person, or a conversation for what no person wrote'",
    "COMMENT ON COLUMN data_keys.wrapped IS 'the key sealed by the master key; null once destroyed'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("data_keys", "socket_tickets", "refresh_tokens", "sessions", "sms_codes", "users"):
        op.execute(f"DROP TABLE {table}")
