"""The tables of the directory, as `migrations/versions/a0005_directory.py` makes them, and what it reads of accounts."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_At = sa.DateTime(timezone=True)


def _marks() -> tuple[sa.Column[bool], sa.Column[object], sa.Column[object]]:
    return sa.Column("is_active", sa.Boolean), sa.Column("created_at", _At), sa.Column("updated_at", _At)


hospitals = sa.Table(
    "hospitals",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("code", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("city", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("level", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("introduction", sa.Text),
    *_marks(),
)
departments = sa.Table(
    "departments",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("hospital_id", _Id),
    sa.Column("name", sa.Text),
    sa.Column("category", sa.Text),
    sa.Column("location", sa.Text),
    sa.Column("introduction", sa.Text),
    sa.Column("sort_order", sa.Integer),
    *_marks(),
)
doctors = sa.Table(
    "doctors",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("department_id", _Id),
    sa.Column("name", sa.Text),
    sa.Column("title", sa.Text),
    sa.Column("specialties", ARRAY(sa.Text)),
    sa.Column("introduction", sa.Text),
    sa.Column("fee", sa.Numeric(10, 2)),
    sa.Column("sort_order", sa.Integer),
    *_marks(),
)
doctor_schedules = sa.Table(
    "doctor_schedules",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("provider", _Id),
    sa.Column("weekday", sa.SmallInteger),
    sa.Column("starts", sa.Time),
    sa.Column("ends", sa.Time),
    sa.Column("slot_minutes", sa.Integer),
    sa.Column("capacity", sa.Integer),
    sa.Column("valid_from", sa.Date),
    sa.Column("valid_until", sa.Date),
)
schedule_exceptions = sa.Table(
    "schedule_exceptions",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("provider", _Id),
    sa.Column("day", sa.Date),
    sa.Column("kind", sa.Text),
    sa.Column("starts", sa.Time),
    sa.Column("ends", sa.Time),
    sa.Column("slot_minutes", sa.Integer),
    sa.Column("capacity", sa.Integer),
    sa.Column("reason", sa.Text),
)
# Owned by accounts; read and locked here, never written.
users = sa.Table(
    "users", sa.MetaData(), sa.Column("id", _Id), sa.Column("phone", sa.Text), sa.Column("role", sa.Text), sa.Column("status", sa.Text)
)  # fmt: skip
