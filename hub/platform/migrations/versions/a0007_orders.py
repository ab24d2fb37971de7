"""Services, orders and their appointments, payments, refunds, reviews."""

from alembic import op

revision = "a0007"
down_revision = "a0006"

STATEMENTS = (
    # For the constraint on bookings: equality beside overlap in one GiST index. A trusted extension since PostgreSQL 13.
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """CREATE TABLE services (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        category text NOT NULL,
        description text NOT NULL DEFAULT '',
        price numeric(10, 2) NOT NULL CHECK (price >= 0),
        duration_minutes int NOT NULL CHECK (duration_minutes BETWEEN 5 AND 1440),
        city text NOT NULL DEFAULT '',
        department_id uuid REFERENCES departments (id),
        is_active boolean NOT NULL DEFAULT true,
        sort_order int NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE TABLE service_providers (
        service_id uuid NOT NULL REFERENCES services (id) ON DELETE CASCADE,
        provider uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        PRIMARY KEY (service_id, provider))""",
    "COMMENT ON TABLE service_providers IS 'who can do it: doctors or companions, by account'",
    "CREATE INDEX service_providers_provider ON service_providers (provider)",
    "CREATE SEQUENCE order_numbers",
    """CREATE TABLE orders (
        id uuid PRIMARY KEY,
        order_no text NOT NULL UNIQUE,
        user_id uuid NOT NULL REFERENCES users (id),
        actor_id uuid NOT NULL,
        service_id uuid NOT NULL REFERENCES services (id),
        provider uuid REFERENCES users (id),
        coordinator uuid REFERENCES users (id),
        quantity int NOT NULL CHECK (quantity BETWEEN 1 AND 99),
        amount numeric(12, 2) NOT NULL CHECK (amount >= 0),
        state text NOT NULL DEFAULT 'pending'
          CHECK (state IN ('pending', 'paid', 'confirmed', 'in_progress', 'completed', 'cancelled', 'refunded')),
        details bytea NOT NULL,
        reason bytea,
        key_id uuid NOT NULL,
        client_key text,
        client_digest bytea,
        conversation uuid,
        expires_at timestamptz NOT NULL,
        paid_at timestamptz,
        confirmed_at timestamptz,
        started_at timestamptz,
        completed_at timestamptz,
        cancelled_at timestamptz,
        refunded_at timestamptz,
        closes_at timestamptz,
        closed_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN orders.user_id IS 'the person whom it is for; actor_id ordered'",
    "COMMENT ON COLUMN orders.coordinator IS 'the staff member who looks after it; chosen when it is paid'",
    "COMMENT ON COLUMN orders.details IS 'sealed: contact, and what the service needs to know'",
    "COMMENT ON COLUMN orders.reason IS 'sealed: why it was cancelled or is to be refunded'",
    "COMMENT ON COLUMN orders.client_digest IS 'keyed: tells a repeated request from another under the same client_key'",
    "COMMENT ON COLUMN orders.closes_at IS 'when the conversation becomes read-only and access to health data ends'",
    "CREATE UNIQUE INDEX orders_client_key ON orders (actor_id, client_key) WHERE client_key IS NOT NULL",
    "CREATE INDEX orders_user ON orders (user_id, created_at)",
    "CREATE INDEX orders_provider ON orders (provider, created_at)",
    "CREATE INDEX orders_coordinator ON orders (coordinator, created_at)",
    # For who has least to do; kept small, because it is counted for every payment.
    "CREATE INDEX orders_looked_after ON orders (coordinator) WHERE state IN ('paid', 'confirmed', 'in_progress')",
    "CREATE INDEX orders_created ON orders (created_at)",
    "CREATE INDEX orders_unpaid ON orders (expires_at) WHERE state = 'pending'",
    "CREATE INDEX orders_closing ON orders (closes_at) WHERE closes_at IS NOT NULL AND closed_at IS NULL",
    """CREATE TABLE appointments (
        id uuid PRIMARY KEY,
        order_id uuid NOT NULL UNIQUE REFERENCES orders (id),
        user_id uuid NOT NULL REFERENCES users (id),
        staff_id uuid NOT NULL REFERENCES users (id),
        doctor_id uuid REFERENCES doctors (id),
        hospital_id uuid REFERENCES hospitals (id),
        state text NOT NULL DEFAULT 'pending' CHECK (state IN
          ('pending', 'scheduled', 'confirmed', 'in_progress', 'completed', 'cancelled', 'no_show')),
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        location bytea,
        notes bytea,
        key_id uuid NOT NULL,
        revision int NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN appointments.staff_id IS 'who does it: a doctor or a companion'",
    "COMMENT ON COLUMN appointments.revision IS 'counts moves, so that what was due for the old time is known as old'",
    "CREATE INDEX appointments_user ON appointments (user_id, starts_at)",
    "CREATE INDEX appointments_staff ON appointments (staff_id, starts_at)",
    # A slot is never sold twice: whatever the code does, no two of one place overlap.
    """CREATE TABLE bookings (
        appointment_id uuid NOT NULL REFERENCES appointments (id),
        provider uuid NOT NULL,
        place smallint NOT NULL,
        starts_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        released_at timestamptz,
        EXCLUDE USING gist (provider WITH =, place WITH =, tstzrange(starts_at, ends_at) WITH &&)
          WHERE (released_at IS NULL))""",
    "CREATE UNIQUE INDEX bookings_held ON bookings (appointment_id) WHERE released_at IS NULL",
    "CREATE INDEX bookings_provider ON bookings (provider, starts_at) WHERE released_at IS NULL",
    """CREATE TABLE payments (
        id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES orders (id),
        number text NOT NULL UNIQUE,
        method text NOT NULL CHECK (method IN ('wechat', 'wechat_native')),
        amount numeric(12, 2) NOT NULL CHECK (amount > 0),
        state text NOT NULL CHECK (state IN ('created', 'pending', 'succeeded', 'closed')),
        payer text,
        prepay_id text,
        transaction_id text UNIQUE,
        attempts int NOT NULL DEFAULT 0,
        due_at timestamptz,
        created_at timestamptz NOT NULL,
        succeeded_at timestamptz,
        updated_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN payments.number IS 'out_trade_no: what the provider knows it by'",
    "COMMENT ON COLUMN payments.payer IS 'the openid of who pays in the mini-program'",
    "COMMENT ON COLUMN payments.prepay_id IS 'what the provider answered: a prepay id, or the address in a QR code'",
    "COMMENT ON COLUMN payments.due_at IS 'when to ask the provider again; null when nothing is open'",
    "CREATE INDEX payments_order ON payments (order_id)",
    # Whatever the code does, nobody is asked to pay an order in two ways at once.
    "CREATE UNIQUE INDEX payments_open ON payments (order_id) WHERE state IN ('created', 'pending')",
    "CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL",
    """CREATE TABLE refunds (
        id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES orders (id),
        payment_id uuid NOT NULL UNIQUE REFERENCES payments (id),
        number text NOT NULL UNIQUE,
        amount numeric(12, 2) NOT NULL,
        reason text NOT NULL DEFAULT '',
        state text NOT NULL CHECK (state IN ('pending', 'processing', 'succeeded', 'failed')),
        provider_id text,
        error text,
        attempts int NOT NULL DEFAULT 0,
        due_at timestamptz,
        created_at timestamptz NOT NULL,
        succeeded_at timestamptz,
        updated_at timestamptz NOT NULL)""",
    "COMMENT ON COLUMN refunds.reason IS 'one of our own sentences or codes, never what a person wrote'",
    "COMMENT ON COLUMN refunds.error IS 'the word of the provider for why not'",
    "CREATE INDEX refunds_order ON refunds (order_id)",
    "CREATE INDEX refunds_due ON refunds (due_at) WHERE due_at IS NOT NULL",
    """CREATE TABLE reviews (
        id uuid PRIMARY KEY,
        order_id uuid NOT NULL UNIQUE REFERENCES orders (id),
        service_id uuid NOT NULL REFERENCES services (id),
        user_id uuid NOT NULL REFERENCES users (id),
        rating smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
        content text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL)""",
    # The rating is in the index, so that the average of a service reads no rows.
    "CREATE INDEX reviews_service ON reviews (service_id, created_at) INCLUDE (rating)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in (
        "reviews",
        "refunds",
        "payments",
        "bookings",
        "appointments",
        "orders",
        "service_providers",
        "services",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE order_numbers")
