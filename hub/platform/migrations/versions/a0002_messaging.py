"""The conversation log: conversations, members, entries (hash-partitioned), attachments, and the function that appends."""

from alembic import op

revision = "a0002"
down_revision = "a0001"

# Each statement opens them all, about 15 µs apiece; eight leave room to grow and cost an append a tenth.
PARTITIONS = 8

TABLES = (
    """CREATE TABLE conversations (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('direct', 'care', 'group', 'inbox', 'broadcast')),
        title bytea,
        source text,
        subject uuid,
        policy jsonb NOT NULL DEFAULT '{}',
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'read_only')),
        direct_key text UNIQUE,
        head bigint NOT NULL DEFAULT 0,
        members_version bigint NOT NULL DEFAULT 1,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor = 70)""",
    "COMMENT ON COLUMN conversations.subject IS 'whose health a care conversation is about: the key that seals it'",
    # head and updated_at change with every batch and stay out of every index, so that the update is heap-only.
    """CREATE TABLE members (
        conversation uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member', 'reader')),
        from_seq bigint NOT NULL DEFAULT 1,
        to_seq bigint,
        delivered_seq bigint NOT NULL DEFAULT 0,
        read_seq bigint NOT NULL DEFAULT 0,
        muted boolean NOT NULL DEFAULT false,
        pinned boolean NOT NULL DEFAULT false,
        joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (conversation, user_id)) WITH (fillfactor = 70)""",
    "CREATE INDEX members_user ON members (user_id)",
    """CREATE TABLE entries (
        conversation uuid NOT NULL,
        seq bigint NOT NULL,
        sender uuid NOT NULL,
        on_behalf_of uuid,
        type text NOT NULL,
        target bigint,
        body bytea NOT NULL,
        body_digest bytea NOT NULL,
        key_id uuid NOT NULL,
        client_msg_id text NOT NULL,
        recalled_by bigint,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (conversation, seq),
        UNIQUE (conversation, sender, client_msg_id)) PARTITION BY HASH (conversation)""",
    "COMMENT ON COLUMN entries.sender IS 'the nil UUID for entries that the system wrote'",
    *(
        f"CREATE TABLE entries_{n:02d} PARTITION OF entries FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})"
        for n in range(PARTITIONS)
    ),
    "CREATE INDEX entries_target ON entries (conversation, target) WHERE target IS NOT NULL",
    # Rows arrive in time order, so a BRIN index finds "since T" by reading the last pages, and costs an append nothing.
    "CREATE INDEX entries_created ON entries USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on)",
    """CREATE TABLE attachments (
        id uuid PRIMARY KEY,
        owner uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        conversation uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        seq bigint,
        kind text NOT NULL CHECK (kind IN ('image', 'voice', 'file')),
        media_type text NOT NULL,
        name text NOT NULL DEFAULT '',
        size bigint NOT NULL,
        width int,
        height int,
        has_thumbnail boolean NOT NULL DEFAULT false,
        key_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON COLUMN attachments.seq IS 'the entry that carries it; null until one does, 0 while it is being removed'",
    "CREATE INDEX attachments_orphans ON attachments (created_at) WHERE seq IS NULL",
    "CREATE INDEX attachments_condemned ON attachments (id) WHERE seq = 0",
)

# One round trip: the first statement locks the conversations in id order, the second sees a fresh snapshot, so a retry that was
# committed meanwhile is found and nothing is numbered twice. Index plans are pinned: a plan cached while `entries` was
# still empty would otherwise scan the growing table.
# A removed member's retry is answered too: what was accepted stays accepted (P3), and an ack tells nothing new.
# status: 0 new, 1 repeated, 2 the client id was used for another body, 3 not a member, 4 read only, 5 not an attachment of this sender,
# 6 may only read, 7 no such target, 8 may not act for this person here.
APPEND = """
CREATE FUNCTION append_entries(p_conversation uuid[], p_sender uuid[], p_client_msg_id text[], p_type text[], p_target bigint[],
                               p_body bytea[], p_digest bytea[], p_key uuid[], p_attachment uuid[], p_on_behalf_of uuid[])
RETURNS TABLE (ord bigint, status int, seq bigint, created_at timestamptz, members_version bigint, recalled boolean)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off SET lock_timeout = '1s' AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz;
  v_acting text[] := '{}';
BEGIN
  PERFORM 1 FROM conversations WHERE id = ANY (p_conversation) ORDER BY id FOR NO KEY UPDATE;
  v_now := clock_timestamp();
  IF num_nonnulls(VARIADIC p_on_behalf_of) > 0 THEN
    SELECT coalesce(array_agg(concat_ws(' ', m.conversation, r.actor_id, r.person_id)), '{}') INTO v_acting
    FROM user_relations r JOIN members m ON m.user_id = r.person_id AND m.conversation = ANY (p_conversation) AND m.to_seq IS NULL
    WHERE r.actor_id = ANY (p_sender) AND r.person_id = ANY (p_on_behalf_of) AND r.state = 'active'
      AND (r.expires_at IS NULL OR r.expires_at > v_now);
  END IF;
  RETURN QUERY
  WITH input AS MATERIALIZED (
    SELECT t.*, min(t.ord) OVER (PARTITION BY t.conversation, t.sender, t.client_msg_id) AS first_ord,
      min(t.ord) OVER (PARTITION BY t.conversation, t.sender, t.attachment) AS first_use
    FROM unnest(p_conversation, p_sender, p_client_msg_id, p_type, p_target, p_body, p_digest, p_key, p_attachment, p_on_behalf_of)
      WITH ORDINALITY AS t(conversation, sender, client_msg_id, type, target, body, digest, key, attachment, on_behalf_of, ord)
  ), judged AS MATERIALIZED (
    SELECT i.*, c.head, c.members_version, old.seq AS old_seq, old.created_at AS old_at, old.recalled_by IS NOT NULL AS was_recalled,
      CASE WHEN old.seq IS NULL THEN i.digest ELSE old.body_digest END AS first_digest,
      CASE WHEN old.seq IS NULL THEN i.type ELSE old.type END AS first_type,
      CASE WHEN old.seq IS NULL THEN i.target ELSE old.target END AS first_target,
      CASE
        WHEN c.id IS NULL THEN 3
        WHEN i.sender <> '00000000-0000-0000-0000-000000000000' AND m.user_id IS NULL THEN 3
        WHEN old.seq IS NOT NULL THEN
          CASE WHEN (old.body_digest, old.type, old.target) IS NOT DISTINCT FROM (i.digest, i.type, i.target) THEN 1 ELSE 2 END
        WHEN m.to_seq IS NOT NULL THEN 3
        WHEN i.sender <> '00000000-0000-0000-0000-000000000000' AND c.state <> 'open' THEN 4
        WHEN m.role = 'reader' THEN 6
        WHEN i.on_behalf_of IS NOT NULL
          AND concat_ws(' ', i.conversation, i.sender, i.on_behalf_of) <> ALL (v_acting) THEN 8
        WHEN i.target < m.from_seq OR i.target > c.head THEN 7
        WHEN i.attachment IS NOT NULL AND i.ord > i.first_use THEN 5
        WHEN i.attachment IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM attachments a
          WHERE a.id = i.attachment AND a.owner = i.sender AND a.conversation = i.conversation AND a.kind = i.type
            AND a.seq IS NULL) THEN 5
        ELSE 0 END AS status
    FROM input i
    LEFT JOIN conversations c ON c.id = i.conversation
    LEFT JOIN members m ON m.conversation = i.conversation AND m.user_id = i.sender
    LEFT JOIN LATERAL (
      SELECT e.seq, e.created_at, e.body_digest, e.type, e.target, e.recalled_by FROM entries e
      WHERE e.conversation = i.conversation AND e.sender = i.sender AND e.client_msg_id = i.client_msg_id LIMIT 1) old ON true
    WHERE i.ord = i.first_ord
  ), numbered AS MATERIALIZED (
    SELECT j.*, j.head + count(*) FILTER (WHERE j.status = 0) OVER (PARTITION BY j.conversation ORDER BY j.ord) AS new_seq
    FROM judged j
  ), inserted AS (
    INSERT INTO entries (conversation, seq, sender, on_behalf_of, type, target, body, body_digest, key_id, client_msg_id, created_at)
    SELECT n.conversation, n.new_seq, n.sender, n.on_behalf_of, n.type, n.target, n.body, n.digest, n.key, n.client_msg_id, v_now
    FROM numbered n WHERE n.status = 0 ORDER BY n.conversation, n.new_seq
  ), moved AS (
    UPDATE conversations c SET head = f.max_seq, updated_at = v_now
    FROM (SELECT n.conversation, max(n.new_seq) AS max_seq FROM numbered n WHERE n.status = 0 GROUP BY n.conversation) f
    WHERE c.id = f.conversation
  ), attached AS (
    UPDATE attachments a SET seq = n.new_seq FROM numbered n WHERE n.status = 0 AND a.id = n.attachment AND a.seq IS NULL
  )
  SELECT i.ord,
         CASE WHEN i.ord = n.ord OR n.status > 2 THEN n.status
              WHEN (n.first_digest, n.first_type, n.first_target) IS NOT DISTINCT FROM (i.digest, i.type, i.target) THEN 1 ELSE 2 END,
         CASE n.status WHEN 0 THEN n.new_seq ELSE n.old_seq END,
         CASE n.status WHEN 0 THEN v_now ELSE n.old_at END,
         n.members_version, n.was_recalled
  FROM input i JOIN numbered n ON n.ord = i.first_ord ORDER BY i.ord;
END $$
"""


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    op.execute(APPEND)


def downgrade() -> None:
    op.execute("DROP FUNCTION append_entries")
    for table in ("attachments", "entries", "members", "conversations"):
        op.execute(f"DROP TABLE {table}")
