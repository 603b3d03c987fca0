"""Circuit breakers: an upstream that fails again and again is left alone for a while.

          failures in a row reach the limit                    the time is over
    closed ─────────────────────────────────▶ open ─────────────────────────────▶ half-open
      ▲                                        ▲                                   │    │
      │                                        └────────── the probe failed ───────┘    │
      └─────────────────────────────── the probe succeeded ─────────────────────────────┘

Pure: times are passed in, in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 10
"""Failures in a row that open a breaker."""

REST = 5.0
"""Seconds that it stays open the first time; twice as long each time that the probe fails ..."""

LONGEST_REST = 60.0
"""... up to this."""

PROBE_SECONDS = 60.0
"""A probe that has not come back by then is taken for lost: another may go."""


class Breaker:
    """One upstream's. `limit` 0 = never opens. `told` hears in words when it opens and when it closes."""

    def __init__(self, limit: int = FAILURES, told: Callable[[str], None] | None = None) -> None:
        self._limit = limit
        self._told = told
        self._failures = 0
        self._why = ""
        self._rest = REST
        self._until: float | None = None
        self._probing_until: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a request may go. Asking changes nothing."""
        if self._until is None:
            return True
        return now >= self._until and (self._probing_until is None or now >= self._probing_until)

    def went(self, now: float) -> None:
        """A request goes. On a half-open breaker it is the probe."""
        if self._until is not None:
            self._probing_until = now + PROBE_SECONDS

    def ready_in(self, now: float) -> float:
        """Seconds until `allows` may say yes."""
        if self.allows(now):
            return 0.0
        return max(self._until or now, self._probing_until or now) - now

    def answered(self) -> None:
        """A first token came: who was open is closed. The failures in a row still count, for the answer may be cut yet."""
        if self._until is not None:
            self.succeeded()

    def succeeded(self) -> None:
        """The upstream gave a whole answer."""
        if self._until is not None and self._told is not None:
            self._told("answers again")
        self._failures = 0
        self._rest = REST
        self._until = self._probing_until = None

    def failed(self, now: float, why: str = "") -> None:
        """The upstream failed, by a fault of its own."""
        self._failures += 1
        self._why = why
        if not self._limit:
            return
        if self._until is not None:
            if self._probing_until is not None:
                self._rest = min(self._rest * 2, LONGEST_REST)
                self._open(now)
        elif self._failures >= self._limit:
            self._open(now)

    def released(self) -> None:
        """A request came to nothing that says anything about the upstream: the next one may be the probe."""
        self._probing_until = None

    def _open(self, now: float) -> None:
        if self._told is not None:
            last = f"; the last: {self._why}" if self._why else ""
            self._told(f"is left alone for {self._rest:g} s, after {self._failures} failures in a row{last}")
        self._until = now + self._rest
        self._probing_until = None
