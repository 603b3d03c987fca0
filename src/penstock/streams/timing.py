"""Timing of one generation: what its reader felt.

The time to the first token counts from the request and ends at the first token of text, reasoning, refusal or tool call
(a chunk with only a role is none). Gaps are between reads that brought tokens, so n events have n - 1 of them and the time
to the first token is in none. Times are monotonic seconds.
"""

from __future__ import annotations

STALL_SECONDS = 2.0
"""A gap of at least this counts as a stall."""

MAX_SILENCES = 32
"""How many stalls are remembered one by one."""


class Timing:
    """See the module. Costs two comparisons and an assignment per read."""

    __slots__ = ("asked", "first_token", "gaps", "last", "longest_gap", "silences", "stalls")

    def __init__(self, asked: float) -> None:
        self.asked = asked
        self.first_token = 0.0
        self.last = 0.0
        self.gaps = 0
        self.longest_gap = 0.0
        self.stalls = 0
        self.silences: list[tuple[float, float]] = []
        """When each stall ended, and how long it was."""

    def token(self, now: float) -> None:
        """A read brought at least one event of the answer, the first token included or passed."""
        if self.last:
            gap = now - self.last
            self.gaps += 1
            if gap > self.longest_gap:
                self.longest_gap = gap
            if gap >= STALL_SECONDS:
                self.stalls += 1
                if len(self.silences) < MAX_SILENCES:
                    self.silences.append((now, gap))
        else:
            self.first_token = now
        self.last = now

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from the request to the first token; None if there was none."""
        return self.first_token - self.asked if self.first_token else None

    @property
    def mean_gap(self) -> float | None:
        """Mean seconds between reads that brought tokens; None if there were fewer than two."""
        return (self.last - self.first_token) / self.gaps if self.gaps else None
