"""Conversations in SQL: SQLite (by default, in a file or in memory) or PostgreSQL.

SQLite runs in WAL mode with `synchronous=NORMAL`: what was written survives the process, and a crash of the machine may
cost the last moment. Nothing here is on the way of a token: answers come in groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from penstock.conversations.records import Call, Conversation, Failure, Message, Pace
from penstock.conversations.store import Growth, Place
from penstock.exceptions import ConfigError, StorageFailed
from penstock.stores.tables import VERSION, conversations, messages, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_SECONDS = 10.0


def engine_for(url: str) -> AsyncEngine:
    """The engine of `storage.database`. Raises ConfigError for what is no such address."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in DRIVERS:
        raise ConfigError(f"storage.database: {scheme or url}:// is neither sqlite:// nor postgresql://")
    try:
        if scheme == "sqlite":
            options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
            if rest in ("", "/", "/:memory:"):
                options["poolclass"] = StaticPool  # one connection, for each would have a database of its own
            engine = create_async_engine(f"{DRIVERS[scheme]}://{rest}", **options)
            event.listen(engine.sync_engine, "connect", _set_up_sqlite)
            return engine
        return create_async_engine(f"{DRIVERS[scheme]}://{rest}", pool_pre_ping=True)
    except (SQLAlchemyError, ValueError) as error:
        raise ConfigError(f"storage.database: {' '.join(str(error).split())}") from None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"storage.database: {error.name} is not installed: pip install penstock[postgresql]"
        ) from None


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class SqlStore:
    """A `Store`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock: int | None = None
        self._file: tuple[int, int] | None = None
        self._writing = asyncio.Lock()
        """One writer at a time: what is read before a write still holds when it is written."""

    async def start(self) -> int:
        self._own()
        async with self._begin() as connection:
            await connection.run_sync(_upgrade)
            self._file = self._there()
            error = msgspec.json.encode(
                Failure("interrupted", "the server stopped while this was being answered", True)
            )
            done = await connection.execute(
                messages.update()
                .where(messages.c.state == "streaming")
                .values(state="ended", outcome="interrupted", error=error.decode(), stream=None)
            )
            return int(done.rowcount)

    def _own(self) -> None:
        """One process at a time: what runs elsewhere is not to be taken for interrupted."""
        database = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not database or database == ":memory:" or self._lock is not None:
            return
        try:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFailed(f"{database}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StorageFailed(
                f"{database} is in use by another process: end that one, or name another file"
            ) from None
        self._lock = lock

    async def close(self) -> None:
        await self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def recent(self, tenant: str, search: str, before: float | None, limit: int) -> list[Conversation]:
        query = conversations.select().where(conversations.c.tenant == tenant)
        if before is not None:
            query = query.where(conversations.c.updated < before)
        for word in search.split():
            said = sa.select(messages.c.conversation).where(
                messages.c.tenant == tenant, messages.c.text.icontains(word, autoescape=True)
            )
            query = query.where(conversations.c.title.icontains(word, autoescape=True) | conversations.c.id.in_(said))
        query = query.order_by(conversations.c.updated.desc(), conversations.c.id).limit(limit)
        async with self._begin() as connection:
            return [_conversation(row) for row in await connection.execute(query)]

    async def find(self, tenant: str, conversation: str) -> Conversation | None:
        async with self._begin() as connection:
            row = (await connection.execute(conversations.select().where(*_is(tenant, conversation)))).first()
        return None if row is None else _conversation(row)

    async def messages(self, tenant: str, conversation: str) -> list[Message]:
        query = messages.select().where(*_in(tenant, conversation)).order_by(messages.c.number)
        async with self._begin() as connection:
            return [_message(row) for row in await connection.execute(query)]

    async def add(self, tenant: str, conversation: Conversation, *new: Message) -> None:
        async with self._write() as connection:
            there = (await connection.execute(conversations.select().where(*_is(tenant, conversation.id)))).first()
            if there is None:
                values = {**msgspec.structs.asdict(conversation), "tenant": tenant}
                await connection.execute(conversations.insert().values(values))
            ids = [message.id for message in new]
            known = sa.select(messages.c.id).where(*_in(tenant, conversation.id), messages.c.id.in_(ids))
            there_already = set((await connection.execute(known)).scalars())
            last = sa.select(sa.func.coalesce(sa.func.max(messages.c.number), 0)).where(*_in(tenant, conversation.id))
            number = (await connection.execute(last)).scalar_one()
            for message in new:
                if message.id in there_already:
                    continue
                number += 1
                row = {**_row(message), "tenant": tenant, "conversation": conversation.id, "number": number}
                await connection.execute(messages.insert().values(row))
                await connection.execute(
                    conversations.update()
                    .where(*_is(tenant, conversation.id))
                    .values(leaf=message.id, updated=message.created)
                )

    async def rename(self, tenant: str, conversation: str, title: str | None, leaf: str | None) -> Conversation | None:
        values = {name: value for name, value in (("title", title), ("leaf", leaf)) if value is not None}
        async with self._write() as connection:
            if values:
                await connection.execute(conversations.update().where(*_is(tenant, conversation)).values(values))
            row = (await connection.execute(conversations.select().where(*_is(tenant, conversation)))).first()
        return None if row is None else _conversation(row)

    async def delete(self, tenant: str, conversation: str) -> None:
        async with self._write() as connection:
            await connection.execute(messages.delete().where(*_in(tenant, conversation)))
            await connection.execute(conversations.delete().where(*_is(tenant, conversation)))

    async def grow(self, growths: Sequence[Growth]) -> None:
        if not growths:
            return
        statement = (
            messages.update()
            .where(
                messages.c.tenant == sa.bindparam("at_tenant"),
                messages.c.conversation == sa.bindparam("at_conversation"),
                messages.c.id == sa.bindparam("at_message"),
            )
            .values(
                text=messages.c.text + sa.bindparam("more_text"),
                reasoning=messages.c.reasoning + sa.bindparam("more_reasoning"),
            )
        )
        rows = [
            {
                "at_tenant": growth.place.tenant,
                "at_conversation": growth.place.conversation,
                "at_message": growth.place.message,
                "more_text": growth.text,
                "more_reasoning": growth.reasoning,
            }
            for growth in growths
        ]
        async with self._write() as connection:
            await connection.execute(statement, rows)

    async def end(self, place: Place, message: Message) -> None:
        async with self._write() as connection:
            await connection.execute(
                messages.update()
                .where(*_in(place.tenant, place.conversation), messages.c.id == place.message)
                .values(_row(message))
            )

    async def withdraw(self, place: Place) -> None:
        this = (*_in(place.tenant, place.conversation), messages.c.id == place.message)
        async with self._write() as connection:
            parent = (await connection.execute(sa.select(messages.c.parent).where(*this))).scalar()
            await connection.execute(messages.delete().where(*this))
            await connection.execute(
                conversations.update()
                .where(*_is(place.tenant, place.conversation), conversations.c.leaf == place.message)
                .values(leaf=parent)
            )

    def _there(self) -> tuple[int, int] | None:
        """Which file the database is, if it is one."""
        database = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not database or database == ":memory:":
            return None
        try:
            found = Path(database).stat()
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await self._writing.acquire()
        except TimeoutError:
            raise StorageFailed("the storage is busy") from None
        try:
            async with self._begin() as connection:
                yield connection
        finally:
            self._writing.release()

    @contextlib.asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        # SQLite would go on in a file that nobody finds any more, and all would be lost with the process.
        if self._file is not None and self._there() != self._file:
            raise StorageFailed(f"{self._engine.url.database} was removed or replaced while it was in use: start again")
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            told = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StorageFailed(f"the storage failed: {told}") from error


def _upgrade(connection: sa.Connection) -> None:
    there = sa.inspect(connection).has_table("alembic_version")
    version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if there else None
    if version == VERSION:
        return
    if not there and connection.engine.url.database in (None, "", ":memory:"):
        metadata.create_all(connection)  # nobody migrates what is gone with the process
        return
    # Only now: importing it takes longer than all the rest of a start.
    from alembic import command
    from alembic.config import Config as Alembic
    from alembic.script import ScriptDirectory

    config = Alembic()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise StorageFailed(f"the database was made by a newer version of penstock ({version})")
    command.upgrade(config, "head")


def _is(tenant: str, id: str) -> tuple[Any, ...]:
    return conversations.c.tenant == tenant, conversations.c.id == id


def _in(tenant: str, conversation: str) -> tuple[Any, ...]:
    return messages.c.tenant == tenant, messages.c.conversation == conversation


def _conversation(row: Any) -> Conversation:
    return Conversation(row.id, row.title, row.created, row.updated, row.leaf)


_JSON: dict[str, Any] = {"tool_calls": list[Call], "error": Failure, "usage": dict[str, Any], "timing": Pace}


def _message(row: Any) -> Message:
    values = {name: getattr(row, name) for name in Message.__struct_fields__ if name != "position"}
    for name, shape in _JSON.items():
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=shape)
    return Message(**values)


def _row(message: Message) -> dict[str, Any]:
    values = msgspec.structs.asdict(message)
    del values["position"]
    for name in _JSON:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return values
