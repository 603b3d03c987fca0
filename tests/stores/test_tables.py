"""Tables: what the migrations make is what the code works with."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from penstock.stores.sql import SqlStore, engine_for
from penstock.stores.tables import VERSION, metadata

pytestmark = pytest.mark.anyio


async def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    store = SqlStore(engine_for(f"sqlite:///{tmp_path / 'kept.db'}"))
    await store.start()
    await store.close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'kept.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == VERSION
    engine.dispose()
