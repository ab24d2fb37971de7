"""The tables of accounts, as `migrations/versions/a0001_accounts.py` makes them."""

import sqlalchemy as sa

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)

users = sa.Table(
    "users",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("phone", sa.Text),
    sa.Column("wechat_openid", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("avatar", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("membership_level", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("created_at", _Time),
    sa.Column("updated_at", _Time),
)
sms_codes = sa.Table(
    "sms_codes",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("phone", sa.Text),
    sa.Column("scene", sa.Text),
    sa.Column("code_hash", sa.LargeBinary),
    sa.Column("address", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("created_at", _Time),
    sa.Column("expires_at", _Time),
    sa.Column("consumed_at", _Time),
)
sessions = sa.Table(
    "sessions",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("user_id", _Id),
    sa.Column("device", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("created_at", _Time),
    sa.Column("last_seen_at", _Time),
    sa.Column("expires_at", _Time),
    sa.Column("revoked_at", _Time),
    sa.Column("revoked_why", sa.Text),
)
refresh_tokens = sa.Table(
    "refresh_tokens",
    _tables,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("session_id", _Id),
    sa.Column("issued_at", _Time),
    sa.Column("expires_at", _Time),
    sa.Column("used_at", _Time),
)
socket_tickets = sa.Table(
    "socket_tickets",
    _tables,
    sa.Column("ticket_hash", sa.LargeBinary, primary_key=True),
    sa.Column("session_id", _Id),
    sa.Column("expires_at", _Time),
)
