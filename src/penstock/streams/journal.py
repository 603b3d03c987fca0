"""Journals keep streams.

`MemoryJournal` keeps them in this process, which is all that one node needs. Every journal passes the same contract tests
(`tests/contracts/journal.py`).
"""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple, Protocol

from penstock.dialects.base import Description
from penstock.exceptions import Refused
from penstock.streams.stream import RETAIN_BYTES, Stream
from penstock.streams.wheel import Wheel

RETAIN_SECONDS = 300.0
"""How long a stream is kept after its end, by default."""

SET_ASIDE = 1000
"""Streams that never began, and are kept for their traces. Failing requests may be many."""


class IdempotencyKey(NamedTuple):
    """A client's promise that requests with the same key are the same request; `digest` is of the request's body."""

    key: str
    digest: bytes


class Journal(Protocol):
    """Creates, finds and forgets streams. A stream is only ever found by the tenant that owns it."""

    async def create(
        self, *, tenant: str, model: str, dialect: str, idempotency: IdempotencyKey | None = None
    ) -> tuple[Stream, bool]:
        """A new stream and True; or the one that `idempotency` made before, and False.

        Raises Refused (409 `idempotency_conflict`) when the key came with another body.
        """
        ...

    async def known(self, tenant: str, idempotency: IdempotencyKey) -> Stream | None:
        """The stream that `create` would find. Raises Refused (409) as it does."""
        ...

    async def find(self, tenant: str | None, stream_id: str) -> Stream | None:
        """The stream, if it is the tenant's; `tenant` None = whoever's."""
        ...

    async def set_aside(self, stream: Stream) -> None:
        """It never began, or is not wanted any more. Its idempotency key is free; a number of such are kept for a while."""
        ...

    def live(self) -> list[Stream]:
        """Streams that have not ended and are produced here."""
        ...


class MemoryJournal:
    """Streams in this process's memory."""

    def __init__(
        self, wheel: Wheel, *, retain_bytes: int = RETAIN_BYTES, retain_seconds: float = RETAIN_SECONDS
    ) -> None:
        self._wheel = wheel
        self._retain_bytes = retain_bytes
        self._retain_seconds = retain_seconds
        self._streams: dict[str, Stream] = {}
        self._by_key: dict[tuple[str, str], tuple[bytes, Stream]] = {}
        self._key_of: dict[str, tuple[str, str]] = {}
        self._aside: dict[str, Stream] = {}

    async def create(
        self, *, tenant: str, model: str, dialect: str, idempotency: IdempotencyKey | None = None
    ) -> tuple[Stream, bool]:
        if idempotency is not None and (before := await self.known(tenant, idempotency)) is not None:
            return before, False
        about = Description(secrets.token_hex(12), model, int(time.time()))
        stream = Stream(
            about,
            tenant=tenant,
            dialect=dialect,
            epoch=secrets.token_hex(3),
            wheel=self._wheel,
            retain=self._retain_bytes,
        )
        self._streams[stream.id] = stream
        if idempotency is not None:
            self._by_key[tenant, idempotency.key] = (idempotency.digest, stream)
            self._key_of[stream.id] = (tenant, idempotency.key)
        stream.on_end.append(self._expire_later)
        return stream, True

    async def known(self, tenant: str, idempotency: IdempotencyKey) -> Stream | None:
        before = self._by_key.get((tenant, idempotency.key))
        if before is None:
            return None
        digest, stream = before
        if not secrets.compare_digest(digest, idempotency.digest):
            raise Refused(409, "idempotency_conflict", "this Idempotency-Key came with another body before")
        return stream

    async def find(self, tenant: str | None, stream_id: str) -> Stream | None:
        stream = self._streams.get(stream_id)
        return stream if stream is not None and tenant in (None, stream.tenant) else None

    async def set_aside(self, stream: Stream) -> None:
        self._forget_key(stream)
        if stream.id in self._streams and stream.id not in self._aside:
            self._aside[stream.id] = stream
            if len(self._aside) > SET_ASIDE:
                self._forget(next(iter(self._aside.values())))

    def live(self) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.end is None]

    def __len__(self) -> int:
        return len(self._streams)

    def _expire_later(self, stream: Stream) -> None:
        def due(now: float) -> float | None:
            if stream.readers:
                # Somebody is still reading it to the end.
                return now + min(self._retain_seconds, 10.0)
            self._forget(stream)
            return None

        self._wheel.at(stream.ended_at + self._retain_seconds, due)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        self._aside.pop(stream.id, None)
        self._forget_key(stream)

    def _forget_key(self, stream: Stream) -> None:
        key = self._key_of.pop(stream.id, None)
        if key is not None:
            self._by_key.pop(key, None)
