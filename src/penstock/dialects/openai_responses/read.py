"""Reading an `openai-responses` upstream's blocks.

The probe and the decoder read an event by the same types, so whatever the probe lets into a log, the decoder can tell.
Events that are not known are let through, and say nothing to clients of other dialects.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.openai_responses.errors import Told, read_told
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage

_Outcome = Literal["completed", "length", "tool_calls", "content_filter"]

_TOKENS = frozenset(
    (
        "response.output_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
    )
)
_WHOLE = frozenset(("response.completed", "response.incomplete"))
_FAILED = frozenset(("response.failed", "response.cancelled", "error"))

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    source: Literal["final", "estimated", "unknown"] = "final"
    """Ours (see `whole.py`): so that an estimate stays one when it has come through two gateways."""

    def fact(self) -> Usage:
        read, wrote = self.input_tokens_details, self.output_tokens_details
        return Usage(
            self.input_tokens,
            self.output_tokens,
            read.cached_tokens if read else None,
            wrote.reasoning_tokens if wrote else None,
            self.source,
        )


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Item(msgspec.Struct):
    type: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: Told | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    output_index: int = 0
    summary_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    arguments: str | None = None
    code: str | None = None
    message: str | None = None


class _LooseEvent(msgspec.Struct, gc=False):
    """An event whose other fields have shapes of their own: of no use here, but no fault either."""

    type: str = ""


_decode = msgspec.json.Decoder(_Event).decode
_decode_loosely = msgspec.json.Decoder(_LooseEvent).decode


def _read(block: bytes) -> _Event:
    data = sse.payload(block)
    try:
        return _decode(data)
    except msgspec.ValidationError:
        pass
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None
    try:
        kind = _decode_loosely(data).type
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None
    if kind in _TOKENS or kind in _FAILED or kind == "response.output_item.added":
        raise ProtocolError(f"the upstream sent a {kind[:64]} of another shape")
    return _Event(kind)


def _outcome(told: _Event, *, called: bool) -> _Outcome:
    if told.type == "response.completed":
        return "tool_calls" if called else "completed"
    details = told.response.incomplete_details if told.response else None
    return "content_filter" if details is not None and details.reason == "content_filter" else "length"


class ResponsesProbe:
    """One typed parse per block."""

    __slots__ = ("_called", "complete", "failure", "held", "outcome", "started", "usage")

    def __init__(self) -> None:
        self._called = False
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"

    def __call__(self, block: bytes) -> Kind:
        told = _read(block)
        kind = told.type
        if kind in _TOKENS:
            self.started = self.started or bool(told.delta)
            return _DATA
        if kind in _WHOLE:
            if told.response is not None and told.response.usage is not None:
                self.usage = told.response.usage.fact()
            self.outcome = _outcome(told, called=self._called)
            return Kind.LAST
        if kind in _FAILED:
            inner = told.response.error if told.response else None
            self.failure = read_told(inner or Told(told.code, told.message))
            return Kind.FAILED
        if told.item is not None and told.item.type == "function_call":
            self._called = self.started = True
        return _DATA


class ResponsesDecoder:
    """Blocks -> events."""

    __slots__ = ("_about", "_arguments", "_calls")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._calls: dict[int, int] = {}  # output index -> number of the call
        self._arguments: set[int] = set()  # calls whose arguments have begun to come

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
        told = _read(block)
        match told.type:
            case "response.output_text.delta":
                events.append(Token(told.delta or ""))
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                events.append(Reasoning(told.delta or ""))
            case "response.reasoning_summary_part.added" if told.summary_index > 0:
                events.append(Reasoning("\n\n"))
            case "response.refusal.delta":
                events.append(Refusal(told.delta or ""))
            case "response.function_call_arguments.delta":
                events.append(self._piece(told.output_index, told.delta or ""))
            case "response.function_call_arguments.done" if told.arguments:
                # Some servers of this API send arguments only whole.
                if self._calls.get(told.output_index) not in self._arguments:
                    events.append(self._piece(told.output_index, told.arguments))
            case "response.output_item.added" if told.item is not None and told.item.type == "function_call":
                number = self._calls[told.output_index] = len(self._calls)
                if told.item.arguments:
                    self._arguments.add(number)
                events.append(ToolCall(number, told.item.call_id, told.item.name, told.item.arguments or ""))
            case "response.completed" | "response.incomplete":
                events.append(Finish(_outcome(told, called=bool(self._calls))))
            case _:
                pass
        return [event for event in events if not (isinstance(event, Token | Reasoning | Refusal) and not event.text)]

    def _piece(self, output_index: int, arguments: str) -> ToolCall:
        number = self._calls.setdefault(output_index, len(self._calls))
        self._arguments.add(number)
        return ToolCall(number, arguments=arguments)
