"""What may stand between a step and its attempt: a pause, and the queue for its upstream's slots."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.exceptions import Refused

if TYPE_CHECKING:
    from penstock.streams.generation import Generation
    from penstock.streams.plan import Course, Step

LOOK_SECONDS = 1.0
"""How often somebody in the queue looks whether one that was left alone may be asked again."""


class Waiting:
    """One step on its way to being an attempt. Ends by `Generation.attempt`, `Generation.kept_out` or `stop`, once."""

    __slots__ = ("_called", "_course", "_generation", "_over", "_until", "step")

    def __init__(self, generation: Generation, course: Course, step: Step) -> None:
        self.step = step
        self._generation = generation
        self._course = course
        self._over = False
        self._called = False
        """Its turn has come; it comes right after what the event loop does just now."""
        self._until: float | None = None

    def begin(self, now: float) -> None:
        """At once, where nothing is to be waited for."""
        step, generation = self.step, self._generation
        if step.delay > 0:
            generation.stream.trace.note(now, "waiting", upstream=step.upstream.name, seconds=round(step.delay, 3))
            generation.wheel.at(now + step.delay, self._waited)
        else:
            self._enter(now)

    def stop(self) -> None:
        """The answer is over. What was waited for is given back."""
        if not self._over:
            self._over = True
            self._course.leave()

    def _waited(self, now: float) -> None:
        if not self._over:
            self._enter(now)

    def _enter(self, now: float) -> None:
        self._called = False
        try:
            step = self._course.enter(self.step, now, self._turn)
        except Refused as refused:
            self._over = True
            self._generation.kept_out(refused)
            return
        if step is not None:
            self._over = True
            self._generation.attempt(step)
        elif self._until is None:
            queued = self._course.queued()
            self._until = now + queued.patience
            self._generation.stream.trace.note(
                now, "queued", position=queued.position, expected_seconds=round(queued.seconds, 1)
            )
            self._generation.wheel.at(min(now + LOOK_SECONDS, self._until), self._look)

    def _turn(self) -> None:
        # This is called by another answer's end, which must not suffer from what happens here.
        self._called = True
        asyncio.get_running_loop().call_soon(self._come)

    def _come(self) -> None:
        if not self._over:
            self._enter(self._generation.wheel.now())

    def _look(self, now: float) -> float | None:
        """Nobody calls when an upstream that was left alone may be asked again: so look, now and then, until it is too late."""
        if self._over:
            return None
        if self._called:
            return now
        assert self._until is not None
        if now < self._until:
            self._enter(now)
            return None if self._over else min(now + LOOK_SECONDS, self._until)
        self._over = True
        self._generation.kept_out(self._course.overdue())
        return None
