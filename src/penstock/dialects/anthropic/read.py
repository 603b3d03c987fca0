"""Reading an `anthropic` upstream's blocks.

The probe and the decoder read a block by the same types, so whatever the probe lets into a log, the decoder can tell.
The API promises new event types, block types and delta types at any time: what is not known is let through, and says nothing
to clients of other dialects.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.dialects.anthropic.errors import read_told
from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.untold import Untold
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage, UsageSource

_Reason = Literal["completed", "length", "tool_calls", "content_filter"]

_OUTCOME: dict[str, _Reason] = {
    "end_turn": "completed",
    "stop_sequence": "completed",
    "pause_turn": "length",  # the provider's tools took so many turns that it wants to be asked to go on
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""What a `stop_reason` is called here. One that is not listed is a new way to say `end_turn` ..."""

_BROKEN_OFF = frozenset({"error", "abort"})
"""... except for these, by which other servers of this API say that the answer is not complete."""

_NOTHING = msgspec.Raw()

_FILES = frozenset(("image", "document", "container_upload"))
"""Blocks that are part of the answer, and that no event tells. All others that are not known are work of the provider's."""

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search
_HELD = Kind.HELD


class _Thinking(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    """Counts so far; `input_tokens` without what was read from and written to the cache."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Thinking | None = None
    source: UsageSource = "final"
    """Ours (see `write.py`)."""


class _Block(msgspec.Struct, gc=False):
    """A `content_block`, as it starts: text, thinking and input are empty by custom, but need not be."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING


class _StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


class _Delta(msgspec.Struct, gc=False):
    """The `delta` of a content block or of the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None


class _Message(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Told(msgspec.Struct, gc=False):
    """Any event of the stream."""

    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _NOTHING


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


class _LooseTold(msgspec.Struct, gc=False):
    """An event whose usage has a shape of its own: as good as none, it will be estimated."""

    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    error: msgspec.Raw = _NOTHING


class _Outline(msgspec.Struct, gc=False):
    """An event of which we know only the types that it names."""

    type: str = ""
    delta: _Typed | None = None
    content_block: _Typed | None = None


_KNOWN = frozenset(
    ("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "ping", "error", "")
)  # fmt: skip
_KNOWN_PARTS = frozenset(("text", "thinking", "tool_use", "text_delta", "thinking_delta", "input_json_delta", ""))

_decode_told = msgspec.json.Decoder(_Told).decode
_decode_loosely = msgspec.json.Decoder(_LooseTold).decode
_decode_outline = msgspec.json.Decoder(_Outline).decode
_decode_type = msgspec.json.Decoder(_Typed).decode


def _read(block: bytes) -> _Told:
    """The event of a block, whatever its framing. Raises ProtocolError."""
    data = sse.payload(block)
    try:
        told = _decode_told(data)
    except msgspec.ValidationError as error:
        told = _read_loosely(data, str(error))
    except BROKEN_JSON as error:
        raise _no_event(str(error)) from None
    if not told.type:
        told.type = "error" if _is_given(told.error) else sse.event_name(block)
    return told


def _read_loosely(data: bytes, why: str) -> _Told:
    """An event that is not of the shapes we know: because it is of a new type, or because it is wrong."""
    try:
        loose = _decode_loosely(data)
        return _Told(loose.type, loose.index, loose.delta, loose.content_block, error=loose.error)
    except msgspec.ValidationError:
        pass
    except BROKEN_JSON as error:
        raise _no_event(str(error)) from None
    try:
        kind = _decode_type(data).type
        if kind not in _KNOWN:
            return _Told(kind)
        outline = _decode_outline(data)
    except BROKEN_JSON:
        raise _no_event(why) from None
    parts = [part.type for part in (outline.delta, outline.content_block) if part is not None]
    if kind.startswith("content_block_") and any(part not in _KNOWN_PARTS for part in parts):
        return _Told(kind)
    raise _no_event(why)


def _is_given(raw: msgspec.Raw) -> bool:
    return raw is not _NOTHING and bytes(raw) != b"null"


def _no_event(why: str) -> ProtocolError:
    return ProtocolError(f"the upstream sent data that is not an event of the Messages API: {why}")


class MessagesProbe:
    """One typed parse per block. The usage is an estimate until `message_delta` says how it ended."""

    __slots__ = ("_counts", "complete", "failure", "held", "outcome", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"
        self._counts = _Usage()

    def __call__(self, block: bytes) -> Kind:
        try:
            # Past `event: ...` to the one line of data. Several lines are no JSON from here to the end.
            told = _decode_told(block[block.find(b"data: ") + 6 : -2])
            if not told.type:
                told = _read(block)
        except BROKEN_JSON:
            told = _read(block)
        kind = told.type
        if kind == "content_block_delta":
            if not self.started and (delta := told.delta) is not None:
                self.started = bool(delta.text or delta.thinking or delta.partial_json)
            return _DATA
        if kind == "ping":
            return _HELD
        if kind == "message_stop":
            self.held = block
            return Kind.END
        return self._rarely(kind, told)

    def _rarely(self, kind: str, told: _Told) -> Kind:
        if kind == "error":
            self.failure = read_told(told.error)
            return Kind.FAILED
        if kind == "content_block_start" and told.content_block is not None:
            part = told.content_block
            # A tool that runs at the provider's is a sign of life too, though only clients of this dialect can see it.
            if part.text or part.thinking or part.type.endswith("tool_use") or part.type in _FILES:
                self.started = True
        elif kind == "message_start":
            if told.message is not None and told.message.usage is not None:
                self._count(told.message.usage, last=False)
        elif kind == "message_delta":
            if told.usage is not None:
                self._count(told.usage, last=True)
            if told.delta is not None and (reason := told.delta.stop_reason):
                if reason in _BROKEN_OFF:
                    message = f"the upstream broke off: stop_reason {reason}"
                    self.failure = Error("upstream_error", message, retryable=True, outcome="upstream_error")
                    return Kind.FAILED
                self.outcome = _OUTCOME.get(reason, "completed")
        return _DATA

    def _count(self, said: _Usage, *, last: bool) -> None:
        """Counts are cumulative: what is said later counts, what is not said again stays."""
        if said.source == "unknown":
            # Numbers that the format demands and that nobody knew.
            if not last:
                return
            said.output_tokens = None
        counts = self._counts
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"):
            if (count := getattr(said, name)) is not None:
                setattr(counts, name, count)
        if said.output_tokens_details is not None:
            counts.output_tokens_details = said.output_tokens_details
        read, wrote, details = (
            counts.cache_read_input_tokens,
            counts.cache_creation_input_tokens,
            counts.output_tokens_details,
        )
        self.usage = Usage(
            input_tokens=None if counts.input_tokens is None else counts.input_tokens + (read or 0) + (wrote or 0),
            # What is written at the start is no count of an answer that has not begun.
            output_tokens=counts.output_tokens if last else None,
            cached_tokens=read,
            reasoning_tokens=None if details is None else details.thinking_tokens,
            source="estimated" if said.source == "estimated" or not last else "final",
            cache_write_tokens=msgspec.UNSET if wrote is None else wrote,
        )


class MessagesDecoder:
    """Blocks -> events. The calls of tools are numbered in the order in which they begin."""

    __slots__ = ("_about", "_calls", "_foreign", "_silent", "_untold")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._calls: dict[int, int] = {}
        """Number of the call by the index of its content block."""
        self._silent: set[int] = set()
        """Blocks of calls that have not said anything of their input."""
        self._foreign: set[int] = set()
        """Blocks whose input is not for a tool of the client's."""
        self._untold = Untold("anthropic")

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
        told = _read(block)
        match told.type:
            case "content_block_delta" if told.delta is not None:
                self._go_on(told.index, told.delta, events)
            case "content_block_start" if told.content_block is not None:
                self._begin(told.index, told.content_block, events)
            case "content_block_stop" if told.index in self._silent:
                # Elsewhere the arguments of a call are JSON, also where there are none.
                self._silent.discard(told.index)
                events.append(ToolCall(self._calls[told.index], arguments="{}"))
            case "message_delta" if told.delta is not None and (reason := told.delta.stop_reason):
                if reason == "refusal" and told.delta.stop_details is not None and told.delta.stop_details.explanation:
                    events.append(Refusal(told.delta.stop_details.explanation))
                events.append(self._untold.end(Finish(_OUTCOME.get(reason, "completed"))))
            case _:
                pass
        if events and isinstance(events[-1], Token | ToolCall):
            self._untold.said = True
        return events

    def _begin(self, index: int, part: _Block, events: list[Event]) -> None:
        if part.type == "tool_use":
            told = bytes(part.input).decode()
            arguments = "" if "".join(told.split()) in ("", "{}", "null") else told
            self._calls[index] = call = len(self._calls)
            if not arguments:
                self._silent.add(index)
            events.append(ToolCall(call, part.id, part.name, arguments))
        elif part.type == "text":
            if part.text:
                events.append(Token(part.text))
        elif part.type == "thinking":
            if part.thinking:
                events.append(Reasoning(part.thinking))
        else:
            self._foreign.add(index)
            if part.type in _FILES:
                self._untold.part(part.type)
            elif part.type != "redacted_thinking":
                self._untold.work(part.type)

    def _go_on(self, index: int, delta: _Delta, events: list[Event]) -> None:
        match delta.type:
            case "text_delta" if delta.text:
                events.append(Token(delta.text))
            case "thinking_delta" if delta.thinking:
                events.append(Reasoning(delta.thinking))
            case "input_json_delta" if delta.partial_json and index not in self._foreign:
                self._silent.discard(index)
                # A block whose start nobody remembers still has its input.
                call = self._calls.setdefault(index, len(self._calls))
                events.append(ToolCall(call, arguments=delta.partial_json))
            case _:
                pass  # signatures, citations: only this dialect has them
