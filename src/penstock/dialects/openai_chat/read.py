"""Reading an `openai-chat` upstream's blocks.

The probe and the decoder read a chunk by the same types, so whatever the probe lets into a log, the decoder can tell.
"""

from __future__ import annotations

import json
from typing import Literal

from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.calls import CallNumbers
from penstock.dialects.openai_chat.chunks import (
    NOTHING,
    CustomDelta,
    Delta,
    FunctionDelta,
    decode_chunk,
    mended,
    read_odd,
)
from penstock.dialects.openai_chat.errors import read_failure, read_plainly_told, read_told
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage

_Piece = Token | Reasoning | Refusal | ToolCall

_Reason = Literal["completed", "length", "tool_calls", "content_filter"]

_OUTCOME: dict[str, _Reason] = {
    "stop": "completed",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""What a `finish_reason` is called here. One that is not listed is some provider's own way to say `stop` ..."""

_BROKEN_OFF = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
"""... except for these, by which providers say that the answer is not complete: it must not look so."""

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search

_LEGACY = -1
"""The place of a `function_call`, of which an answer has one at most."""


class ChatProbe:
    """One typed parse per block.

    It costs half a microsecond, as much as two `in` searches over the same bytes, and unlike them it cannot be fooled by
    text that looks like a key; JSON that is broken anywhere is found here.
    """

    __slots__ = ("complete", "failure", "held", "needs_done", "outcome", "started", "usage")

    def __init__(self) -> None:
        self.needs_done = True
        """Without its end marker the answer is not whole. Servers with the quirk `no_done` never send one."""
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"

    def __call__(self, block: bytes) -> Kind:
        try:
            chunk = decode_chunk(block[6:-2])
        except BROKEN_JSON:
            # Not one plain line of JSON: the end marker, several lines, a named event; or not quite a chunk.
            data = sse.payload(block)
            if sse.event_name(block) == "error":
                self.failure = read_failure(data)
                return Kind.FAILED
            if data.strip() == b"[DONE]":
                return Kind.END
            try:
                chunk = decode_chunk(data)
            except BROKEN_JSON:
                chunk = read_odd(data)
        if chunk.error is not NOTHING and bytes(chunk.error) != b"null":
            self.failure = read_told(chunk.error)
            return Kind.FAILED
        if chunk.usage is not None:
            self.usage = chunk.usage.fact()
        if not chunk.choices:
            # Rare, one or two in an answer: they can be looked at again.
            if (failure := read_plainly_told(sse.payload(block))) is not None:
                self.failure = failure
                return Kind.FAILED
            if chunk.usage is None:
                return _DATA
            self.held = block
            return Kind.HELD
        for choice in chunk.choices:
            if reason := choice.finish_reason:
                if reason in _BROKEN_OFF:
                    message = f"the upstream broke off: finish_reason {reason}"
                    self.failure = Error("upstream_error", message, retryable=True, outcome="upstream_error")
                    return Kind.FAILED
                self.outcome = _OUTCOME.get(reason, "completed")
                self.complete = not self.needs_done
            if not self.started and choice.delta is not None:
                self.started = _has_token(choice.delta)
        return _DATA


def _has_token(delta: Delta) -> bool:
    return bool(
        delta.content
        or delta.reasoning_content
        or delta.reasoning
        or delta.refusal
        or delta.tool_calls
        or delta.function_call
    )


class ChatDecoder:
    """Chunks -> events."""

    __slots__ = ("_about", "_customs", "_half", "_numbers")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._numbers = CallNumbers()
        self._customs: dict[int, list[int]] = {}
        """By choice, the calls of tools that take text, which is told elsewhere as `{"input": text}`."""
        self._half: _Piece | None = None
        """The first half of a character, whose second may come with the next piece."""

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
        data = sse.payload(block)
        odd = False
        try:
            chunk = decode_chunk(data)
        except BROKEN_JSON:
            chunk, odd = read_odd(data), True
        for choice in chunk.choices or ():
            index = choice.index
            if choice.delta is not None:
                self._read(choice.delta, index, events)
            if choice.finish_reason:
                events += [ToolCall(number, arguments='"}', choice=index) for number in self._customs.pop(index, ())]
                events.append(Finish(_OUTCOME.get(choice.finish_reason, "completed"), index))
        return self._with_whole_characters(events) if odd or self._half is not None else events

    def _read(self, delta: Delta, index: int, events: list[Event]) -> None:
        # One thought, under either of the two names that are in use; some upstreams send it under both.
        if thought := delta.reasoning_content or delta.reasoning:
            events.append(Reasoning(thought, index))
        if delta.reasoning and delta.reasoning != thought:
            events.append(Reasoning(delta.reasoning, index))
        if delta.content:
            events.append(Token(delta.content, index))
        if delta.refusal:
            events.append(Refusal(delta.refusal, index))
        for call in delta.tool_calls or ():
            if call.custom is not None:
                events.append(self._custom(call.custom, index, call.index, call.id))
                continue
            function = call.function or FunctionDelta()
            number = self._numbers.of(index, call.index, call.id, function.name)
            events.append(ToolCall(number, call.id, function.name, function.arguments or "", index))
        if (legacy := delta.function_call) is not None:
            number = self._numbers.of(index, _LEGACY, None, legacy.name)
            events.append(ToolCall(number, None, legacy.name, legacy.arguments or "", index))

    def _custom(self, custom: CustomDelta, choice: int, index: int | None, id: str | None) -> ToolCall:
        number = self._numbers.of(choice, index, id, custom.name)
        opened = self._customs.setdefault(choice, [])
        text = json.dumps(custom.input or "", ensure_ascii=False)[1:-1]
        if number not in opened:
            opened.append(number)
            text = f'{{"input":"{text}'
        return ToolCall(number, id, custom.name, text, choice)

    def _with_whole_characters(self, events: list[Event]) -> list[Event]:
        """`events` with whole characters only: halves are joined, or told as U+FFFD when the other half does not come."""
        told: list[Event] = []
        for event in events:
            half, self._half = self._half, None
            if half is not None and _place(half) != _place(event):
                told.append(_with(half, "\ufffd"))
                half = None
            if not isinstance(event, Token | Reasoning | Refusal | ToolCall):
                told.append(event)
                continue
            text = ("" if half is None else _text(half)) + _text(event)
            if text and "\ud800" <= text[-1] <= "\udbff":
                self._half = _with(event, text[-1])
                text = text[:-1]
            if isinstance(event, ToolCall) and (event.id is not None or event.name is not None):
                id, name = event.id and mended(event.id), event.name and mended(event.name)
                told.append(ToolCall(event.index, id, name, mended(text), event.choice))
            elif text or self._half is None:
                told.append(_with(event, mended(text)))
        return told


def _text(piece: _Piece) -> str:
    return piece.arguments if isinstance(piece, ToolCall) else piece.text


def _with(piece: _Piece, text: str) -> _Piece:
    """Another piece of the same, without what comes once."""
    if isinstance(piece, ToolCall):
        return ToolCall(piece.index, arguments=text, choice=piece.choice)
    return type(piece)(text, piece.index)


def _place(event: Event) -> tuple[object, ...]:
    """Pieces with the same place go on with one another."""
    match event:
        case ToolCall():
            return ToolCall, event.choice, event.index
        case Token() | Reasoning() | Refusal():
            return type(event), event.index
        case _:
            return ()
