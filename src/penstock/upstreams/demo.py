"""The embedded demo model: no AI, no key, no network; it answers with the prompt's own words.

It is an upstream like any other (an async generator of events), so that a person who has just installed Penstock sees
the whole river at work: thinking first, then words at a reading pace, then usage. The same prompt always gives the same
answer, so a resumed, doubled or lost word shows at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from penstock.upstreams.demo_answers import Answer, Message, compose
from penstock.upstreams.demo_tools import Tool, call
from penstock.wire.events import Event, Finish, Reasoning, Token, ToolCall, Usage

__all__ = ["Answer", "Message", "Request", "Tool", "answer", "compose", "pieces"]

THINKING_PAUSE = 0.35
"""Seconds of silence before the first event: long enough to see that the page says so."""

REASONING_BUDGET = 100
"""With fewer tokens than this to spend, all of them go into the answer, and none into thinking."""

_PIECE = re.compile(r"\S{1,24}\s*|\s+")


class Request(Protocol):
    """What the demo model reads of a request."""

    @property
    def messages(self) -> Sequence[Message]: ...
    @property
    def tools(self) -> Sequence[Tool] | None: ...
    @property
    def max_tokens(self) -> int | None: ...


def pieces(text: str) -> Iterator[tuple[float, str]]:
    """Cut the text into words, each with the seconds to wait before it: 25 to 40 words a second, always the same."""
    for number, match in enumerate(_PIECE.finditer(text)):
        # Knuth's multiplicative hash: spread evenly, and needs no random state.
        spread = (number * 2654435761 >> 7) % 1000 / 1000
        yield 0.025 + 0.015 * spread, match[0]


async def answer(request: Request) -> AsyncIterator[Event]:
    """Answer as a model would: `Reasoning`, `Token` or `ToolCall`, `Finish` unless plainly complete, then `Usage`."""
    await asyncio.sleep(THINKING_PAUSE)
    wanted = call(request.messages, request.tools or ())
    if wanted is not None:
        yield ToolCall(index=0, id=wanted.id, name=wanted.name)
        written = 0
        for delay, piece in pieces(wanted.arguments):
            await asyncio.sleep(delay)
            written += 1
            yield ToolCall(index=0, arguments=piece)
        yield Finish("tool_calls")
        yield _usage(request, written)
        return

    reasoning, text = compose(request.messages)
    left = request.max_tokens
    thought = written = 0
    if left is None or left >= REASONING_BUDGET:
        for delay, piece in pieces(reasoning):
            await asyncio.sleep(delay)
            thought += 1
            yield Reasoning(piece)
    for delay, piece in pieces(text):
        if left is not None and thought + written >= left:
            yield Finish("length")
            break
        await asyncio.sleep(delay)
        written += 1
        yield Token(piece)
    yield _usage(request, thought + written, thought)


def _usage(request: Request, output: int, thought: int = 0) -> Usage:
    """Words stand for tokens. Blanks are counted, not words split: a megabyte of prompt must not hold up the loop."""
    read = sum(message.text.count(" ") + message.text.count("\n") + 1 for message in request.messages)
    return Usage(input_tokens=read, output_tokens=output, cached_tokens=0, reasoning_tokens=thought, source="final")
