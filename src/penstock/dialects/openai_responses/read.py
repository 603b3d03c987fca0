"""Reading an `openai-responses` upstream's blocks.

Everything is said up to four times in this format: in deltas, whole in the part's `done`, in the item's `done`, and in the
last event. What did not come in deltas is taken from the first of the others that has it, for there are servers that send
no deltas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import msgspec

from penstock.dialects.base import Description, Kind
from penstock.dialects.openai_responses.errors import Told as ToldError
from penstock.dialects.openai_responses.errors import read_told
from penstock.dialects.openai_responses.heard import Heard, Place, Where
from penstock.dialects.openai_responses.shapes import (
    CALLS,
    DELTAS,
    FAILED,
    FOREIGN,
    PARTS_DONE,
    WHOLE,
    Item,
    Part,
    Response,
    Told,
    read,
    read_output,
)
from penstock.dialects.untold import Untold
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage

_BROKEN_OFF = frozenset(("failed", "cancelled"))
"""By these a response's status says that the answer is not complete, whatever the event is called."""

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
        if item.type.endswith("_call") or item.type in FOREIGN:
            # A tool that runs at the provider's is a sign of life too, though only clients of this dialect can see it.
            self.started = True
            self._called = self._called or item.type in CALLS
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

    __slots__ = ("_about", "_arguments", "_call_ids", "_calls", "_heard", "_ids", "_opened", "_streamed", "_untold")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._opened = False
        """It has seen the answer's beginning: what it has not been told by now did not come."""
        self._calls: dict[Place, int] = {}  # their numbers
        self._ids: list[str | None] = []  # of the calls
        self._call_ids: set[str] = set()  # the same, to search in
        self._arguments: set[int] = set()  # calls whose arguments have begun to come
        self._heard = Heard()
        self._streamed: tuple[Any, ...] = ()  # the part that the last delta belongs to
        self._untold = Untold("openai-responses")

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        told = read(block)
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
            self._opened = told.begins
        if told.type == "response.output_text.delta":
            self._stream(Token(told.delta or ""), told, "content", told.content_index, events)
            return events
        where, item = told.place, told.item
        match told.type:
            case "response.reasoning_text.delta":
                self._stream(Reasoning(told.delta or ""), told, "content", told.content_index, events)
            case "response.reasoning_summary_text.delta":
                self._stream(Reasoning(told.delta or ""), told, "summary", told.summary_index, events)
            case "response.reasoning_summary_part.added" if (told.summary_index or 0) > 0:
                events.append(Reasoning("\n\n"))
            case "response.refusal.delta":
                self._stream(Refusal(told.delta or ""), told, "content", told.content_index, events)
            case "response.function_call_arguments.delta":
                events += self._piece(where, told.delta or "")
            case "response.output_text.done" | "response.refusal.done" | "response.reasoning_text.done":
                self._part(Where(where, "content", told.content_index), told.id, _said(told), events)
            case "response.reasoning_summary_text.done":
                self._part(Where(where, "summary", told.summary_index), told.id, _said(told), events)
            case "response.function_call_arguments.done" if told.arguments:
                if self._calls.get(where) not in self._arguments:
                    events += self._piece(where, told.arguments)
            case "response.output_item.added" if item is not None and item.type == "function_call":
                events.append(self._call(where, item))
            case "response.output_item.done" if item is not None:
                self._item(where, told.id, item, events)
            case "response.completed" | "response.incomplete":
                self._whole(read_output(told.response or Response()), events)
                events.append(self._untold.end(Finish(told.outcome(called=bool(self._ids)))))
            case _:
                pass
        return events

    def _stream(
        self, event: Token | Reasoning | Refusal, told: Told, section: str, part: int | None, events: list[Event]
    ) -> None:
        if not event.text:
            return
        events.append(event)
        # Nearly every delta goes on with the part of the one before.
        streamed = (type(event), told.output_index, section, part, told.item_id)
        if streamed != self._streamed:
            self._streamed = streamed
            self._hear(event, Where(told.place, section, part), told.id)

    def _hear(self, event: Token | Reasoning | Refusal, where: Where, id: str | None) -> None:
        self._heard.add(type(event), where, id)
        if not isinstance(event, Reasoning):
            self._untold.said = True

    def _call(self, place: Place, item: Item, arguments: str | None = None) -> ToolCall:
        self._untold.said = True
        number = self._calls[place] = len(self._ids)
        self._ids.append(item.call_id)
        if item.call_id is not None:
            self._call_ids.add(item.call_id)
        self._heard.item(place, item.id if isinstance(item.id, str) else None)
        told = item.arguments if arguments is None else arguments
        if told:
            self._arguments.add(number)
        return ToolCall(number, item.call_id, item.name, told or "")

    def _piece(self, place: Place, arguments: str) -> list[Event]:
        if place not in self._calls:
            return [self._call(place, Item("function_call", arguments=arguments))]
        number = self._calls[place]
        self._arguments.add(number)
        return [ToolCall(number, arguments=arguments)]

    # -- what did not come in deltas ---------------------------------------------------------------------------------

    def _whole(self, output: list[Item], events: list[Event]) -> None:
        """The last event's output: of what it has more than was told, the items of which nothing was."""
        kinds = Counter(kind for item in output for kind in _kinds(item))
        lacking = {kind for kind, count in kinds.items() if count > self._heard.count(kind)}
        if kinds[ToolCall] > len(self._ids):
            lacking.add(ToolCall)
        for index, item in enumerate(output):
            id = item.id if isinstance(item.id, str) else None
            if not self._heard.knows(index, id) and not lacking.isdisjoint(_kinds(item)):
                self._item(index, id, item, events)
            else:
                self._note(item)

    def _item(self, place: Place, id: str | None, item: Item, events: list[Event]) -> None:
        self._note(item)
        if not self._opened:
            return
        if item.type in CALLS:
            self._late_call(place, item, events)
        elif item.type in ("message", "reasoning"):
            for index, part in enumerate(item.content or ()):
                self._part(Where(place, "content", index), id, part, events)
            for index, part in enumerate(item.summary or ()):
                where = Where(place, "summary", index)
                if index and part.text and not self._heard.has(Reasoning, where, id):
                    part.text = f"\n\n{part.text}"
                self._part(where, id, part, events)

    def _late_call(self, place: Place, item: Item, events: list[Event]) -> None:
        number = self._calls.get(place)
        if number is not None and item.call_id is not None and self._ids[number] not in (None, item.call_id):
            number = None  # another call, by a server that does not number its items
        if number is None:
            if item.call_id is None or item.call_id not in self._call_ids:
                events.append(self._call(place, item, _arguments(item)))
        elif number not in self._arguments and (arguments := _arguments(item)):
            events += self._piece(place, arguments)

    def _part(self, where: Where, id: str | None, part: Part, events: list[Event]) -> None:
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
        if self._opened and event.text and not self._heard.has(type(event), where, id):
            self._hear(event, where, id)
            events.append(event)

    def _note(self, item: Item) -> None:
        """What of an item no event tells."""
        if item.type in FOREIGN:
            self._untold.part(item.type)
        elif item.type == "message":
            for part in item.content or ():
                if part.type not in ("output_text", "refusal", ""):
                    self._untold.part(part.type)
        elif item.type not in ("reasoning", "", *CALLS):
            self._untold.work(item.type)


def _kinds(item: Item) -> Collection[type]:
    """What of an item events tell."""
    if item.type in CALLS:
        return (ToolCall,)
    texts = {Token for part in item.content or () if part.type == "output_text" and part.text}
    refusals = {Refusal for part in item.content or () if part.type == "refusal" and part.refusal}
    parts = (*(item.content or ()), *(item.summary or ()))
    return (
        texts
        | refusals
        | {Reasoning for part in parts if part.type in ("reasoning_text", "summary_text") and part.text}
    )


def _arguments(item: Item) -> str:
    """The arguments of a call. The text that other kinds of tools take goes under the name that this API has for it."""
    if item.type == "function_call":
        return item.arguments or ""
    return msgspec.json.encode({"input": item.input if isinstance(item.input, str) else ""}).decode()


def _said(told: Told) -> Part:
    """The part of which its `done` tells."""
    kind = "summary_text" if told.type == "response.reasoning_summary_text.done" else told.type.split(".")[1]
    return Part(kind, told.text, told.refusal)
