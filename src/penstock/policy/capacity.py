"""How many connections this process can hold.

A live stream takes two descriptors, a client's and an upstream's. Rather than fail in the middle of an `accept` or a
`connect`, the process counts them, keeps some back for everything else (and for telling clients that it is full), and
refuses what does not fit with a clear 503.
"""

from __future__ import annotations

from collections.abc import Callable

RESERVED = 64
"""Descriptors kept for the listener, the event loop, files, and for answering 503."""


class Capacity:
    """Counts connections against `limit` descriptors. Not thread-safe: one event loop owns it."""

    __slots__ = ("_limit", "spare", "used")

    def __init__(self, limit: int) -> None:
        self._limit = max(limit - RESERVED, 2)
        self.used = 0
        self.spare: list[Callable[[], bool]] = []
        """Who may hold connections that nobody needs just now. Each closes one, and says whether it had one."""

    def take(self) -> bool:
        """Count one more connection, for which an idle one may have to go. False = it does not fit, and is not counted."""
        # A transport that is closed gives its descriptor back right after this turn of the event loop.
        if self.used >= self._limit and not any(close_one() for close_one in self.spare):
            return False
        self.used += 1
        return True

    def give(self) -> None:
        """A counted connection has closed."""
        self.used -= 1

    @property
    def free(self) -> int:
        return self._limit - self.used
