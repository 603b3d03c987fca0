"""Key pools: several keys for one upstream, each cooled down by itself.

A key that is at its limit (429) or refused (401, 403) rests while the others go on. When all rest, the one whose rest is
over first is used: an upstream's own words are worth more than a guess. Pure: times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

LIMITED_SECONDS = 10.0
"""How long a key rests after a 429 without a Retry-After."""

REFUSED_SECONDS = 300.0
"""How long a key rests that was refused: somebody has to look after it."""

LONGEST_SECONDS = 3600.0

LEAST_SECONDS = 1.0
"""An upstream may say "at once": two such keys must not be asked in turn without end."""


class KeyPool:
    """The keys of one upstream; none at all is one empty key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = list(keys) or [""]
        self._rested_at = [0.0] * len(self._keys)
        self._turn = 0

    def take(self, now: float) -> int:
        """The number of the key to use: in turn, those that rest left out."""
        count = len(self._keys)
        order = [(self._turn + step) % count for step in range(count)]
        ready = [number for number in order if self._rested_at[number] <= now]
        chosen = ready[0] if ready else min(order, key=lambda number: self._rested_at[number])
        self._turn = (chosen + 1) % count
        return chosen

    @property
    def count(self) -> int:
        return len(self._keys)

    def key(self, number: int) -> str:
        """The secret itself."""
        return self._keys[number]

    def refused(self, number: int, status: int, retry_after: float | None, now: float) -> bool:
        """The upstream answered `status` to this key. Returns whether another one is ready to be used instead."""
        if status == 429:
            rest = LIMITED_SECONDS if retry_after is None else min(max(retry_after, LEAST_SECONDS), LONGEST_SECONDS)
        elif status in (401, 403):
            rest = REFUSED_SECONDS
        else:
            return False
        self._rested_at[number] = max(self._rested_at[number], now + rest)
        return any(rested_at <= now for rested_at in self._rested_at)
