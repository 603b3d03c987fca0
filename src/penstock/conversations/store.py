"""Who keeps conversations. Every store passes the same contract tests (`tests/contracts/store.py`).

Everything is found by its tenant only: what is somebody else's does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from penstock.conversations.records import Conversation, Message


class Place(NamedTuple):
    """Where a message is."""

    tenant: str
    conversation: str
    message: str


class Growth(NamedTuple):
    """What a running answer has said since the last time."""

    place: Place
    text: str
    reasoning: str


class Store(Protocol):
    """All of it raises StorageFailed (503) when the storage does not work."""

    async def start(self) -> int:
        """Make ready, once. Answers that a process left unfinished are `interrupted` from now on; returns how many."""
        ...

    async def close(self) -> None: ...

    async def recent(self, tenant: str, search: str, before: float | None, limit: int) -> list[Conversation]:
        """Newest first. `search` is found in titles and messages, whatever its case; empty = all."""
        ...

    async def find(self, tenant: str, conversation: str) -> Conversation | None: ...

    async def messages(self, tenant: str, conversation: str) -> list[Message]:
        """All of them, oldest first: every parent before its children."""
        ...

    async def add(self, tenant: str, conversation: Conversation, *messages: Message) -> None:
        """Add messages, with their conversation if that is new; the last one becomes the leaf. What is there stays."""
        ...

    async def rename(self, tenant: str, conversation: str, title: str | None, leaf: str | None) -> Conversation | None:
        """Set what is not None. Returns None if there is no such conversation."""
        ...

    async def delete(self, tenant: str, conversation: str) -> None: ...

    async def grow(self, growths: Sequence[Growth]) -> None:
        """Append to running answers, all or none. What is gone meanwhile is passed over."""
        ...

    async def end(self, place: Place, message: Message) -> None:
        """An answer is over: `message` is what it is."""
        ...

    async def withdraw(self, place: Place) -> None:
        """An answer never began: take it away, and go back to what it would have answered."""
        ...
