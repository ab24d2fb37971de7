"""Webhooks of notices: what happened to notices as a feed, who is told of it, and the log of the telling."""

from alembic import op

revision = "a0011"
down_revision = "a0010"

# Table → what an event of one of its rows says.
_SAID = {
    "notices": "{row}.id, NULL::uuid, '', {row}.state, {row}.reason",
    "notice_attempts": "{row}.notice, {row}.id, {row}.channel, {row}.state, {row}.code",
}

STATEMENTS = (
    """CREATE TABLE notice_webhooks (
        id uuid PRIMARY KEY,
        url text NOT NULL,
        secret bytea NOT NULL,
        classes text[],
        enabled boolean NOT NULL DEFAULT true,
        disabled_why text NOT NULL DEFAULT '' CHECK (disabled_why IN ('', 'staff', 'failing', 'gone', 'behind')),
        cursor bigint NOT NULL,
        next_at timestamptz NOT NULL,
        lease uuid,
        failures int NOT NULL DEFAULT 0,
        failing_since timestamptz,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN notice_webhooks.secret IS 'sealed with the data key whose subject is the webhook'",
    "COMMENT ON COLUMN notice_webhooks.classes IS 'only notices of these; null: of all but those that must be named'",
    "COMMENT ON COLUMN notice_webhooks.cursor IS 'the position up to which it has been told'",
    "COMMENT ON COLUMN notice_webhooks.next_at IS 'when it is posted to at the earliest; while a worker does, when its lease ends'",
    """CREATE TABLE notice_webhook_deliveries (
        id uuid PRIMARY KEY,
        webhook uuid NOT NULL REFERENCES notice_webhooks (id) ON DELETE CASCADE,
        ping boolean NOT NULL DEFAULT false,
        from_number bigint,
        upto_number bigint,
        events int NOT NULL,
        body bytea,
        status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'dropped')),
        tries int NOT NULL DEFAULT 0,
        http_status int,
        error text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL,
        at timestamptz NOT NULL,
        took_ms int)""",
    "COMMENT ON COLUMN notice_webhook_deliveries.body IS 'kept while it is pending, so that a retry is the same bytes'",
    "COMMENT ON COLUMN notice_webhook_deliveries.at IS 'of the newest try'",
    "CREATE INDEX notice_webhook_deliveries_webhook ON notice_webhook_deliveries (webhook, id)",
    """CREATE UNIQUE INDEX notice_webhook_deliveries_pending ON notice_webhook_deliveries (webhook, ping)
        WHERE status = 'pending'""",
    # Numbers are given before the commit, so a late one may be below what was read. Positions are given to what is
    # committed, by one at a time: who has read up to one has everything before it. See hub/webhooks/feed.py.
    """CREATE TABLE notice_events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        position bigint,
        notice uuid NOT NULL,
        attempt uuid,
        channel text NOT NULL,
        state text NOT NULL,
        code text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX notice_events_fresh ON notice_events (number) WHERE position IS NULL",
    "CREATE UNIQUE INDEX notice_events_position ON notice_events (position) WHERE position IS NOT NULL",
    """CREATE TABLE notice_event_head (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        upto bigint NOT NULL)""",
    "COMMENT ON TABLE notice_event_head IS 'one row: the newest position; its lock is the right to give positions'",
    "INSERT INTO notice_event_head (upto) VALUES (0)",
)


def _triggers(table: str, said: str) -> tuple[str, ...]:
    """Nothing is written while nobody listens, and updates that leave the state alone cost nothing at all."""
    write = "INSERT INTO notice_events (notice, attempt, channel, state, code) SELECT "
    function = """CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM notice_webhooks WHERE enabled) THEN {write}; END IF; RETURN NULL; END $$"""
    return (
        function.format(name=f"{table}_made", write=f"{write}{said.format(row='made')} FROM made"),
        function.format(name=f"{table}_changed", write=f"{write}{said.format(row='new')}"),
        f"""CREATE TRIGGER webhook_made AFTER INSERT ON {table} REFERENCING NEW TABLE AS made
            FOR EACH STATEMENT EXECUTE FUNCTION {table}_made()""",
        # Not for each statement: there are no transition tables for `UPDATE OF`, and joining the old rows to the new ones
        # took 8 s for 5,000, with the plan that was kept from a statement about one.
        f"""CREATE TRIGGER webhook_changed AFTER UPDATE OF state ON {table}
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION {table}_changed()""",
    )


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table, said in _SAID.items():
        for statement in _triggers(table, said):
            op.execute(statement)


def downgrade() -> None:
    for table in _SAID:
        for what in ("made", "changed"):
            op.execute(f"DROP TRIGGER webhook_{what} ON {table}")
            op.execute(f"DROP FUNCTION {table}_{what}()")
    for table in ("notice_event_head", "notice_events", "notice_webhook_deliveries", "notice_webhooks"):
        op.execute(f"DROP TABLE {table}")
