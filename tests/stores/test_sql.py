"""The SQL store: the contract, and what a process leaves to the next one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.conversations.store import Growth, Place, Store
from penstock.exceptions import ConfigError, StorageFailed
from penstock.stores.sql import SqlStore, engine_for
from tests.contracts.store import StoreContract, answer, question, talk

pytestmark = pytest.mark.anyio


def at(path: Path) -> SqlStore:
    return SqlStore(engine_for(f"sqlite:///{path}"))


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = at(tmp_path / "kept.db")
    await store.start()
    yield store
    await store.close()


class TestFile(StoreContract):
    """SQLite in a file."""

    @pytest.fixture
    async def store(self, file: SqlStore) -> Store:
        return file


class TestMemory(StoreContract):
    """SQLite in memory."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = SqlStore(engine_for("sqlite://"))
        await store.start()
        yield store
        await store.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_that_is_gone_is_told_of(tmp_path: Path, how: str) -> None:
    """Fault: somebody cleans up. SQLite goes on writing where nobody looks, and a restart would find nothing."""
    store = at(tmp_path / "kept.db")
    await store.start()
    await store.add("t", talk(), question("q"))
    (tmp_path / "kept.db").unlink()
    if how == "replaced":
        (tmp_path / "kept.db").write_bytes(b"")
    with pytest.raises(StorageFailed, match="removed or replaced"):
        await store.add("t", talk(), answer("a", "q"))
    await store.close()


async def test_a_database_of_a_newer_version_is_told_of(tmp_path: Path) -> None:
    store = at(tmp_path / "kept.db")
    await store.start()
    await store.close()
    with sqlite3.connect(tmp_path / "kept.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    store = at(tmp_path / "kept.db")
    with pytest.raises(StorageFailed, match="newer version of penstock"):
        await store.start()
    await store.close()


async def test_what_was_running_when_the_process_died_is_interrupted(tmp_path: Path) -> None:
    first = at(tmp_path / "kept.db")
    assert await first.start() == 0
    await first.add("t", talk(), question("q"))
    await first.add("t", talk(), answer("a", "q"))
    await first.grow([Growth(Place("t", "talk-one", "a"), "so far", "")])
    await first.close()
    second = at(tmp_path / "kept.db")
    assert await second.start() == 1
    kept = (await second.messages("t", "talk-one"))[1]
    assert (kept.text, kept.state, kept.outcome, kept.stream) == ("so far", "ended", "interrupted", None)
    assert kept.error is not None
    assert kept.error.retryable
    assert await second.start() == 0
    await second.close()


async def test_one_process_at_a_time(file: SqlStore, tmp_path: Path) -> None:
    other = at(tmp_path / "kept.db")
    with pytest.raises(StorageFailed, match="in use by another process"):
        await other.start()
    await other.close()
    await file.close()
    await other.start()
    await other.close()


async def test_a_folder_is_made_and_a_bad_one_is_told(tmp_path: Path) -> None:
    store = at(tmp_path / "new" / "folder" / "kept.db")
    await store.start()
    await store.close()
    (tmp_path / "no-folder").write_text("a file")
    with pytest.raises(StorageFailed, match="no-folder"):
        await at(tmp_path / "no-folder" / "kept.db").start()


async def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("just words, and many of them, so that it can't be taken for an empty file" * 99)
    store = at(tmp_path / "kept.db")
    with pytest.raises(StorageFailed, match="not a database"):
        await store.start()
    await store.close()


async def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """Fault: disk full. What can't be written is 503 `storage_unavailable`; what is there can still be read."""
    store = SqlStore(engine_for("sqlite://"))
    await store.start()
    await store.add("t", talk(), question("q"))
    async with store._engine.begin() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFailed, match="full") as raised:
        await store.add("t", talk(), question("q2", "x" * 100_000))
    assert (raised.value.status, raised.value.code) == (503, "storage_unavailable")
    assert [message.id for message in await store.messages("t", "talk-one")] == ["q"]
    await store.close()


async def test_writers_at_the_same_time(file: SqlStore) -> None:
    await file.add("t", talk(), question("q"))
    await asyncio.gather(*(file.grow([Growth(Place("t", "talk-one", "q"), "x", "")]) for _ in range(30)))
    (message,) = await file.messages("t", "talk-one")
    assert message.text == "why?" + "x" * 30


async def test_it_is_an_ordinary_sqlite_file(file: SqlStore, tmp_path: Path) -> None:
    await file.add("t", talk(), question("q"))
    with sqlite3.connect(tmp_path / "kept.db") as connection:
        assert connection.execute("SELECT title FROM conversations").fetchall() == [("Rivers",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "penstock.db", "", "sqlite"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.database"):
        engine_for(url)
