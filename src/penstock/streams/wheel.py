"""One timer for all deadlines.

Thousands of streams each have a few deadlines that nearly always move before they are reached. So nothing is cancelled
and set again per event: a deadline is looked at when it is due, and says itself when to look next.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable

Due = Callable[[float], float | None]
"""Called with the monotonic time (seconds) when due; returns when to be called again, or None."""


class Wheel:
    """Calls each entry at its time, at most two ticks (of `tick` seconds) late. Starts by itself, rests while empty."""

    def __init__(self, tick: float = 0.05, clock: Callable[[], float] = time.monotonic) -> None:
        self._tick = tick
        self.now = clock
        """The wheel's clock: monotonic seconds."""
        self._slots: defaultdict[int, list[Due]] = defaultdict(list)
        self._turned = int(clock() / tick)
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, due: Due) -> None:
        """Call `due` once the monotonic clock passes `when`."""
        if self._timer is None:
            if not self._slots:
                # After a rest: catch up first, so that a time that has passed does not get a slot that has. Never over slots
                # that wait to be turned: in a turn that takes long there is no timer either.
                self._turned = max(self._turned, int(self.now() / self._tick) - 1)
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._turn)
        self._slots[max(int(when / self._tick) + 1, self._turned + 1)].append(due)

    def turn(self, now: float) -> None:
        """Call everything that is due at `now`, earlier slots first. An entry that raises does not take others with it."""
        until = int(now / self._tick)
        slots = self._slots
        passed = until - self._turned
        ready = range(self._turned + 1, until + 1) if passed < len(slots) else sorted(s for s in slots if s <= until)
        self._turned = max(until, self._turned)
        waiting = deque(due for slot in ready for due in slots.pop(slot, ()))
        try:
            while waiting:
                due = waiting.popleft()
                again = due(now)
                if again is not None:
                    self.at(again, due)
        finally:
            for due in waiting:
                self.at(now, due)

    def stop(self) -> None:
        """Forget every entry."""
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = None
        try:
            self.turn(self.now())
        finally:
            if self._slots and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._tick, self._turn)
