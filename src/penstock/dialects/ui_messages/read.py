"""Reading a `ui-messages` upstream's blocks: a route of an AI SDK server, or another Penstock.

The probe and the decoder read a block by the same types, so whatever the probe lets into a log, the decoder can tell. Parts
of types that are not known here (`data-*`, and what later versions bring) are let through, and say nothing to clients of
other dialects. An answer is whole with its `finish`; a server that sends none says `[DONE]`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.ui_messages.errors import failed
from penstock.dialects.untold import Untold
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Start, Token, ToolCall, Usage

_Reason = Literal["completed", "length", "tool_calls", "content_filter"]

_OUTCOME: dict[str, _Reason] = {
    "stop": "completed",
    "length": "length",
    "tool-calls": "tool_calls",
    "content-filter": "content_filter",
    # ours, in the metadata of a `finish` without a reason
    "completed": "completed",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
"""What a `finishReason` is called here. `other`, and whatever comes to be, is a way to say `stop`; `error` fails."""

_NOTHING = msgspec.Raw()

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


class _Told(msgspec.Struct, gc=False, rename="camel"):
    """Any part of the stream."""

    type: Annotated[str, msgspec.Meta(min_length=1)]
    delta: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    input_text_delta: str | None = None
    input_encoding: str | None = None
    input: msgspec.Raw = _NOTHING
    provider_executed: bool | None = None
    error_text: str | None = None
    media_type: Any = None
    reason: str | None = None
    finish_reason: str | None = None
    message_metadata: msgspec.Raw = _NOTHING


class _Typed(msgspec.Struct, gc=False):
    type: str


class _Metadata(msgspec.Struct):
    """What Penstock says in the metadata of a `finish`."""

    usage: Usage | None = None
    outcome: str | None = None


_KNOWN = frozenset(
    ("start", "start-step", "text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta",
     "reasoning-end", "tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error",
     "tool-output-available", "tool-output-error", "tool-output-denied", "finish-step", "finish", "abort", "error")
)  # fmt: skip
_END = _Told("[DONE]")
_SETTLED = frozenset(("tool-output-available", "tool-output-error", "tool-output-denied"))

_decode_told = msgspec.json.Decoder(_Told).decode
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode


def _read(block: bytes) -> _Told:
    """The part of a block, whatever its framing; `_END` for the end marker. Raises ProtocolError."""
    data = sse.payload(block)
    if data.strip() == b"[DONE]":
        return _END
    try:
        return _decode_told(data)
    except BROKEN_JSON as error:
        why = str(error)
    try:
        kind = _decode_type(data).type
    except BROKEN_JSON:
        kind = ""
    if kind in _KNOWN or not kind:
        raise ProtocolError(f"the upstream sent data that is no part of a UI message stream: {why}")
    return _Told(kind)


def _metadata(told: _Told) -> _Metadata:
    """Applications put into it what they like: what is not ours is none."""
    try:
        found = _decode_metadata(told.message_metadata)
    except BROKEN_JSON:
        return _Metadata()
    used = found.usage
    if used is not None and used.input_tokens is None and used.output_tokens is None:
        found.usage = None
    return found


class _Calls:
    """The calls of tools that nobody has answered in the stream. A server may run its tools, and go on."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: set[str] = set()

    def see(self, told: _Told) -> None:
        """A part of any type that begins with `tool-`."""
        if told.type == "tool-input-available" and not told.provider_executed:
            self._open.add(told.tool_call_id or "")
        elif told.type in _SETTLED:
            self._open.discard(told.tool_call_id or "")

    def reason(self, told: _Told) -> _Reason:
        """How a `finish`, or an end without one, says that the answer ended."""
        said = told.finish_reason or _metadata(told).outcome
        if said is None:
            return "tool_calls" if self._open else "completed"
        return _OUTCOME.get(said, "completed")


