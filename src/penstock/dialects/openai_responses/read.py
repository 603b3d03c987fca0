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
_ITEMS = frozenset(("response.output_item.added", "response.output_item.done"))
_FAILED = frozenset(("response.failed", "response.cancelled", "error"))

_NOTHING = msgspec.Raw()

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    source: Literal["final", "estimated", "unknown"] = "final"
    """Ours (see `whole.py`): so that an estimate stays one when it has come through two gateways."""

    unknown: list[str] = []
    """Ours too: the names of numbers that are only there because the format demands them."""

    def fact(self) -> Usage:
        read, wrote, unknown = self.input_tokens_details, self.output_tokens_details, self.unknown
        filled = read.cache_write_tokens if read else None
        return Usage(
            None if "input_tokens" in unknown else self.input_tokens,
            None if "output_tokens" in unknown else self.output_tokens,
            read.cached_tokens if read and "cached_tokens" not in unknown else None,
            wrote.reasoning_tokens if wrote and "reasoning_tokens" not in unknown else None,
            self.source,
            msgspec.UNSET if filled is None else filled,
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
    error: msgspec.Raw = _NOTHING


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    output_index: int = 0
    summary_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    arguments: str | None = None
    code: str | int | None = None
    message: str | None = None
    error: msgspec.Raw = _NOTHING


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


class _LooseResponse(msgspec.Struct, gc=False):
    incomplete_details: _Incomplete | None = None
    error: msgspec.Raw = _NOTHING


class _LooseItem(msgspec.Struct, gc=False):
    """An event of an item of which we know only the type."""

    type: str = ""
    output_index: int = 0
    item: _Typed | None = None


class _LooseLast(msgspec.Struct, gc=False):
    """A last event whose usage has a shape of its own: as good as none, it will be estimated."""

    type: str = ""
    response: _LooseResponse | None = None
    error: msgspec.Raw = _NOTHING


_decode = msgspec.json.Decoder(_Event).decode
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_item = msgspec.json.Decoder(_LooseItem).decode
_decode_last = msgspec.json.Decoder(_LooseLast).decode


def _read(block: bytes) -> _Event:
    data = sse.payload(block)
    try:
        told = _decode(data)
    except msgspec.ValidationError:
        return _read_loosely(data)
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None
    if not told.type:
        told.type = sse.event_name(block)
    return told


def _read_loosely(data: bytes) -> _Event:
    """An event that is not of the shapes we know: because it is of a new type, or because it is wrong."""
    try:
        kind = _decode_type(data).type
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None
    try:
        if kind in _ITEMS:
            row = _decode_item(data)
            if row.item is not None and row.item.type not in ("function_call", ""):
                return _Event(kind, output_index=row.output_index, item=_Item(row.item.type))
        elif kind in _WHOLE or kind in _FAILED:
            last = _decode_last(data)
            response = last.response or _LooseResponse()
            return _Event(kind, response=_Response(None, response.incomplete_details, response.error), error=last.error)
        elif kind not in _TOKENS and kind != "response.function_call_arguments.done":
            return _Event(kind)
    except BROKEN_JSON:
        pass
    raise ProtocolError(f"the upstream sent a {kind[:64]} of another shape")


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
            inner = told.response.error if told.response else _NOTHING
            self.failure = read_told(inner if bytes(inner) else told.error, Told(told.code, told.message))
            return Kind.FAILED
        if told.item is not None and told.item.type.endswith("_call"):
            # A tool that runs at the provider's is a sign of life too, though only clients of this dialect can see it.
            self.started = True
            self._called = self._called or told.item.type == "function_call"
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
