"""Delivery: an answer in pieces as they come, or in whole parts.

    stream   every piece as it comes
    tools    text as it comes, each tool call in one piece, at the end
    buffer   the whole answer in one part of each kind, at its end

What comes at the end comes only if the answer ended well, and was checked (`problem`).

A `Packer` stands between a view's decoder and its encoder. What it gives is a function of the events alone, so that
rendering again gives the same blocks with the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import jsonschema
import msgspec
from jsonschema.validators import extend
from referencing import Registry

from penstock.wire.events import Event, Finish, Reasoning, Refusal, Segment, Start, Token, ToolCall

Delivery = Literal["stream", "tools", "buffer"]

SCHEMA_SECONDS = 1.0
"""How long an answer is held against its schema: schemas come from strangers."""


class _Part:
    """One part of an answer that is being gathered: its words in a list, for an answer may come in a million of them."""

    __slots__ = ("_first", "pieces")

    def __init__(self, first: Event) -> None:
        self._first = first
        self.pieces = [_words(first)]

    def __deepcopy__(self, _memo: object) -> _Part:
        copied = _Part(self._first)
        copied.pieces = self.pieces.copy()
        return copied

    def takes(self, event: Event) -> bool:
        """`event` is more of the same words."""
        first = self._first
        return (
            isinstance(event, Token | Reasoning | Refusal)
            and type(event) is type(first)
            and isinstance(first, Token | Reasoning | Refusal)
            and event.index == first.index
        )

    def add(self, event: Event) -> None:
        self.pieces.append(_words(event))
        if isinstance(first := self._first, ToolCall) and isinstance(event, ToolCall):
            id, name = first.id, first.name
            if (id is None and event.id is not None) or (name is None and event.name is not None):
                self._first = ToolCall(
                    first.index, event.id if id is None else id, event.name if name is None else name, "", first.choice
                )

    @property
    def whole(self) -> Event:
        match self._first:
            case ToolCall(index, id, name, _, choice):
                return ToolCall(index, id, name, "".join(self.pieces), choice)
            case Token(_, index) | Reasoning(_, index) | Refusal(_, index) as first:
                return type(first)("".join(self.pieces), index)
            case other:
                return other


def _words(event: Event) -> str:
    match event:
        case ToolCall():
            return event.arguments
        case Token(text) | Reasoning(text) | Refusal(text):
            return text
        case _:
            return ""


class Packer:
    """See the module. One for each cursor; copied with it."""

    def __init__(self, delivery: Delivery) -> None:
        self._all = delivery == "buffer"
        self._held = _Parts()
        self._calling: set[int] = set()
        """Choices that hold calls: their finish comes after them."""

    @property
    def holds(self) -> bool:
        """It was told something that it has not given yet."""
        return bool(self._held.parts)

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """What is to be told now."""
        told: list[Event] = []
        for event in events:
            if isinstance(event, ToolCall):
                self._calling.add(event.choice)
                self._held.add(event)
            elif isinstance(event, Start) or not (
                self._all or (isinstance(event, Finish) and event.index in self._calling)
            ):
                told.append(event)
            elif not isinstance(event, Segment):  # whole parts have no seams
                self._held.add(event)
        return told

    def end(self, *, good: bool) -> list[Event]:
        """The rest. Of an answer that did not end well, nothing: a part that may not be whole, or good, is none."""
        held, self._held = self._held, _Parts()
        return held.whole if good else []


class _Parts:
    """What is held, in the order in which it began: text with text of its kind that stands last, pieces with their call."""

    __slots__ = ("_calls", "parts")

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self._calls: dict[tuple[int, int], _Part] = {}

    def add(self, event: Event) -> None:
        part = None
        if isinstance(event, ToolCall):
            part = self._calls.get((event.choice, event.index))
        elif self.parts and self.parts[-1].takes(event):
            part = self.parts[-1]
        if part is not None:
            part.add(event)
            return
        part = _Part(event)
        self.parts.append(part)
        if isinstance(event, ToolCall):
            self._calls[event.choice, event.index] = part

    @property
    def whole(self) -> list[Event]:
        return [part.whole for part in self.parts]


def problem(events: Iterable[Event], response_format: Mapping[str, Any] | None) -> str | None:
    """What is wrong with a whole answer that is to be delivered in parts; None if nothing is.

    Tool arguments must be JSON objects; an answer with a `response_format` must be JSON, and fit its schema if it has one.
    """
    held = _Parts()
    for event in events:
        if not isinstance(event, Reasoning | Start):
            held.add(event)
    texts: dict[int, list[str]] = {}
    for event in held.whole:
        if isinstance(event, ToolCall):
            if not isinstance(_json(event.arguments or "{}"), dict):
                return f"the arguments of tool call {event.index} ({event.name}) are not a JSON object"
        elif isinstance(event, Token):
            texts.setdefault(event.index, []).append(event.text)
    if response_format is None:
        return None
    for text in texts.values():
        value = _json("".join(text))
        if value is _NOTHING:
            return "the answer is not JSON, which response_format asks for"
        described = response_format.get("json_schema")
        if isinstance(described, dict) and isinstance(described.get("schema"), dict):
            misfit = _misfit(value, described["schema"])
            if misfit is not None:
                return f"the answer does not fit its schema: {misfit}"
    return None


_NOTHING = object()


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _NOTHING


_LEFT_OUT = frozenset(("pattern", "patternProperties", "unevaluatedProperties", "uniqueItems"))
"""Rules whose cost a stranger's schema could make endless: regular expressions, and comparing all with all."""


class _TooLong(Exception):
    """The schema costs more than it is worth."""


def _misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """The first place where `value` does not fit, or None; also if that can't be found out in time.

    Some rules are left out, and references outside the schema are not fetched: a stranger's schema must do no harm.
    """
    deadline = time.monotonic() + SCHEMA_SECONDS

    def timed(name: str, check: Any) -> Any:
        def checking(validator: Any, wanted: Any, instance: Any, among: Any) -> Iterator[Any]:
            if time.monotonic() > deadline:
                raise _TooLong
            if name not in _LEFT_OUT and not (name == "additionalProperties" and "patternProperties" in among):
                yield from check(validator, wanted, instance, among) or ()

        return checking

    base: Any = jsonschema.Draft202012Validator
    rules = {name: timed(name, check) for name, check in base.VALIDATORS.items()}
    try:
        kind: Any = extend(base, rules)  # type: ignore[no-untyped-call]  # its own typing
        error = next(kind(schema, registry=Registry()).iter_errors(value), None)
    except Exception:  # noqa: BLE001  # a broken schema may raise anything; it is for the provider to refuse
        return None
    if error is None:
        return None
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return (
        f"at ${where}: it is not what {'.'.join(str(part) for part in error.schema_path)[:100] or 'the schema'} wants"
    )
