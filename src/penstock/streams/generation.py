"""Generations: one run of one upstream into one stream.

The upstream calls `connected`, `began`, `feed` (or `emit`) and then one of `ended` and `failed`; everything happens in
those calls. Whatever the upstream does, the stream gets exactly one terminal event, and the upstream is let go of at once.

                 began, first entry                 END block, ended
      waiting ──────────────────────▶ answering ──────────────────────▶ over: Done
         │                                │
         │ failed, deadline               │ failed, deadline, cut, cancel
         ▼                                ▼
      over: `ready` tells the caller   over: Error (or Done "cancelled") as the last event
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from penstock.dialects import DIALECTS
from penstock.dialects.base import Kind, Request
from penstock.dialects.native import encode_event
from penstock.exceptions import ProtocolError, UpstreamFailed
from penstock.streams.stream import Stream
from penstock.streams.timing import Timing
from penstock.streams.wheel import Wheel
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Outcome, Reasoning, Refusal, Start, Token, ToolCall, Usage

KEEPALIVE_SECONDS = 15.0
"""A stream that is silent this long gets a comment, so that nothing in between takes it for dead."""


class Timeouts(NamedTuple):
    """A route's deadlines, in seconds (DESIGN part 6)."""

    connect: float = 5.0
    first_token: float = 60.0
    silence: float = 30.0
    total: float = 600.0


class Plan(NamedTuple):
    """What a route wants of its generations."""

    timeouts: Timeouts = Timeouts()
    on_abandon: Literal["cancel", "finish"] = "cancel"
    grace: float = 15.0
    """Seconds without any reader after which an abandoned generation is cancelled."""


class Call(Protocol):
    """One running request at an upstream."""

    def close(self) -> None:
        """Stop it at once, and whatever the upstream may still be doing."""

    def release(self) -> None:
        """The answer is complete: the connection may serve again."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Upstream(Protocol):
    """One model endpoint, or a generator that acts as one."""

    name: str
    dialect: str

    def start(self, request: Request, model: str, generation: Generation) -> Call:
        """Begin to answer into `generation`. Raises Refused if the request can't be told to this upstream."""
        ...


STATUS: dict[str, tuple[int, Outcome]] = {
    "upstream_error": (502, "upstream_error"),
    "upstream_unreachable": (502, "upstream_error"),
    "upstream_protocol_error": (502, "upstream_error"),
    "upstream_truncated": (502, "upstream_truncated"),
    "upstream_timeout": (504, "stalled"),
    "stalled": (504, "stalled"),
    "limit_exceeded": (504, "limit_exceeded"),
    "interrupted": (503, "interrupted"),
    "abandoned": (503, "abandoned"),
}
"""What each failure is called before the first byte (HTTP status) and after it (outcome)."""


def _nowhere(_block: bytes) -> None:
    """Where the blocks go that come after the end."""


