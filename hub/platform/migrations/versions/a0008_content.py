"""The knowledge base, and interpretations of what people bring."""

from alembic import op

revision = "a0008"
down_revision = "a0007"

STATEMENTS = (
    """CREATE TABLE health_knowledge (
        id uuid PRIMARY KEY,
        title text NOT NULL,
        summary text NOT NULL DEFAULT '',
        content text NOT NULL,
        category text NOT NULL,
        tags text[] NOT NULL DEFAULT '{}',
        author text NOT NULL DEFAULT '',
        status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'archived')),
        version int NOT NULL DEFAULT 1,
        search tsvector NOT NULL,
        folded_title text NOT NULL,
        folded_summary text NOT NULL,
        folded_content text NOT NULL,
        published_at timestamptz,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON COLUMN health_knowledge.search IS 'made by the application: Chinese has no spaces to cut at'",
    "COMMENT ON COLUMN health_knowledge.folded_summary IS 'of the summary and the tags'",
    "COMMENT ON COLUMN health_knowledge.version IS 'raised by every change: who changes an older one is refused'",
    # Without the list of pending entries: a search costs the same right after a bulk load.
    "CREATE INDEX health_knowledge_search ON health_knowledge USING gin (search) WITH (fastupdate = off)",
    "CREATE INDEX health_knowledge_tags ON health_knowledge USING gin (tags)",
    """CREATE INDEX health_knowledge_published ON health_knowledge (published_at DESC NULLS LAST, id DESC)
       WHERE status = 'published'""",
    "CREATE INDEX health_knowledge_category ON health_knowledge (category)",
    """CREATE TABLE knowledge_likes (
        article uuid NOT NULL REFERENCES health_knowledge (id) ON DELETE CASCADE,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (article, user_id))""",
    # Several rows per article, so that readers of a popular one do not queue for one row's lock.
    """CREATE TABLE knowledge_counts (
        article uuid NOT NULL REFERENCES health_knowledge (id) ON DELETE CASCADE,
        part smallint NOT NULL,
        likes bigint NOT NULL DEFAULT 0,
        views bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (article, part)) WITH (fillfactor = 50)""",
    """CREATE TABLE ai_interpretations (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        actor_id uuid NOT NULL,
        report_type text NOT NULL,
        original bytea NOT NULL,
        result bytea,
        key_id uuid NOT NULL,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
        interpreter text NOT NULL DEFAULT '',
        attempts int NOT NULL DEFAULT 0,
        due_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        read_at timestamptz)""",
    "CREATE INDEX ai_interpretations_user ON ai_interpretations (user_id, created_at)",
    "CREATE INDEX ai_interpretations_due ON ai_interpretations (due_at) WHERE due_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("ai_interpretations", "knowledge_counts", "knowledge_likes", "health_knowledge"):
        op.execute(f"DROP TABLE {table}")
