"""Alembic's way in: it is given the store's own connection."""

from __future__ import annotations

from alembic import context

from penstock.stores.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
