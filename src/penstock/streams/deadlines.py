"""Deadlines of one generation: first token, silence, pace, the whole answer; keepalives, and abandonment.

One entry in the wheel looks at all of them, and says itself when to look next; nothing is set again per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.streams.pace import pace
from penstock.wire import sse

if TYPE_CHECKING:
    from penstock.streams.attempt import Attempt
    from penstock.streams.generation import Generation

KEEPALIVE_SECONDS = 15.0
"""A stream that is silent this long gets a comment, so that nothing in between takes it for dead."""

HEAD_SECONDS = 0.25
"""So long after it was let go the head of a response is with the client, and a comment can follow."""


class Deadlines:
    """See the module. All times are the wheel's."""

    __slots__ = ("_abandon_at", "_commented_at", "_generation", "_pace", "_said_at")

    def __init__(self, generation: Generation) -> None:
        limits = generation.plan.timeouts
        self._generation = generation
        self._pace = pace(limits.min_tokens_per_second, limits.silence)
        self._said_at = self._commented_at = generation.timing.asked
        self._abandon_at: float | None = None

    def begin(self) -> None:
        """From the request on."""
        generation = self._generation
        generation.wheel.at(self._next(generation.timing.asked), self._look)

    def answering(self, now: float, attempt: Attempt) -> None:
        """Its pace counts from here."""
        self._pace.begin(now, attempt.tokens)

    def said(self, now: float) -> None:
        """The readers have heard something."""
        self._said_at = now

    def deserted(self, now: float) -> None:
        """The last reader has gone. The grace begins, or begins again."""
        waiting = self._abandon_at is not None
        self._abandon_at = now + self._generation.plan.grace
        if not waiting:
            self._generation.wheel.at(self._abandon_at, self._abandon)

    def _abandon(self, now: float) -> float | None:
        generation = self._generation
        if generation.over or generation.stream.readers or self._abandon_at is None:
            self._abandon_at = None
            return None
        if now < self._abandon_at:
            return self._abandon_at
        generation.fail("abandoned", "nobody was reading any more")
        return None

    def _look(self, now: float) -> float | None:
        generation = self._generation
        if generation.over:
            return None
        limits, winner = generation.plan.timeouts, generation.winner
        if now >= generation.timing.asked + limits.total:
            generation.fail("limit_exceeded", f"the answer took longer than {limits.total:g} s")
            return None
        if winner is None:
            for attempt in list(generation.running):
                if now >= attempt.asked + limits.first_token:
                    attempt.fail("upstream_timeout", f"no token came within {limits.first_token:g} s")
        elif generation.paused or generation.closing:
            pass
        elif now >= winner.last_byte + limits.silence:
            winner.fail("stalled", f"the upstream was silent for {limits.silence:g} s")
        elif self._pace.too_slow(now, winner.tokens):
            winner.fail("stalled", f"the upstream gave fewer than {limits.min_tokens_per_second:g} tokens a second")
        if generation.stream.end is not None:
            return None
        if now >= self._heard_at() + KEEPALIVE_SECONDS:
            self._keep_alive(now)
        elif now >= self._commented_at + KEEPALIVE_SECONDS:
            # The upstream speaks, and yet those may hear nothing for whom its words are gathered or told in other ones.
            self._commented_at = now
            generation.stream.comment(sse.KEEPALIVE, translated=True)
        return self._next(now)

    def _keep_alive(self, now: float) -> None:
        generation = self._generation
        self._said_at = self._commented_at = now
        answered = [attempt for attempt in generation.running if attempt.answered]
        if answered:
            # The upstream is thinking. Let the client have its response head, and a sign of life.
            generation.stream.dropped = answered[0].dropped
            if generation.commit():
                self._said_at += HEAD_SECONDS - KEEPALIVE_SECONDS
        generation.stream.comment(sse.KEEPALIVE)

    def _next(self, now: float) -> float:
        """When to look again."""
        generation = self._generation
        limits, winner = generation.plan.timeouts, generation.winner
        silent_since = min(self._heard_at(), self._commented_at)
        when = min(generation.timing.asked + limits.total, silent_since + KEEPALIVE_SECONDS)
        if winner is None:
            # Look often enough not to be late for the silence that begins with the first token.
            asked = min((attempt.asked for attempt in generation.running), default=now)
            return min(when, asked + limits.first_token, now + limits.silence)
        idle = generation.paused or generation.closing  # then look again a little later
        return min(when, now + limits.silence if idle else winner.last_byte + limits.silence)

    def _heard_at(self) -> float:
        """When those readers last heard something who see the log as it is."""
        return self._said_at if self._generation.gated else max(self._said_at, self._generation.timing.last)
