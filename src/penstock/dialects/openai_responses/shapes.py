"""The shapes of an upstream's events, as far as they are read here.

The probe and the decoder read an event by the same types, so whatever the probe lets into a log, the decoder can tell.
Events that are not known are let through, and say nothing to clients of other dialects.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Usage

Outcome = Literal["completed", "length", "tool_calls", "content_filter"]

DELTAS = frozenset(
    (
        "response.output_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
    )
)
PARTS_DONE = frozenset(
    (
        "response.output_text.done",
        "response.reasoning_text.done",
        "response.reasoning_summary_text.done",
        "response.refusal.done",
    )
)
OPENINGS = frozenset(("response.created", "response.queued", "response.in_progress"))
CALLS = frozenset(("function_call", "custom_tool_call"))
"""Items that are calls of the client's tools."""

FOREIGN = frozenset(
    (
        "apply_patch_call",
        "computer_call",
        "image_generation_call",
        "local_shell_call",
        "mcp_approval_request",
        "shell_call",
    )
)
"""Items that are part of the answer, and that no event tells: what the model made, or wants the client to do."""

ITEMS = frozenset(("response.output_item.added", "response.output_item.done"))
WHOLE = frozenset(("response.completed", "response.incomplete"))
FAILED = frozenset(("response.failed", "response.cancelled", "error"))

NOTHING = msgspec.Raw()


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class ResponseUsage(msgspec.Struct):
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


class Incomplete(msgspec.Struct):
    reason: str | None = None


class Part(msgspec.Struct):
    """Of an item's `content`, or of its `summary`."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None


class Item(msgspec.Struct):
    type: str = ""
    id: Any = None
    input: Any = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None


class Response(msgspec.Struct):
    usage: ResponseUsage | None = None
    incomplete_details: Incomplete | None = None
    error: msgspec.Raw = NOTHING
    status: str | None = None
    output: msgspec.Raw = NOTHING


class Told(msgspec.Struct, gc=False):
    """Any event of the stream."""

    type: str = ""
    delta: str | None = None
    sequence_number: Any = None
    item_id: Any = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item: Item | None = None
    response: Response | None = None
    arguments: str | None = None
    text: str | None = None
    refusal: str | None = None
    code: str | int | None = None
    message: str | None = None
    error: msgspec.Raw = NOTHING

    @property
    def place(self) -> int | str | None:
        """Of the item that it is about: its index in the output, or its id where the server does not number its items."""
        return self.id if self.output_index is None else self.output_index

    @property
    def id(self) -> str | None:
        """Of that item."""
        id = self.item_id if self.item is None else self.item.id
        return id if isinstance(id, str) else None

    @property
    def begins(self) -> bool:
        """Nothing of the answer can have come before it: not every server says `response.created`, or counts."""
        number = self.sequence_number
        return self.type in OPENINGS or not isinstance(number, int) or number <= 1

    def outcome(self, *, called: bool) -> Outcome:
        """How a last event says that the answer ended; `called`: it holds calls of the client's functions."""
        response = self.response or Response()
        # vLLM says `response.completed` of every answer, and its status tells that one was cut short.
        if self.type == "response.completed" and response.status != "incomplete":
            return "tool_calls" if called else "completed"
        # `max_tool_calls` is a limit too: the model wanted to go on.
        details = response.incomplete_details
        return "content_filter" if details is not None and details.reason == "content_filter" else "length"


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


class _LooseResponse(msgspec.Struct, gc=False):
    incomplete_details: Incomplete | None = None
    error: msgspec.Raw = NOTHING
    status: str | None = None
    output: msgspec.Raw = NOTHING


class _LooseItem(msgspec.Struct, gc=False):
    """An event of an item of which we know only the type."""

    type: str = ""
    output_index: int | None = None
    item: _Typed | None = None


class _LooseLast(msgspec.Struct, gc=False):
    """A last event whose usage has a shape of its own: as good as none, it will be estimated."""

    type: str = ""
    response: _LooseResponse | None = None
    error: msgspec.Raw = NOTHING


_decode = msgspec.json.Decoder(Told).decode
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_item = msgspec.json.Decoder(_LooseItem).decode
_decode_last = msgspec.json.Decoder(_LooseLast).decode
_decode_raw_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one_item = msgspec.json.Decoder(Item).decode


def read(block: bytes) -> Told:
    """The event of a canonical block. Raises ProtocolError."""
    try:
        # Past `event: ...` to the one line of data. Several lines are no JSON from here to the end.
        told = _decode(block[block.find(b"data: ") + 6 : -2])
    except BROKEN_JSON:
        told = _read_carefully(sse.payload(block))
    if not told.type:
        told.type = sse.event_name(block)
    return told


def _read_carefully(data: bytes) -> Told:
    try:
        return _decode(data)
    except msgspec.ValidationError:
        return _read_loosely(data)
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None


def _read_loosely(data: bytes) -> Told:
    """An event that is not of the shapes we know: because it is of a new type, or because it is wrong."""
    try:
        kind = _decode_type(data).type
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a response's event: {error}") from None
    try:
        if kind in ITEMS:
            row = _decode_item(data)
            if row.item is not None and row.item.type not in ("function_call", ""):
                return Told(kind, output_index=row.output_index, item=Item(row.item.type))
        elif kind in WHOLE or kind in FAILED:
            last = _decode_last(data)
            loose = last.response or _LooseResponse()
            response = Response(None, loose.incomplete_details, loose.error, loose.status, loose.output)
            return Told(kind, response=response, error=last.error)
        elif kind not in DELTAS and kind != "response.function_call_arguments.done":
            return Told(kind)
    except BROKEN_JSON:
        pass
    raise ProtocolError(f"the upstream sent a {kind[:64]} of another shape")


def read_output(response: Response) -> list[Item]:
    """A response's `output`. Items of shapes that are not known are empty ones."""
    try:
        raws = _decode_raw_items(response.output) if bytes(response.output) else []
    except BROKEN_JSON:
        return []
    items = []
    for raw in raws:
        try:
            items.append(_decode_one_item(raw))
        except BROKEN_JSON:
            items.append(Item())
    return items
