"""The tables of the knowledge base, as `migrations/versions/a0008_content.py` makes them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

_tables = sa.MetaData()
_Id = sa.Uuid(as_uuid=False)
_At = sa.DateTime(timezone=True)

knowledge = sa.Table(
    "health_knowledge",
    _tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("title", sa.Text),
    sa.Column("summary", sa.Text),
    sa.Column("content", sa.Text),
    sa.Column("category", sa.Text),
    sa.Column("tags", ARRAY(sa.Text)),
    sa.Column("author", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("search", TSVECTOR),
    sa.Column("folded_title", sa.Text),
    sa.Column("folded_summary", sa.Text),
    sa.Column("folded_content", sa.Text),
    sa.Column("published_at", _At),
    sa.Column("created_by", _Id),
    sa.Column("created_at", _At),
    sa.Column("updated_at", _At),
)
