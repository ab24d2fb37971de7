"""The tables of health data, as `migrations/versions/a0006_care.py` makes them."""

import sqlalchemy as sa

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)

user_health_profiles = sa.Table(
    "user_health_profiles",
    _tables,
    sa.Column("user_id", _Id, primary_key=True),
    sa.Column("body", sa.LargeBinary),
    sa.Column("tags", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("updated_by", _Id),
    sa.Column("updated_at", _Time),
)
health_data_records = sa.Table(
    "health_data_records",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.LargeBinary),
    sa.Column("unit", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("recorded_at", _Time, primary_key=True),
    sa.Column("notes", sa.LargeBinary),
    sa.Column("metadata", sa.LargeBinary),
    sa.Column("key_id", _Id),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("actor_id", _Id),
    sa.Column("created_at", _Time),
)
