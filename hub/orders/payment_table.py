"""The tables of payments, as `migrations/versions/a0007_orders.py` makes them."""

import sqlalchemy as sa

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_Time = sa.DateTime(timezone=True)
_Money = sa.Numeric(12, 2)

payments = sa.Table(
    "payments",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("order_id", _Id),
    sa.Column("number", sa.Text),
    sa.Column("method", sa.Text),
    sa.Column("amount", _Money),
    sa.Column("state", sa.Text),
    sa.Column("payer", sa.Text),
    sa.Column("prepay_id", sa.Text),
    sa.Column("transaction_id", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("due_at", _Time),
    sa.Column("created_at", _Time),
    sa.Column("succeeded_at", _Time),
    sa.Column("updated_at", _Time),
)
refunds = sa.Table(
    "refunds",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("order_id", _Id),
    sa.Column("payment_id", _Id),
    sa.Column("number", sa.Text),
    sa.Column("amount", _Money),
    sa.Column("reason", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("provider_id", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("due_at", _Time),
    sa.Column("created_at", _Time),
    sa.Column("succeeded_at", _Time),
    sa.Column("updated_at", _Time),
)
