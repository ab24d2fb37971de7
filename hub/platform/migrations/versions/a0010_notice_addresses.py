"""Codes that confirm e-mail addresses, and the numbers that changes of classes and templates get."""

from alembic import op

revision = "a0010"
down_revision = "a0009"

STATEMENTS = (
    """CREATE TABLE email_codes (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        email text NOT NULL,
        address text NOT NULL,
        code_hash bytea NOT NULL,
        attempts int NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN email_codes.address IS 'of the network, from where the code was asked for'",
    "CREATE INDEX email_codes_user ON email_codes (user_id, created_at)",
    "CREATE INDEX email_codes_email ON email_codes (email, created_at)",
    "CREATE INDEX email_codes_address ON email_codes (address, created_at)",
    "CREATE INDEX email_codes_created ON email_codes (created_at)",
    # One for all: a class or template that went back to its default and is changed again never gets an old number anew.
    "CREATE SEQUENCE notice_versions AS int",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SEQUENCE notice_versions")
    op.execute("DROP TABLE email_codes")
