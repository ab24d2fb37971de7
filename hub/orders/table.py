"""The tables of orders, as the migrations `a0007_orders.py` and `a0015_reminders.py` make them; those of payments are elsewhere."""

import sqlalchemy as sa

from hub.orders.model import Appointment, Order

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)


services = sa.Table(
    "services",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("category", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("duration_minutes", sa.Integer),
    sa.Column("city", sa.Text),
    sa.Column("department_id", _Id),
    sa.Column("is_active", sa.Boolean),
    sa.Column("sort_order", sa.Integer),
    sa.Column("reminder_minutes", sa.ARRAY(sa.Integer)),
    sa.Column("created_at", _Time),
    sa.Column("updated_at", _Time),
)
service_providers = sa.Table(
    "service_providers",
    _tables,
    sa.Column("service_id", _Id, primary_key=True),
    sa.Column("provider", _Id, primary_key=True),
)
orders = sa.Table(
    "orders",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("order_no", sa.Text),
    sa.Column("user_id", _Id),
    sa.Column("actor_id", _Id),
    sa.Column("service_id", _Id),
    sa.Column("provider", _Id),
    sa.Column("coordinator", _Id),
    sa.Column("quantity", sa.Integer),
    sa.Column("amount", sa.Numeric(12, 2)),
    sa.Column("state", sa.Text),
    sa.Column("details", sa.LargeBinary),
    sa.Column("reason", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("client_key", sa.Text),
    sa.Column("client_digest", sa.LargeBinary),
    sa.Column("conversation", _Id),
    *(
        sa.Column(name, _Time)
        for name in (
            "expires_at",
            "paid_at",
            "confirmed_at",
            "started_at",
            "completed_at",
            "cancelled_at",
            "refunded_at",
            "closes_at",
            "closed_at",
            "created_at",
            "updated_at",
        )
    ),
)
appointments = sa.Table(
    "appointments",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("order_id", _Id),
    sa.Column("user_id", _Id),
    sa.Column("staff_id", _Id),
    sa.Column("doctor_id", _Id),
    sa.Column("hospital_id", _Id),
    sa.Column("state", sa.Text),
    sa.Column("starts_at", _Time),
    sa.Column("ends_at", _Time),
    sa.Column("location", sa.LargeBinary),
    sa.Column("notes", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("revision", sa.Integer),
    sa.Column("reminder_minutes", sa.ARRAY(sa.Integer)),
    sa.Column("attendance", sa.Text),
    sa.Column("attendance_at", _Time),
    sa.Column("attendance_by", _Id),
    sa.Column("attendance_answers", sa.SmallInteger),
    sa.Column("created_at", _Time),
    sa.Column("updated_at", _Time),
)
bookings = sa.Table(
    "bookings",
    _tables,
    sa.Column("appointment_id", _Id),
    sa.Column("provider", _Id),
    sa.Column("place", sa.SmallInteger),
    sa.Column("starts_at", _Time),
    sa.Column("ends_at", _Time),
    sa.Column("released_at", _Time),
)
reviews = sa.Table(
    "reviews",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("order_id", _Id),
    sa.Column("service_id", _Id),
    sa.Column("user_id", _Id),
    sa.Column("rating", sa.SmallInteger),
    sa.Column("content", sa.Text),
    sa.Column("created_at", _Time),
)

ORDER = tuple(orders.c[name] for name in Order.__struct_fields__)
APPOINTMENT = tuple(appointments.c[name] for name in Appointment.__struct_fields__)
