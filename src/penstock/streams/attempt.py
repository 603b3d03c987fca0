"""Attempts: one request at one upstream, for one generation.

The upstream calls `connected`, `began`, `feed` (or `emit`) and then one of `ended`, `completed`, `failed` and `fail`;
everything happens in those calls. What comes before the first token is kept here, for until then another attempt may still
take its place. With the first token the attempt has won: the stream is its own, and from there on everything reaches the
readers in the very call that brought it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

from penstock.dialects import DIALECTS
from penstock.dialects.base import Kind, Request
from penstock.dialects.native import encode_event
from penstock.exceptions import ProtocolError, Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Outcome, Reasoning, Refusal, Start, Token, ToolCall, Usage

if TYPE_CHECKING:
    from penstock.streams.generation import Generation
    from penstock.streams.plan import Step, Timeouts
    from penstock.streams.stream import Stream


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

    def start(self, request: Request, model: str, attempt: Attempt) -> Call:
        """Begin to answer into `attempt`. Raises Refused if the request can't be told to this upstream."""
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
    "refused": (403, "refused"),
    "gate_failed": (503, "refused"),
    "invalid_output": (502, "upstream_error"),
}
"""What each failure is called before the first byte (HTTP status) and after it (outcome)."""


def failure(code: str, message: str, *, retryable: bool = True) -> tuple[Error, UpstreamFailed]:
    """Trouble, by its word in the table above: as an event, and as a refusal."""
    status, outcome = STATUS[code]
    # Another process is there soon, or this one again.
    again = 1.0 if code == "interrupted" else None
    refused = UpstreamFailed(status, code, message, retryable=retryable, retry_after=again)
    return Error(code, message, retryable, outcome), refused


FRAME_PIECES = 16
"""An answer has so many pieces besides its tokens, at the most: its role, beginnings and ends of its parts, its finish."""


def _nowhere(_block: bytes) -> None:
    """Where the blocks go that come after the end."""


