"""Notices: what must reach a person, each attempt on each channel, where people are reached, and what they want."""

from alembic import op

revision = "a0009"
down_revision = "a0008"

STATEMENTS = (
    # Classes and templates stand in the code; a row here replaces one of them.
    """CREATE TABLE notice_classes (
        code text PRIMARY KEY,
        value jsonb NOT NULL,
        version int NOT NULL DEFAULT 1,
        changed_by uuid NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE TABLE notice_templates (
        code text NOT NULL,
        channel text NOT NULL,
        language text NOT NULL CHECK (language IN ('zh', 'en')),
        value jsonb NOT NULL,
        version int NOT NULL DEFAULT 1,
        changed_by uuid NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (code, channel, language))""",
    """CREATE TABLE notice_preferences (
        user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        language text CHECK (language IN ('zh', 'en')),
        timezone text,
        quiet jsonb,
        classes jsonb NOT NULL DEFAULT '{}',
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    'COMMENT ON COLUMN notice_preferences.quiet IS \'null: the default hours; else {"on", "from", "to"}, times of day in the zone\'',
    """CREATE TABLE notice_addresses (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        channel text NOT NULL CHECK (channel IN ('webpush', 'wecom', 'email')),
        value text NOT NULL,
        extra jsonb NOT NULL DEFAULT '{}',
        session_id uuid REFERENCES sessions (id) ON DELETE CASCADE,
        verified boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        gone_at timestamptz,
        gone_why text)""",
    "COMMENT ON COLUMN notice_addresses.session_id IS 'a push subscription lives as long as the session that made it'",
    # Nobody is reached at an address that was somebody else's before: the newest owner has it alone.
    "CREATE UNIQUE INDEX notice_addresses_value ON notice_addresses (channel, value) WHERE gone_at IS NULL",
    "CREATE INDEX notice_addresses_user ON notice_addresses (user_id) WHERE gone_at IS NULL",
    "CREATE INDEX notice_addresses_gone ON notice_addresses (gone_at) WHERE value <> ''",
    """CREATE TABLE wechat_quotas (
        openid text NOT NULL,
        template text NOT NULL,
        remaining int NOT NULL DEFAULT 0,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (openid, template))""",
    "COMMENT ON COLUMN wechat_quotas.remaining IS 'messages that the person agreed to and did not get yet; WeChat has no way to ask'",
    """CREATE TABLE provider_callbacks (
        provider text NOT NULL,
        key text NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (provider, key))""",
    "CREATE INDEX provider_callbacks_received ON provider_callbacks (received_at)",
    """CREATE TABLE notices (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        class text NOT NULL,
        lane text NOT NULL CHECK (lane IN ('urgent', 'normal', 'bulk')),
        shard smallint NOT NULL,
        template text NOT NULL,
        values jsonb NOT NULL DEFAULT '{}',
        subject text NOT NULL DEFAULT '',
        conversation uuid,
        first_seq bigint,
        upto_seq bigint,
        derived boolean NOT NULL DEFAULT false,
        begun boolean NOT NULL DEFAULT false,
        broadcast uuid,
        dedupe_key text NOT NULL UNIQUE,
        state text NOT NULL DEFAULT 'open' CHECK (state IN (
          'open', 'seen', 'delivered', 'unconfirmed', 'failed', 'expired', 'superseded', 'suppressed')),
        reason text NOT NULL DEFAULT '',
        next_at timestamptz,
        lease uuid,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        begins_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        delivered_at timestamptz,
        heard_at timestamptz,
        seen_at timestamptz,
        ended_at timestamptz,
        CHECK ((conversation IS NULL) = (upto_seq IS NULL))) WITH (fillfactor = 80)""",
    "COMMENT ON COLUMN notices.values IS 'what the template shows; never anything of health'",
    "COMMENT ON COLUMN notices.derived IS 'made by the sweep from cursors; one that has not begun at a time for a member and a class'",
    "COMMENT ON COLUMN notices.begun IS 'its ladder has begun: what it speaks of is settled, and later entries are another notice'",
    "COMMENT ON COLUMN notices.next_at IS 'when a worker looks at it; while one does, when its lease ends; null: nothing is left to do'",
    "COMMENT ON COLUMN notices.heard_at IS 'when a receipt last settled one of its attempts; who held it meanwhile looks again'",
    "CREATE INDEX notices_due ON notices (lane, shard, next_at) WHERE next_at IS NOT NULL",
    "CREATE UNIQUE INDEX notices_derived ON notices (user_id, conversation, class) WHERE state = 'open' AND derived AND NOT begun",
    "CREATE INDEX notices_unseen ON notices (user_id, conversation) WHERE seen_at IS NULL AND state <> 'superseded'",
    "CREATE INDEX notices_member ON notices (user_id, conversation, id)",
    "CREATE INDEX notices_conversation ON notices (conversation, id) WHERE conversation IS NOT NULL",
    "CREATE INDEX notices_state ON notices (state, id)",
    "CREATE INDEX notices_broadcast ON notices (broadcast, state) WHERE broadcast IS NOT NULL",
    """CREATE TABLE notice_attempts (
        id uuid PRIMARY KEY,
        notice uuid NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
        step smallint NOT NULL,
        channel text NOT NULL,
        provider text NOT NULL DEFAULT '',
        address text NOT NULL DEFAULT '',
        number smallint NOT NULL DEFAULT 1,
        state text NOT NULL CHECK (state IN (
          'leased', 'accepted', 'delivered', 'retry', 'unknown', 'superseded', 'suppressed', 'expired', 'refused', 'gone', 'dead')),
        code text NOT NULL DEFAULT '',
        detail text NOT NULL DEFAULT '',
        provider_id text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        sent_at timestamptz,
        settled_at timestamptz,
        next_at timestamptz,
        receipt_until timestamptz,
        withdrawn_at timestamptz,
        aside smallint NOT NULL DEFAULT 0,
        UNIQUE (notice, aside, step, provider, address, number)) WITH (fillfactor = 70)""",
    "COMMENT ON COLUMN notice_attempts.step IS 'of the ladder of the class, counted from 0'",
    "COMMENT ON COLUMN notice_attempts.sent_at IS 'when it was handed to the provider; null: it never was'",
    "COMMENT ON COLUMN notice_attempts.aside IS '0: counts; n: put aside by the n-th retry of the notice, which began its step anew'",
    "CREATE INDEX notice_attempts_provider ON notice_attempts (provider, provider_id) WHERE provider_id <> ''",
    """CREATE TABLE notice_marks (
        class text PRIMARY KEY,
        at timestamptz NOT NULL,
        wide_at timestamptz NOT NULL)""",
    "COMMENT ON TABLE notice_marks IS 'up to where the sweep has looked at entries, for each class that is derived from cursors'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "notice_marks",
        "notice_attempts",
        "notices",
        "provider_callbacks",
        "wechat_quotas",
        "notice_addresses",
        "notice_preferences",
        "notice_templates",
        "notice_classes",
    ):
        op.execute(f"DROP TABLE {table}")