class Generation:
    """See the module. Implements the stream's `Producer`."""

    __slots__ = (
        "_abandon_at",
        "_append",
        "_call",
        "_dialect",
        "_ignored",
        "_last_byte",
        "_look",
        "_now",
        "_on_end",
        "_paused",
        "_plan",
        "_probe",
        "_request_bytes",
        "_split",
        "_tokens",
        "_touched",
        "_wheel",
        "answered",
        "over",
        "ready",
        "stream",
        "timing",
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
        now = wheel.now()
        self.stream = stream
        self.timing = Timing(now)
        self.over = False
        self.answered = False
        """The upstream has begun to answer: its response head was a good one."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the client can be answered: with a stream, or with the stream's `refusal`."""
        self._wheel = wheel
        self._plan = plan
        self._probe = DIALECTS[stream.dialect].probe()
        self._look = self._probe.__call__
        self._split = sse.Splitter().feed
        self._call: Call | None = None
        self._append: Callable[[bytes], None] = self._append_first
        self._now = wheel.now
        self._paused = False
        self._ignored = 0
        self._last_byte = self._touched = now
        self._abandon_at: float | None = None
        self._request_bytes = request_bytes
        self._tokens = 0
        self._on_end = on_end
        stream.producer = self

    def start(self, upstream: Upstream, request: Request, model: str) -> None:
        """Ask `upstream`. Raises Refused if it can't be asked this."""
        self._call = upstream.start(request, model, self)
        self._wheel.at(self._watch_next(self.timing.asked), self._watch)
        if self.over:
            self._call.close()

    @property
    def timeouts(self) -> Timeouts:
        """The route's deadlines."""
        return self._plan.timeouts

    # -- the upstream's side ---------------------------------------------------------------------------------------

    def connected(self) -> None:
        """The request is on its way."""
        self.timing.connected = self._last_byte = self._now()

    def began(self) -> None:
        """A good response head came."""
        self.answered = True
        self.timing.first_byte = self._last_byte = self._now()

    def feed(self, data: bytes) -> None:
        """Bytes of the response body: the hot path. Everything that they complete is with the level readers on return."""
        if self.over:
            self._ignored += len(data)
            return
        # What a slot holds is fetched before it is called: `self._split(data)` would search the class for a method first.
        clock, split, look, probe, stream = self._now, self._split, self._look, self._probe, self.stream
        self._last_byte = now = clock()
        before = stream.produced
        kind: int = 0
        try:
            for block in split(data):
                kind = look(block)
                if kind == 0:  # Kind.DATA: the name costs more than the comparison
                    append = self._append
                    append(block)
                elif kind != Kind.HELD:
                    break
        except ProtocolError as error:
            self.fail("upstream_protocol_error", str(error))
            return
        if stream.end is not None:
            return  # it grew larger than an answer may be
        if stream.produced != before:
            self._touched = now
            if probe.started:
                self._tokens += stream.produced - before
                self.timing.token(now)
        if kind == 0:
            return
        if kind == Kind.END:
            self._complete(Done(probe.outcome))  # type: ignore[arg-type]  # the probe's words are outcomes
        elif kind == Kind.FAILED:
            assert probe.failure is not None
            self._break(probe.failure)

    def emit(self, event: Event) -> None:
        """One event of an upstream that speaks in events."""
        if self.over:
            return
        self._last_byte = now = self._now()
        match event:
            case Start():
                return
            case Usage():
                self._probe.usage = event
                return
            case Done():
                self._complete(event)
                return
            case Error():
                self._break(event)
                return
            case Finish(reason):
                self._probe.outcome = reason
            case Token() | Reasoning() | Refusal() | ToolCall():
                self._probe.started = True
        self._append(encode_event(event))
        self._touched = now
        if self._probe.started:
            self._tokens += 1
            self.timing.token(now)

    def ended(self) -> None:
        """The upstream closed in good order. Without its end marker before, the answer was cut short."""
        if not self.over:
            self.fail("upstream_truncated", "the upstream ended the answer without its end marker")

    def completed(self) -> None:
        """A generator of events has run to its end, which is its end marker."""
        if not self.over:
            if not self.stream.produced:
                self._open()
            self._complete(Done(self._probe.outcome))  # type: ignore[arg-type]  # the probe's words are outcomes

    def failed(self, failure: UpstreamFailed) -> None:
        """The upstream refused: there will be no answer from it."""
        if self.over:
            return
        outcome = STATUS.get(failure.code, (0, "upstream_error"))[1]
        self._finish(Error(failure.code, failure.message, failure.retryable, outcome), failure)

    def fail(self, code: str, message: str, *, retryable: bool = True) -> None:
        """Trouble, by its word in the table above."""
        if self.over:
            return
        status, outcome = STATUS[code]
        refusal = UpstreamFailed(status, code, message, retryable=retryable)
        self._finish(Error(code, message, retryable, outcome), refusal)

    # -- the client's side -----------------------------------------------------------------------------------------

    def cancel(self, seen: int | None = None) -> None:
        """Cancel: the upstream is closed before this returns. `seen` is the offset that the person was shown."""
        if self.over:
            return
        last = self.stream.produced
        kept = seen if seen is not None and seen < last else None
        self._finish(Done("cancelled", kept), None)

    def deserted(self) -> None:
        if not self.over and self._plan.on_abandon == "cancel":
            waiting = self._abandon_at is not None
            self._abandon_at = self._now() + self._plan.grace
            if not waiting:
                self._wheel.at(self._abandon_at, self._abandon)

    def pause(self) -> None:
        if self._call is not None and not self._paused:
            self._paused = True
            self._call.pause()

    def resume(self) -> None:
        if self._paused and not self.over:
            self._paused = False
            self._last_byte = self._now()  # our own silence is not the upstream's
            assert self._call is not None
            self._call.resume()

    def overflow(self) -> None:
        self.fail("limit_exceeded", "the answer is larger than an answer may be", retryable=False)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _append_first(self, block: bytes) -> None:
        """The first entry: from here on the caller has a stream, not a status."""
        self._open()
        self._append(block)

    def _open(self) -> None:
        self._append = self.stream.append
        if self.stream.dialect == "native":
            self._append(encode_event(Start(self.stream.id, self.stream.about.model)))
        self._commit()

    def _commit(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _complete(self, last: Done) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.release()
        self._finish(last, None)

    def _break(self, error: Error) -> None:
        status = STATUS.get(error.code, (502, ""))[0]
        self._finish(error, UpstreamFailed(status, error.code, error.message, retryable=error.retryable))

    def _finish(self, last: Done | Error, refusal: UpstreamFailed | None) -> None:
        """The one place where an answer ends."""
        self.over = True
        self._append = _nowhere  # the rest of a read may still be under way
        call, self._call = self._call, None
        if call is not None:
            call.close()
        if not self.ready.done():
            self.stream.refusal = refusal
            self.ready.set_result(None)
        self.stream.finish(self._now(), self._usage(last), self._probe.held, last)
        if self._on_end is not None:
            self._on_end(self)

    def _usage(self, last: Done | Error) -> Usage:
        """What the upstream said; else an estimate from what went through; else the honest word that nobody knows."""
        if self._probe.usage is not None:
            return self._probe.usage
        if not self.answered or (isinstance(last, Error) and not self._probe.started):
            return Usage(source="unknown")
        # Four bytes to a token on the way in, an event to a token on the way out, as providers send them.
        return Usage(self._request_bytes // 4, self._tokens, None, None, "estimated")

    def _abandon(self, now: float) -> float | None:
        if self.over or self.stream.readers or self._abandon_at is None:
            self._abandon_at = None
            return None
        if now < self._abandon_at:
            return self._abandon_at
        self.fail("abandoned", "nobody was reading any more")
        return None

    def _watch(self, now: float) -> float | None:
        if self.over:
            return None
        limits = self._plan.timeouts
        if now >= self.timing.asked + limits.total:
            self.fail("limit_exceeded", f"the answer took longer than {limits.total:g} s")
            return None
        if not self._probe.started and now >= self.timing.asked + limits.first_token:
            self.fail("upstream_timeout", f"no token came within {limits.first_token:g} s")
            return None
        if self._probe.started and not self._paused and now >= self._last_byte + limits.silence:
            self.fail("stalled", f"the upstream was silent for {limits.silence:g} s")
            return None
        if now >= self._touched + KEEPALIVE_SECONDS:
            self._touched = now
            if self.answered:
                # The upstream is thinking. Let the client have its response head, and a sign of life.
                self._commit()
            self.stream.comment(sse.KEEPALIVE)
        return self._watch_next(now)

    def _watch_next(self, now: float) -> float:
        limits = self._plan.timeouts
        when = min(self.timing.asked + limits.total, self._touched + KEEPALIVE_SECONDS)
        if not self._probe.started:
            # Look often enough not to be late for the silence that begins with the first token.
            return min(when, self.timing.asked + limits.first_token, now + limits.silence)
        # While paused, look again a little later.
        return min(when, now + limits.silence if self._paused else self._last_byte + limits.silence)
