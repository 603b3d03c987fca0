"""Models to converse with, storage that fails when it is told to, and what every test of conversations says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from penstock.conversations.conversations import Conversations
from penstock.conversations.records import Asked, Conversation, Message, Question
from penstock.conversations.store import Growth
from penstock.dialects.base import Request
from penstock.exceptions import Refused, StorageFailed
from penstock.gateway import Tenant
from penstock.stores.sql import SqlStore
from penstock.wire.events import Event

A, B = Tenant("a"), Tenant("b")
asked_of_models: list[list[tuple[str, str]]] = []


async def words(request: Request) -> AsyncIterator[str | Event]:
    asked_of_models.append([(message.role, message.text) for message in request.messages])
    for word in request.messages[-1].text.split():
        yield f"{word} "
        await asyncio.sleep(0)


async def forever(request: Request) -> AsyncIterator[str | Event]:
    while True:
        yield "on "
        await asyncio.sleep(0.002)


async def silent(request: Request) -> AsyncIterator[str | Event]:
    await asyncio.sleep(3600)
    yield ""


async def broken(request: Request) -> AsyncIterator[str | Event]:
    raise ValueError("inside")
    yield ""


class Failing(SqlStore):
    """Fails when it is told to."""

    full = False

    async def grow(self, growths: Sequence[Growth]) -> None:
        if self.full:
            raise StorageFailed("full")
        await super().grow(growths)

    async def add(self, tenant: str, conversation: Conversation, *new: Message) -> None:
        if self.full:
            raise StorageFailed("full")
        await super().add(tenant, conversation, *new)


def asking(number: int, text: str | None = "to the sea", parent: str | None = None, model: str = "m") -> Asked:
    message = None if text is None else Question(f"question-{number}", text)
    return Asked(id=f"answer-{number}", model=model, parent=parent, message=message)


async def ended(talks: Conversations, id: str = "talk-one", tenant: Tenant = A) -> list[Message]:
    """The messages, once all answers have ended."""
    while True:
        messages = await talks.messages(tenant, id)
        if all(message.state == "ended" for message in messages):
            return messages
        await asyncio.sleep(0.005)


async def refused(attempt: object) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        await attempt  # type: ignore[misc]
    return raised.value.status, raised.value.code
