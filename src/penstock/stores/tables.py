"""The tables, as the latest migration leaves them."""

from __future__ import annotations

import sqlalchemy as sa

VERSION = "0001"
"""The latest migration."""

metadata = sa.MetaData()

conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("updated", sa.Double, nullable=False),
    sa.Column("leaf", sa.String(64)),
    sa.Index("conversations_by_time", "tenant", "updated"),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("conversation", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # the order in which they came
    sa.Column("parent", sa.String(64)),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("reasoning", sa.Text, nullable=False),
    sa.Column("tool_calls", sa.Text, nullable=False),  # JSON, as are error, usage and timing
    sa.Column("stream", sa.String(64)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(32)),
    sa.Column("error", sa.Text),
    sa.Column("usage", sa.Text),
    sa.Column("timing", sa.Text),
    sa.ForeignKeyConstraint(
        ["tenant", "conversation"], ["conversations.tenant", "conversations.id"], ondelete="CASCADE"
    ),
    sa.Index("messages_by_state", "state"),
)