class Attempt:
    """See the module."""

    __slots__ = (
        "_append",
        "_clock",
        "_early",
        "_early_bytes",
        "_generation",
        "_look",
        "_most",
        "_most_tokens",
        "_split",
        "answered",
        "asked",
        "call",
        "dropped",
        "facts",
        "ignored",
        "last_block",
        "last_byte",
        "over",
        "probe",
        "step",
        "stream",
        "tokens",
        "won",
    )

    def __init__(self, generation: Generation, step: Step, clock: Callable[[], float]) -> None:
        self.step = step
        self.stream: Stream = generation.stream
        self.call: Call | None = None
        self.over = False
        self.won = False
        """Its first token came: the stream is its own."""
        self.answered = False
        """The upstream has begun to answer: its response head was a good one."""
        self.dropped: tuple[str, ...] = ()
        """What of the request this upstream could not be told."""
        self.ignored = 0
        """Bytes that came after the end."""
        self.tokens = 0
        """Events of the answer so far: for an estimate of the usage."""
        self.last_block = b""
        """The upstream's own end of the answer, while it is not known whether it is to be told."""
        self.asked = self.last_byte = clock()
        self.facts = self.stream.trace.note(self.asked, "attempt", upstream=step.upstream.name, model=step.model)
        dialect = DIALECTS[step.upstream.dialect]
        self.probe = dialect.probe()
        self._look = self.probe.__call__
        self._most = dialect.max_event_bytes
        most = generation.plan.max_tokens
        self._most_tokens = inf if most is None else most + FRAME_PIECES - generation.pieces
        self._split = sse.Splitter(self._most).feed
        self._generation = generation
        self._clock = clock
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._append: Callable[[bytes], None] = self._early.append

    @property
    def timeouts(self) -> Timeouts:
        """The route's deadlines."""
        return self._generation.plan.timeouts

    # -- the upstream's side -----------------------------------------------------------------------------------------

    def connected(self) -> None:
        """The request is on its way."""
        self.last_byte = now = self._clock()
        self.stream.trace.add(now, "connected", self.facts)

    def began(self) -> None:
        """A good response head came."""
        self.answered = True
        self.last_byte = now = self._clock()
        self.stream.trace.add(now, "first_byte", self.facts)

    def feed(self, data: bytes) -> None:
        """Bytes of the response body: the hot path. Everything that they complete is with the level readers on return."""
        if self.over:
            self.ignored += len(data)
            return
        # What a slot holds is fetched before it is called: `self._split(data)` would search the class for a method first.
        clock, split, look, probe = self._clock, self._split, self._look, self.probe
        self.last_byte = now = clock()
        kind: int = 0
        told = 0
        broken: ProtocolError | None = None
        blocks: Sequence[bytes]
        try:
            blocks = split(data)
        except ProtocolError as error:
            broken, blocks = error, error.before  # what came before in the same read is still part of the answer
        try:
            for block in blocks:
                kind = look(block)
                if kind == 0:  # Kind.DATA: the name costs more than the comparison
                    append = self._append
                    append(block)
                    told += 1
                elif kind != Kind.HELD:
                    if kind == Kind.LAST:
                        if self._generation.looked_at:
                            self.last_block = block
                        else:
                            append = self._append
                            append(block)
                    break
        except ProtocolError as error:
            broken = error
        self.tokens += told
        if not self.won:
            if probe.started:
                self._win(now)
            else:
                self._early_bytes += len(data)
                if self._early_bytes > 2 * self._most and kind != Kind.FAILED:
                    broken = ProtocolError("the upstream says much, but nothing of an answer")
        if self.stream.end is not None:
            return  # it grew larger than an answer may be
        if told and self.won:
            self._generation.timing.token(now)
        if kind == 0 or kind == Kind.HELD:
            if broken is not None:
                self.fail("upstream_protocol_error", str(broken))
            elif self.tokens > self._most_tokens:
                self._too_long()
        elif kind == Kind.FAILED:
            assert probe.failure is not None
            self._break(probe.failure)
        else:
            self._complete_as_told()

    def emit(self, event: Event) -> None:
        """One event of an upstream that speaks in events."""
        if self.over:
            return
        self.last_byte = now = self._clock()
        probe = self.probe
        match event:
            case Start():
                return
            case Usage():
                probe.usage = event
                return
            case Done():
                self._complete(event)
                return
            case Error():
                self._break(event)
                return
            case Finish(reason):
                probe.outcome = reason
            case Token() | Reasoning() | Refusal() | ToolCall():
                probe.started = True
                if not self.won:
                    self._win(now)
        append = self._append
        append(encode_event(event))
        if probe.started and self.stream.end is None:
            self.tokens += 1
            self._generation.timing.token(now)
            if self.tokens > self._most_tokens:
                self._too_long()

    def ended(self) -> None:
        """The upstream closed in good order. Unless the answer is whole by then, it was cut short."""
        if self.over:
            return
        if self.probe.complete:
            self._complete_as_told()
        else:
            self.fail("upstream_truncated", "the upstream ended the answer without its end marker")

    def completed(self) -> None:
        """A generator of events has run to its end, which is its end marker."""
        if not self.over:
            self._complete_as_told()

    def failed(self, refused: Refused) -> None:
        """The upstream refused: there will be no answer from it."""
        if not self.over:
            outcome = STATUS.get(refused.code, (0, "upstream_error"))[1]
            self._lose(Error(refused.code, refused.message, refused.retryable, outcome), refused)

    def fail(self, code: str, message: str, *, retryable: bool = True) -> None:
        """Trouble, by its word in the table above. An answer that is whole already can't be cut any more."""
        if self.over:
            return
        if self.probe.complete and code in ("stalled", "upstream_truncated"):
            self._complete_as_told()  # it may still be looked at before it is over
        else:
            self._lose(*failure(code, message, retryable=retryable))

    # -- the generation's side ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        """It is over, whatever the upstream may still say."""
        self.over = True
        self._append = _nowhere  # the rest of a read may still be under way
        call, self.call = self.call, None
        if call is not None:
            call.close()
        if self.step.slot is not None:
            self.step.slot.give()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _win(self, now: float) -> None:
        if self.won:
            return
        self.won = True
        stream = self.stream
        self._generation.won(self, now)
        self._append = self._generation.into
        if self.step.upstream.dialect == "native":
            # The log announces itself; what a native upstream says of its own stream is not of ours.
            self._append(encode_event(Start(stream.id, stream.about.model)))
        for block in self._early:
            append = self._append  # the stream may be over by then: it grew larger than an answer may be
            append(block)
        self._early.clear()

    def _too_long(self) -> None:
        most = self._generation.plan.max_tokens
        self._generation.fail("limit_exceeded", f"the answer is longer than {most} tokens", retryable=False)

    def _complete_as_told(self) -> None:
        """By the upstream's own reason, if it gave one."""
        self._complete(Done(self.probe.outcome))  # type: ignore[arg-type]  # the probe's words are outcomes

    def _complete(self, last: Done) -> None:
        if last.outcome == "cancelled":
            # Somebody else's doing: nobody has cancelled here.
            self.fail("upstream_error", "the upstream cancelled the answer")
            return
        self._win(self.last_byte)
        if self.over:
            return
        call, self.call = self.call, None
        if call is not None:
            call.release()
        if self.step.slot is not None:
            self.step.slot.give()
        self._generation.complete(self, Done(last.outcome))

    def _break(self, error: Error) -> None:
        status = STATUS.get(error.code, (502, ""))[0]
        self._lose(error, UpstreamFailed(status, error.code, error.message, retryable=error.retryable))

    def _lose(self, error: Error, refused: Refused) -> None:
        self.stop()
        self._generation.lost(self, error, refused)
