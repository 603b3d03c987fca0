"""Gates: somebody sees the text before any reader does.

What an upstream says is held back, the whole answer or up to a window of characters, until a check has passed it. A check
that refuses ends the stream as `refused`, with its reason; one that fails does so too, as `gate_failed`: nothing unchecked is
ever shown. Events keep their order, and enter the log only when they have passed; what is held back is kept as compactly
as there.

The log of a gated stream is native, whatever its upstream speaks: an upstream's own blocks may say more than any check could
read, in fields that only their dialect knows. What is shown is what was understood, and what was understood was checked.

A check is the user's code, so it runs in a task of its own, and is let go of when it is late: whatever it does with its
cancellation, the stream does not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from penstock.dialects import DIALECTS
from penstock.dialects.native import encode_event
from penstock.exceptions import ProtocolError
from penstock.streams.log import Log
from penstock.streams.stream import MAX_ANSWER_BYTES, SEGMENT_ENTRIES
from penstock.wire.events import Done, Error, Event, Reasoning, Refusal, Start, Token, ToolCall, Usage

if TYPE_CHECKING:
    from penstock.streams.generation import Generation

log = logging.getLogger("penstock.gate")

AHEAD_BYTES = 1024 * 1024
"""While a check is under way, the upstream may say so much more, and four windows, before it is asked to wait."""

TURN_BYTES = 64 * 1024
"""So much is let through at a time: a long answer that has passed does not stop the other streams, and its own reader is
there before the log would forget the beginning."""

_checking: set[asyncio.Task[str | None]] = set()
"""Checks under way, those included that nobody waits for any more: the loop itself keeps no task alive."""


class Passage(NamedTuple):
    """What a check sees: text, refusals, reasoning, and the names and arguments of tool calls.

    Each voice stands together, though they may have spoken in turns: the text of each choice, each one's reasoning, each
    call. Between two of them is a line end.
    """

    stream: str
    model: str
    tenant: str
    text: str
    """Everything so far, `new` included."""
    new: str
    """What is held back and waits for this check."""
    final: bool
    """There will be no more."""


Check = Callable[[Passage], Awaitable[str | None]]
"""None = it may pass; text = the reason why not. Whatever it raises holds the passage back."""


class GateRule(NamedTuple):
    """What a route wants of its gate. `window` in characters; None = the whole answer is held back."""

    check: Check
    window: int | None = None
    timeout: float = 10.0


class Voice:
    """One of those that speak in an answer, and what it has said."""

    __slots__ = ("_new", "said")

    def __init__(self) -> None:
        self.said = ""
        """But for what is new."""
        self._new: list[str] = []

    def say(self, text: str) -> None:
        self._new.append(text)

    def take(self) -> str:
        """What is new; from now on it is said."""
        new = "".join(self._new)
        self._new.clear()
        self.said += new
        return new


class Gate:
    """One stream's. `dialect` is that of the blocks."""

    def __init__(self, generation: Generation, rule: GateRule, dialect: str) -> None:
        self._generation = generation
        self._stream = generation.stream
        self._rule = rule
        self._decoder = DIALECTS[dialect].decoder(generation.stream.about)
        self._blocks = Log()
        self._voices: dict[tuple[object, ...], Voice] = {}
        self._size = 0
        """Characters that wait for the next check."""
        self._waiting = 0
        """Bytes of the blocks that wait for the next check."""
        self._heard = 0
        """Bytes of all blocks: what is held back counts towards the longest answer just as what is in the log."""
        self._pausing = False
        self._task: asyncio.Task[None] | None = None
        self._finish: Callable[[], None] | None = None
        self.untold: Error | None = None
        """What the answer holds and events can't tell: its end, if it would be a good one."""
        self._hold(Start(self._stream.id, self._stream.about.model))

    def push(self, block: bytes) -> None:
        """Hold back what `block` says."""
        self._heard += len(block)
        if self._heard > MAX_ANSWER_BYTES:
            self._generation.overflow()
            return
        try:
            events = self._decoder.decode(block)
        except ProtocolError as error:
            self._generation.fail("upstream_protocol_error", str(error))
            return
        for event in events:
            match event:
                case Error():
                    self.untold = event
                    continue
                case Start() | Usage() | Done():
                    continue  # all of these are ours to say
                case Token(text, index) | Reasoning(text, index) | Refusal(text, index):
                    self._say(text, type(event), index)
                case ToolCall():
                    self._say(event.name or "", "name", event.choice, event.index)
                    self._say(event.arguments, "arguments", event.choice, event.index)
                case _:
                    pass  # it says nothing
            self._hold(event)
        if self._rule.window is not None and self._size >= self._rule.window:
            self._begin()
            if self._task is not None and self._waiting > AHEAD_BYTES + 4 * self._rule.window:
                # Said each time: a reader that moves on may have let the upstream go on.
                self._pausing = True
                self._generation.pause()

    def close(self, finish: Callable[[], None]) -> None:
        """The answer is whole: call `finish` once all of it has passed."""
        self._finish = finish
        self._begin()

    def stop(self) -> None:
        """The stream is over: what is held back is never shown."""
        self._blocks, self._voices = Log(), {}
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _hold(self, event: Event) -> None:
        block = encode_event(event)
        self._blocks.append(block)
        if len(self._blocks.tail) >= SEGMENT_ENTRIES:
            self._blocks.seal()
        self._waiting += len(block)

    def _say(self, text: str, *who: object) -> None:
        if text:
            self._voices.setdefault(who, Voice()).say(text)
            self._size += len(text)

    def _begin(self) -> None:
        if self._task is None and not self._generation.over:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Check what is held back, again and again as long as there is enough of it."""
        try:
            while not self._generation.over:
                blocks, self._blocks, self._waiting = self._blocks, Log(), 0
                self._go_on()
                new, self._size = "\n".join(filter(None, [voice.take() for voice in self._voices.values()])), 0
                final = self._finish is not None
                if new or final:
                    refused = await self._ask(new, final)
                    if self._stream.end is not None:
                        return
                    if refused is not None:
                        code, reason = refused
                        self._generation.fail(code, reason, retryable=code != "refused")
                        return
                turn = 0
                for offset in range(1, blocks.last + 1):
                    block = blocks.entry(offset)
                    self._stream.append(block)
                    turn += len(block)
                    if turn > TURN_BYTES:
                        turn = 0
                        self._generation.shown()
                        await asyncio.sleep(0)
                    if self._stream.end is not None:
                        return
                if blocks.last:
                    self._generation.shown()
                if final and self._finish is not None:
                    self._finish()
                    return
                if self._finish is None and (self._rule.window is None or self._size < self._rule.window):
                    return
        finally:
            self._task = None
            self._go_on()

    def _go_on(self) -> None:
        """Nothing keeps the upstream waiting here. Full readers still may: then it is they who let it go on."""
        if self._pausing:
            self._pausing = False
            if not self._stream.paused:
                self._generation.resume()

    async def _ask(self, new: str, final: bool) -> tuple[str, str] | None:
        about = self._stream.about
        text = "\n".join(voice.said for voice in self._voices.values())
        passage = Passage(about.stream, about.model, self._stream.tenant, text, new, final)
        checking = asyncio.get_running_loop().create_task(_verdict(self._rule.check, passage))
        _checking.add(checking)
        checking.add_done_callback(_let_go)
        try:
            await asyncio.wait({checking}, timeout=self._rule.timeout)
        finally:
            checking.cancel()
        error: BaseException | None = None
        if not checking.done():
            log.error("the gate of %s failed: no answer within %g s", about.model, self._rule.timeout)
        elif checking.cancelled():
            log.error("the gate of %s failed: it was cancelled from within", about.model)
        elif error := checking.exception():
            log.error("the gate of %s failed: %s", about.model, type(error).__name__, exc_info=error)
        else:
            reason = checking.result()
            if reason is None:
                return None
            # It goes to clients as UTF-8: half a character of the user's must not break the end of their stream.
            return "refused", reason[:500].encode("utf-8", "replace").decode() or "refused"
        return "gate_failed", "the gate that checks this model's answers failed"


async def _verdict(check: Check, passage: Passage) -> str | None:
    try:
        return await check(passage)
    except (SystemExit, KeyboardInterrupt) as error:
        # A task lets these out of the loop. Our signals are heard by handlers: here it is the user's code that raised it.
        raise RuntimeError(f"the check raised {error!r}") from error


def _let_go(checking: asyncio.Task[str | None]) -> None:
    _checking.discard(checking)
    if not checking.cancelled():
        checking.exception()  # told where it was awaited; one that was late has been told as late
