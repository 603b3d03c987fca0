"""Gates: somebody sees the text before any reader does.

What an upstream says is held back, the whole answer or up to a window of characters, until a check has passed it. A check
that refuses ends the stream as `refused`, with its reason; one that fails does so too, as `gate_failed`: nothing unchecked is
ever shown. Blocks keep their order, and enter the log only when they have passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from penstock.dialects import DIALECTS
from penstock.exceptions import ProtocolError
from penstock.wire.events import Reasoning, Refusal, Token, ToolCall

if TYPE_CHECKING:
    from penstock.streams.generation import Generation

log = logging.getLogger("penstock.gate")


class Passage(NamedTuple):
    """What a check sees: text, refusals, reasoning and tool arguments, in the order in which they were said."""

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


class Gate:
    """One stream's."""

    def __init__(self, generation: Generation, rule: GateRule, dialect: str) -> None:
        self._generation = generation
        self._stream = generation.stream
        self._rule = rule
        self._decoder = DIALECTS[dialect].decoder(generation.stream.about)
        self._blocks: list[bytes] = []
        self._new: list[str] = []
        self._size = 0
        self._passed = ""
        self._task: asyncio.Task[None] | None = None
        self._finish: Callable[[], None] | None = None

    def push(self, block: bytes) -> None:
        """Hold `block` back. The stream's own first entry may come here too."""
        self._blocks.append(block)
        try:
            events = self._decoder.decode(block)
        except ProtocolError as error:
            self._generation.fail("upstream_protocol_error", str(error))
            return
        for event in events:
            match event:
                case Token(text) | Reasoning(text) | Refusal(text):
                    self._say(text)
                case ToolCall():
                    self._say(event.arguments)
                case _:
                    pass
        if self._rule.window is not None and self._size >= self._rule.window:
            self._begin()

    def close(self, finish: Callable[[], None]) -> None:
        """The answer is whole: call `finish` once all of it has passed."""
        self._finish = finish
        self._begin()

    def stop(self) -> None:
        """The stream is over: what is held back is never shown."""
        self._blocks.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _say(self, text: str) -> None:
        self._new.append(text)
        self._size += len(text)

    def _begin(self) -> None:
        if self._task is None and not self._generation.over:
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Check what is held back, again and again as long as there is enough of it."""
        try:
            while not self._generation.over:
                blocks, self._blocks = self._blocks, []
                new, self._new, self._size = "".join(self._new), [], 0
                final = self._finish is not None
                if new or final:
                    refused = await self._ask(new, final)
                    if self._stream.end is not None:
                        return
                    if refused is not None:
                        self._generation.refuse(*refused)
                        return
                self._passed += new
                for block in blocks:
                    self._stream.append(block)
                if blocks:
                    self._generation.shown()
                if final and self._finish is not None:
                    self._finish()
                    return
                if self._finish is None and (self._rule.window is None or self._size < self._rule.window):
                    return
        finally:
            self._task = None

    async def _ask(self, new: str, final: bool) -> tuple[str, str] | None:
        about = self._stream.about
        passage = Passage(about.stream, about.model, self._stream.tenant, self._passed + new, new, final)
        try:
            async with asyncio.timeout(self._rule.timeout):
                reason = await self._rule.check(passage)
        except Exception as error:  # the user's code or service: whatever it raises, nothing passes
            log.exception("the gate of %s failed: %s", about.model, type(error).__name__)
            return "gate_failed", "the gate that checks this model's answers failed"
        return None if reason is None else ("refused", reason[:500] or "refused")
