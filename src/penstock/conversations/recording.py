"""Recordings: one answer, followed from its log to what is kept of it.

A recording is a reader of the stream, in the native dialect. Its sink only puts bytes aside, for it is called at every token;
they are read when something is to be written down, some ten times a second for all recordings together.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.conversations.records import Call, Failure, Message, Pace
from penstock.conversations.store import Growth, Place
from penstock.dialects.native import decode_event
from penstock.streams.stream import Stream
from penstock.wire.events import Done, Error, Reasoning, Refusal, Token, ToolCall, Usage
from penstock.wire.position import parse_position


class Recording:
    """The sink of one answer's reader. `on_news` is called once after each `news`, when there is something new."""

    full = False

    def __init__(self, place: Place, answer: Message, stream: Stream, on_news: Callable[[Recording], None]) -> None:
        self.place = place
        self.answer = answer
        self.stream = stream
        self.ended = False
        self._on_news = on_news
        self._blocks: list[bytes] = []
        self._before: list[Growth] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._newly = (0, 0)
        """How many pieces of those the last `news` held. What is read after it, by whoever looks, is the next news."""
        self._lengths = array("Q", [0, 0])
        """How much there was, text and reasoning, after each offset of `_offsets`."""
        self._offsets = array("Q", [0])
        self._position: bytes | None = None
        """Of the last block that was read, as it came."""
        self._calls: dict[int, list[str]] = {}
        self._usage: dict[str, Any] | None = None
        self._last: Done | Error | None = None

    # -- the reader's side: nothing here but putting aside -----------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._blocks.append(data)
        if len(self._blocks) == 1:
            self._on_news(self)

    def end(self) -> None:
        self.ended = True
        self._on_news(self)

    def abort(self) -> None:
        self.end()

    # -- the writer's side -------------------------------------------------------------------------------------------

    def news(self) -> Growth:
        """What was said since it was last `kept`. For the one writer alone."""
        self._take()
        self._newly = (len(self._text), len(self._reasoning))
        return Growth(self.place, "".join(self._text), "".join(self._reasoning))

    def kept(self, growth: Growth) -> None:
        """The last news was written down."""
        self._before.append(growth)
        text, reasoning = self._newly
        del self._text[:text]
        del self._reasoning[:reasoning]
        self._newly = (0, 0)

    def so_far(self) -> Message:
        """The answer, while it is being made."""
        text, reasoning = self._said()
        position = None if self._position is None else self._position.decode()
        return msgspec.structs.replace(
            self.answer, text=text, reasoning=reasoning, tool_calls=self._tool_calls(), position=position
        )

    def message(self) -> Message:
        """The whole answer, at its end."""
        text, reasoning = self._said()
        last = self._last or Error("interrupted", "the answer was not followed to its end", True, "interrupted")
        if isinstance(last, Done) and last.kept is not None:
            at = bisect_right(self._offsets, last.kept) - 1
            text, reasoning = text[: self._lengths[2 * at]], reasoning[: self._lengths[2 * at + 1]]
        return msgspec.structs.replace(
            self.answer,
            text=text,
            reasoning=reasoning,
            tool_calls=self._tool_calls(),
            state="ended",
            outcome=last.outcome,
            error=Failure(last.code, last.message, last.retryable) if isinstance(last, Error) else None,
            usage=self._usage,
            timing=self._pace(),
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _take(self) -> None:
        data, self._blocks = b"".join(self._blocks), []
        for framed in data.split(b"\n\n"):  # canonical blocks hold no empty line
            if framed.startswith(b"id: "):
                id, _, block = framed.partition(b"\n")
                self._read(id[4:], block + b"\n\n")

    def _said(self) -> tuple[str, str]:
        self._take()
        text = "".join([*(growth.text for growth in self._before), *self._text])
        return text, "".join([*(growth.reasoning for growth in self._before), *self._reasoning])

    def _tool_calls(self) -> list[Call]:
        return [Call(*parts) for _, parts in sorted(self._calls.items())]

    def _read(self, id: bytes, block: bytes) -> None:
        self._position = id
        event = decode_event(block)
        match event:
            case Token(text=text, index=0) | Refusal(text=text, index=0):
                self._text.append(text)
                self._mark(id, len(text), 0)
            case Reasoning(text=text, index=0):
                self._reasoning.append(text)
                self._mark(id, 0, len(text))
            case ToolCall(choice=0):
                call = self._calls.setdefault(event.index, ["", "", ""])
                call[0] = event.id or call[0]
                call[1] = event.name or call[1]
                call[2] += event.arguments
            case Usage():
                self._usage = msgspec.to_builtins(event)
            case Done() | Error():
                self._last = event

    def _mark(self, id: bytes, text: int, reasoning: int) -> None:
        position = parse_position(id.decode())
        lengths = self._lengths
        more = (lengths[-2] + text, lengths[-1] + reasoning)
        if position.offset == self._offsets[-1]:
            lengths[-2], lengths[-1] = more
        else:
            self._offsets.append(position.offset)
            lengths.extend(more)

    def _pace(self) -> Pace | None:
        timing = self.stream.timing
        if timing is None:
            return None
        wrote = (self._usage or {}).get("output_tokens")
        took = timing.last - timing.first_token if timing.first_token else 0.0
        # The first token came with the time to the first token: n tokens have n - 1 gaps.
        rate = (wrote - 1) / took if wrote and wrote > 1 and took > 0 else None
        return Pace(timing.time_to_first_token, self.stream.ended_at - timing.asked, rate)
