"""Notices: what the log is told of trouble that comes again and again. Pure: times are monotonic seconds.

Of each kind the first few in a minute are told, one by one, so that there is a stream to look at; the rest are counted, and
the next one that is told says how many there were. A flood of refusals must not fill a disk.
"""

from __future__ import annotations

from collections.abc import Hashable

MOST = 5
"""Told one by one in each ..."""

SECONDS = 60.0


class Notices:
    """Keeps count by kind. Kinds must be few: what clients can make up is none."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, tuple[float, int]] = {}
        """When its minute began, and how many came in it."""

    def due(self, kind: Hashable, now: float) -> str | None:
        """Something of this kind has happened. What to add to its line, or None: say nothing."""
        began, count = self._kinds.get(kind, (now - SECONDS, 0))
        if now - began >= SECONDS:
            self._kinds[kind] = now, 1
            left_out = count - MOST
            return f" ({left_out} more like it before)" if left_out > 0 else ""
        self._kinds[kind] = began, count + 1
        return "" if count < MOST else None
