"""Generations: one answer being made, by one attempt or several, into one stream.

Where to ask is decided by the course (`penstock.policy.course`). Until the first token an attempt that fails is followed by
the next one, and nobody notices; from the first token on there is no other. Whatever the upstreams do, the stream gets
exactly one terminal event, and every upstream is let go of at once.

                     first token                  END block, ended
      asking ─────────────────────▶ answering ──────────────────────▶ over: Done
       │  ▲                             │
       │  │ lost, and there is another  │ lost, deadline, cancel
       │  │                             ▼
       │  └── waiting (backoff)     over: Error (or Done "cancelled") as the last event
       │
       └─▶ lost, and there is no other: over, `ready` tells the caller
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from penstock.dialects.base import Request
from penstock.exceptions import Refused
from penstock.streams.attempt import Attempt, failure
from penstock.streams.continuation import Continuation
from penstock.streams.deadlines import Deadlines
from penstock.streams.gate import Gate
from penstock.streams.inspection import inspect
from penstock.streams.metering import BYTES_PER_TOKEN, together, used
from penstock.streams.plan import Course, Plan, Step
from penstock.streams.stream import Stream
from penstock.streams.timing import Timing
from penstock.streams.waiting import Waiting
from penstock.streams.wheel import Wheel
from penstock.wire.events import Done, Error, Usage


class Generation:
    """See the module. Implements the stream's `Producer`."""

    __slots__ = (
        "_broke",
        "_continuation",
        "_course",
        "_gate",
        "_lost",
        "_now",
        "_on_end",
        "_request",
        "_request_bytes",
        "_waiting",
        "closing",
        "deadlines",
        "into",
        "over",
        "paused",
        "pieces",
        "plan",
        "ready",
        "running",
        "spent",
        "stream",
        "timing",
        "wheel",
        "winner",
    )

    def __init__(
        self,
        stream: Stream,
        wheel: Wheel,
        plan: Plan,
        *,
        request_bytes: int,
        on_end: Callable[[Generation], None] | None = None,
    ) -> None:
        self.stream = stream
        self.plan = plan
        self.timing = stream.timing = Timing(wheel.now())
        self.over = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the client can be answered: with a stream, or with the stream's `refusal`."""
        self.wheel = wheel
        self._now = wheel.now
        self.into: Callable[[bytes], None] = stream.append
        """Where the winner's blocks go."""
        self._broke: tuple[Error, Refused] | None = None
        """Why the answer has to be continued: what is told if nobody can."""
        self._gate: Gate | None = None
        self.closing = False
        """The upstream has said all; a gate or an inspection is still at it."""
        self._continuation: Continuation | None = None
        self.spent: Sequence[Usage] = ()
        """What attempts used whose answers others went on with ..."""
        self.pieces = 0
        """... and how many pieces those gave."""
        self._course: Course | None = None
        self._request: Request | None = None
        self.running: list[Attempt] = []
        """Those whose upstreams are being asked, or answer."""
        self.winner: Attempt | None = None
        self._lost: Attempt | None = None
        self._waiting: Waiting | None = None
        self.paused = False
        """The upstream has to wait: its silence is ours."""
        self._request_bytes = request_bytes
        self._on_end = on_end
        self.deadlines = Deadlines(self)
        stream.producer = self

    def start(self, course: Course, request: Request) -> None:
        """Ask the first upstream of the course. If nobody can be asked, `ready` tells."""
        self._course = course
        self._request = request
        self.deadlines.begin()
        self._go_on(None, None)

    # -- the attempts' side ------------------------------------------------------------------------------------------

    def won(self, attempt: Attempt, now: float) -> None:
        """The first token: `attempt` has the stream, and the others are over."""
        assert self._course is not None
        self.winner = attempt
        for other in self.running:
            if other is not attempt:
                other.stop()
                self._course.stopped(other.step)
                read = self._request_bytes // BYTES_PER_TOKEN if other.answered else None
                facts = {"upstream": other.step.upstream.name, "why": "another was first", "input_tokens": read}
                self.stream.trace.note(now, "stopped", **facts)
        self.running = [attempt]
        self._course.won(attempt.step)
        self.stream.trace.note(now, "first_token", upstream=attempt.step.upstream.name)
        self.stream.dropped = attempt.dropped
        self.deadlines.answering(now, attempt)
        dialect = attempt.step.upstream.dialect
        if self._continuation is None:
            self._settle(dialect)
        if self._continuation is not None:
            self._continuation.begin(dialect)
        self._request = None  # unless it is continued nobody else will be asked: a live stream does not carry it
        if self._gate is None:
            self.commit()
        if self.stream.paused:
            self.pause()

    def _settle(self, dialect: str) -> None:
        """It is known what the log will be, and who stands before it."""
        plain = self.plan.gate is None and not self.plan.continuation
        self.stream.become(dialect if plain else "native")
        if self.plan.gate is not None:
            self._gate = Gate(self, self.plan.gate, "native" if self.plan.continuation else dialect)
            self.into = self._gate.push
        if self.plan.continuation:
            assert self._request is not None
            self._continuation = Continuation(self.stream, self._request, self.into)
            self.into = self._continuation.push

    def attempt(self, step: Step) -> None:
        """Ask `step`'s upstream."""
        self._waiting = None
        attempt = Attempt(self, step, self._now)
        assert self._request is not None
        self.running.append(attempt)
        try:
            call = step.upstream.start(self._request, step.model, attempt)
        except Refused as refused:
            attempt.failed(refused)
            return
        if attempt.over:
            call.close()
            return
        attempt.call = call
        if self.plan.hedge is not None and len(self.running) == 1 and not attempt.won:
            self.wheel.at(attempt.asked + self.plan.hedge, lambda now: self._hedge(attempt, now))

    def kept_out(self, refused: Refused, error: Error | None = None) -> None:
        """There is nobody to ask, or nobody who has room. `error` is why it is asked at all, if that is what is told."""
        self._waiting = None
        if error is None:
            error = Error(refused.code, refused.message, refused.retryable, "upstream_error")
        self._finish(*(self._broke or (error, refused)))

    def complete(self, attempt: Attempt, last: Done) -> None:
        """The answer is whole."""
        if self._course is not None:
            self._course.completed(attempt.step)
        self.closing = True
        if self._gate is not None:
            self._gate.close(lambda: self._inspect(last))
        else:
            self._inspect(last)

    def shown(self) -> None:
        """What the gate held back has reached the readers."""
        self.deadlines.said(self._now())
        self.commit()

    def lost(self, attempt: Attempt, error: Error, refused: Refused) -> None:
        """`attempt` failed. Before the first token there may be another; after it this is the end."""
        now = self._now()
        facts = {"upstream": attempt.step.upstream.name, "code": error.code, "message": error.message}
        self.stream.trace.note(now, "lost", **facts)
        if attempt in self.running:
            self.running.remove(attempt)
        self._lost = attempt
        if self._course is not None:
            self._course.failed(attempt.step, refused, now)
        if attempt.won:
            if self.over or not self._continue(attempt, error, refused, now):
                self._finish(error, refused)
        elif not self.over and not self.running and self._waiting is None:
            self._go_on(attempt.step, refused, error)

    # -- the client's side -------------------------------------------------------------------------------------------

    def fail(self, code: str, message: str, *, retryable: bool = True) -> None:
        """End it, by a word of `STATUS`."""
        if not self.over:
            self._finish(*failure(code, message, retryable=retryable))

    def cancel(self, seen: int | None = None) -> None:
        """Cancel: the upstream is closed before this returns. `seen` is the offset that the person was shown."""
        if self.over:
            return
        last = self.stream.produced
        kept = seen if seen is not None and seen < last else None
        self._finish(Done("cancelled", kept), None)

    def deserted(self) -> None:
        if not self.over and self.plan.on_abandon == "cancel":
            self.deadlines.deserted(self._now())

    def pause(self) -> None:
        if self.winner is not None and self.winner.call is not None and not self.paused:
            self.paused = True
            self.winner.call.pause()

    def resume(self) -> None:
        if self.paused and not self.over:
            assert self.winner is not None
            self.paused = False
            self.winner.last_byte = now = self._now()  # our own silence is not the upstream's
            self.deadlines.answering(now, self.winner)
            if self.winner.call is not None:
                self.winner.call.resume()

    def overflow(self) -> None:
        self.fail("limit_exceeded", "the answer is larger than an answer may be", retryable=False)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _go_on(self, lost: Step | None, why: Refused | None, error: Error | None = None) -> None:
        """Make the next attempt, now or after a while; or end, if there is none."""
        assert self._course is not None
        now = self._now()
        try:
            step = self._course.next(now, lost, why)
        except Refused as refused:
            self.kept_out(refused, error if refused is why else None)
            return
        self._go(step, now)

    def _continue(self, lost: Attempt, error: Error, refused: Refused, now: float) -> bool:
        """Ask another upstream to go on with an answer that broke off. False = there is none, or it can't be."""
        if self._continuation is None or self._course is None or not error.retryable:
            return False
        spent = [*self.spent, used(lost, error, self._request_bytes)]
        request = self._continuation.next_request(together(spent).output_tokens or 0)
        if request is None:
            return False
        try:
            step = self._course.next(now, lost.step, refused)
        except Refused:
            return False
        self.winner, self._request, self.paused, self.spent = None, request, False, spent
        self._broke = error, refused
        self.pieces += lost.tokens
        self.stream.trace.note(now, "continued", upstream=step.upstream.name, after=self.stream.produced)
        self._go(step, now)
        return True

    def _go(self, step: Step, now: float) -> None:
        """Make an attempt: at once, after a pause, or when its upstream has a slot for it."""
        assert self._course is not None
        self._waiting = Waiting(self, self._course, step)
        self._waiting.begin(now)

    def _hedge(self, late: Attempt, now: float) -> None:
        if self.over or self.winner is not None or self.running != [late]:
            return
        assert self._course is not None
        step = self._course.beside(now)
        if step is not None:
            self.stream.trace.note(now, "hedged", upstream=step.upstream.name)
            self._go(step, now)

    def _inspect(self, last: Done) -> None:
        if self.over:
            return
        # A native log of another upstream's answer holds what events tell, and no more.
        untold = [by.untold for by in (self._continuation, self._gate) if by is not None and by.untold is not None]
        if untold:
            self._finish(untold[0], None)
        elif last.outcome in ("completed", "tool_calls"):
            inspect(self.stream, self._last_block, lambda wrong: self._inspected(last, wrong))
        else:
            self._inspected(last, None)

    def _inspected(self, last: Done, wrong: str | None) -> None:
        if self.over:
            return
        if wrong is not None:
            self.fail("invalid_output", wrong)
            return
        if self._last_block:
            self.stream.append(self._last_block)
        self._finish(last, None)

    @property
    def looked_at(self) -> bool:
        """The whole answer is looked at before its upstream's own end may stand in the log."""
        return self.stream.delivery != "stream" and self.plan.gate is None and not self.plan.continuation

    @property
    def _last_block(self) -> bytes:
        return b"" if self.winner is None else self.winner.last_block

    def commit(self) -> bool:
        """The client can be answered. False = it has been already."""
        if self.ready.done():
            return False
        self.ready.set_result(None)
        return True

    @property
    def gated(self) -> bool:
        """What the upstream says is not what the readers hear."""
        return self._gate is not None

    def _finish(self, last: Done | Error, refusal: Refused | None) -> None:
        """The one place where an answer ends."""
        if self.over:
            return
        self.over = True
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
        if self._gate is not None:
            self._gate.stop()
        running, self.running = self.running, []
        for attempt in running:
            attempt.stop()
            if self._course is not None and not self.closing and not attempt.won:
                self._course.stopped(attempt.step)
        if not self.ready.done():
            self.stream.refusal = refusal
            self.ready.set_result(None)
        # The last attempt is the one that counts: the winner, if there is one.
        told = self.winner or (running[-1] if running else self._lost)
        now = self._now()
        self.stream.trace.note(now, "ended", outcome=last.outcome, code=last.code if isinstance(last, Error) else None)
        usage = together([*self.spent, used(told, last, self._request_bytes)])
        # The upstream's own last block is for a log of its own blocks.
        held = told.probe.held if told and self._continuation is None and self._gate is None else None
        self.stream.finish(now, usage, held, last)
        if self._on_end is not None:
            self._on_end(self)
