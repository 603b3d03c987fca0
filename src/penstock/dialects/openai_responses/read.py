"""Reading an `openai-responses` upstream's blocks.

Everything is said up to four times in this format: in deltas, whole in the part's `done`, in the item's `done`, and in the
last event. What did not come in deltas is taken from the first of the others that has it, for there are servers that send
no deltas.
"""

from __future__ import annotations

from penstock.dialects.base import Description, Kind
from penstock.dialects.openai_responses.errors import Told as ToldError
from penstock.dialects.openai_responses.errors import read_told
from penstock.dialects.openai_responses.shapes import (
    DELTAS,
    FAILED,
    PARTS_DONE,
    WHOLE,
    Item,
    Part,
    Response,
    Told,
    read,
    read_output,
)
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage

_BROKEN_OFF = frozenset(("failed", "cancelled"))
"""By these a response's status says that the answer is not complete, whatever the event is called."""

_OPENINGS = frozenset(("response.created", "response.queued", "response.in_progress"))

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


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
        told = read(block)
        kind = told.type
        if kind in DELTAS:
            self.started = self.started or bool(told.delta)
            return _DATA
        if kind in WHOLE or kind in FAILED:
            return self._end(told)
        if kind in PARTS_DONE:
            self.started = self.started or bool(told.text or told.refusal)
        elif told.item is not None:
            self._look_at(told.item)
        return _DATA

    def _look_at(self, item: Item) -> None:
        if item.type.endswith("_call"):
            # A tool that runs at the provider's is a sign of life too, though only clients of this dialect can see it.
            self.started = True
            self._called = self._called or item.type == "function_call"
        elif not self.started:
            self.started = any(part.text or part.refusal for part in (*(item.content or ()), *(item.summary or ())))

    def _end(self, told: Told) -> Kind:
        response = told.response or Response()
        if response.usage is not None:
            self.usage = response.usage.fact()
        if told.type in WHOLE and response.status not in _BROKEN_OFF:
            self.outcome = told.outcome(called=self._called)
            return Kind.LAST
        inner = response.error if bytes(response.error) else told.error
        self.failure = read_told(inner, ToldError(told.code, told.message))
        return Kind.FAILED


class ResponsesDecoder:
    """Blocks -> events."""

    __slots__ = ("_about", "_arguments", "_calls", "_ids", "_opened", "_streamed", "_told")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._opened = False
        """It has seen the answer's beginning: what it has not been told by now did not come."""
        self._calls: dict[int, int] = {}  # output index -> number of the call
        self._ids: list[str | None] = []  # of the calls
        self._arguments: set[int] = set()  # calls whose arguments have begun to come
        self._streamed: set[type[Event]] = set()  # what came in deltas
        self._told: set[tuple[int, str, int]] = set()  # parts that came whole

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        told = read(block)
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
            self._opened = told.type in _OPENINGS
        where, item = told.output_index, told.item
        match told.type:
            case "response.output_text.delta":
                self._stream(Token(told.delta or ""), events)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                self._stream(Reasoning(told.delta or ""), events)
            case "response.reasoning_summary_part.added" if told.summary_index > 0:
                events.append(Reasoning("\n\n"))
            case "response.refusal.delta":
                self._stream(Refusal(told.delta or ""), events)
            case "response.function_call_arguments.delta":
                events += self._piece(where, told.delta or "")
            case "response.output_text.done" | "response.refusal.done" | "response.reasoning_text.done":
                self._part((where, "content", told.content_index), _said(told), events)
            case "response.reasoning_summary_text.done":
                self._part((where, "summary", told.summary_index), _said(told), events)
            case "response.function_call_arguments.done" if told.arguments:
                if self._calls.get(where) not in self._arguments:
                    events += self._piece(where, told.arguments)
            case "response.output_item.added" if item is not None and item.type == "function_call":
                events.append(self._call(where, item))
            case "response.output_item.done" if item is not None and self._opened:
                self._item(where, item, events)
            case "response.completed" | "response.incomplete":
                if self._opened and not (self._streamed or self._told or self._ids):
                    for index, whole in enumerate(read_output(told.response or Response())):
                        self._item(index, whole, events)
                events.append(Finish(told.outcome(called=bool(self._ids))))
            case _:
                pass
        return events

    def _stream(self, event: Token | Reasoning | Refusal, events: list[Event]) -> None:
        if event.text:
            self._streamed.add(type(event))
            events.append(event)

    def _call(self, output_index: int, item: Item) -> ToolCall:
        number = self._calls[output_index] = len(self._ids)
        self._ids.append(item.call_id)
        if item.arguments:
            self._arguments.add(number)
        return ToolCall(number, item.call_id, item.name, item.arguments or "")

    def _piece(self, output_index: int, arguments: str) -> list[Event]:
        if output_index not in self._calls:
            return [self._call(output_index, Item("function_call", arguments=arguments))]
        number = self._calls[output_index]
        self._arguments.add(number)
        return [ToolCall(number, arguments=arguments)]

    # -- what did not come in deltas ---------------------------------------------------------------------------------

    def _item(self, output_index: int, item: Item, events: list[Event]) -> None:
        if item.type == "function_call":
            number = self._calls.get(output_index)
            if number is None and (item.call_id is None or item.call_id not in self._ids):
                events.append(self._call(output_index, item))
            elif number is not None and number not in self._arguments and item.arguments:
                events += self._piece(output_index, item.arguments)
        elif item.type in ("message", "reasoning"):
            for index, part in enumerate(item.content or ()):
                self._part((output_index, "content", index), part, events)
            for index, part in enumerate(item.summary or ()):
                if index and (output_index, "summary", index) not in self._told and Reasoning not in self._streamed:
                    part.text = f"\n\n{part.text or ''}"
                self._part((output_index, "summary", index), part, events)

    def _part(self, where: tuple[int, str, int], part: Part, events: list[Event]) -> None:
        event: Token | Reasoning | Refusal
        match part.type:
            case "output_text":
                event = Token(part.text or "")
            case "refusal":
                event = Refusal(part.refusal or "")
            case "reasoning_text" | "summary_text":
                event = Reasoning(part.text or "")
            case _:
                return
        if self._opened and event.text and type(event) not in self._streamed and where not in self._told:
            self._told.add(where)
            events.append(event)


def _said(told: Told) -> Part:
    """The part of which its `done` tells."""
    kind = "summary_text" if told.type == "response.reasoning_summary_text.done" else told.type.split(".")[1]
    return Part(kind, told.text, told.refusal)