class UIProbe:
    """One typed parse per block."""

    __slots__ = ("_calls", "complete", "failure", "held", "outcome", "started", "usage")

    def __init__(self) -> None:
        self._calls = _Calls()
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"

    def __call__(self, block: bytes) -> Kind:
        try:
            # Past `event: ...` to the one line of data. Several lines are no JSON from here to the end.
            told = _decode_told(block[block.find(b"data: ") + 6 : -2])
        except BROKEN_JSON:
            told = _read(block)
        kind = told.type
        if kind in ("text-delta", "reasoning-delta"):
            if told.delta:
                self.started = True
            return _DATA
        if kind.startswith("tool-"):
            self.started = True
            self._calls.see(told)
            return _DATA
        return self._rarely(kind, told, block)

    def _rarely(self, kind: str, told: _Told, block: bytes) -> Kind:
        if told is _END:
            # Only here if there was no `finish`. It is told to clients of other dialects as one.
            self.held = block
            self.outcome = self._calls.reason(told)
            return Kind.LAST
        if kind == "finish":
            if told.finish_reason == "error":
                self.failure = failed("the upstream ended the answer with an error")
                return Kind.FAILED
            self.usage = _metadata(told).usage
            self.outcome = self._calls.reason(told)
            return Kind.LAST
        if kind == "error":
            self.failure = failed(told.error_text)
            return Kind.FAILED
        if kind == "abort":
            self.failure = failed(f"the upstream aborted the answer: {told.reason or 'it did not say why'}")
            return Kind.FAILED
        if kind == "file":
            self.started = True  # a sign of life too, though only clients of this dialect can see it
        return _DATA


class UIDecoder:
    """Blocks -> events. The calls of tools are numbered in the order in which they begin."""

    __slots__ = ("_about", "_calls", "_foreign", "_numbers", "_over", "_streamed", "_textual", "_untold")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._calls = _Calls()
        self._numbers: dict[str, int] = {}
        """Number of a call by its id."""
        self._streamed: set[str] = set()
        """Calls whose input has come."""
        self._textual: set[str] = set()
        """Calls whose deltas are no JSON: it comes whole."""
        self._foreign: set[str] = set()
        """Calls of tools that run at the model's provider."""
        self._untold = Untold("ui-messages")
        self._over = False

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
        told = _read(block)
        if self._over:
            return events
        if told is _END or told.type == "finish":
            self._over = True
            events.append(self._untold.end(Finish(self._calls.reason(told))))
            return events
        match told.type:
            case "text-delta" if told.delta:
                events.append(Token(told.delta))
                self._untold.said = True
            case "reasoning-delta" if told.delta:
                events.append(Reasoning(told.delta))
            case "tool-input-start" | "tool-input-delta" | "tool-input-available" | "tool-input-error":
                self._calls.see(told)
                self._input(told, told.tool_call_id or "", events)
            case "file":
                self._untold.part(f"file ({told.media_type})" if isinstance(told.media_type, str) else "file")
            case _:
                self._calls.see(told)
        return events

    def _input(self, told: _Told, id: str, events: list[Event]) -> None:
        if told.provider_executed:
            self._foreign.add(id)
            self._untold.work(f"tool-{told.tool_name or 'input'}")
        if told.input_encoding == "text":
            self._textual.add(id)
        if id in self._foreign or (id in self._streamed and told.type != "tool-input-delta"):
            return
        arguments = _arguments(told, id in self._textual)
        if arguments:
            self._streamed.add(id)
        self._untold.said = True
        if id not in self._numbers:
            number = self._numbers[id] = len(self._numbers)
            events.append(ToolCall(number, told.tool_call_id, told.tool_name, arguments))
        elif arguments:
            events.append(ToolCall(self._numbers[id], arguments=arguments))


def _arguments(told: _Told, textual: bool) -> str:
    """The arguments in a part, as JSON text; where the input is whole, there are some."""
    match told.type:
        case "tool-input-delta":
            return "" if textual else told.input_text_delta or ""
        case "tool-input-available":
            text = bytes(told.input).decode()
            return "{}" if text in ("", "null") else text
        case "tool-input-error":
            # What could not be read is told as it was.
            text = bytes(told.input).decode()
            return str(msgspec.json.decode(text)) if text.startswith('"') else text
        case _:
            return ""
