"""Writing a `gemini` client's blocks.

A function call goes out whole: its pieces are kept until it is known that there will be no more of them. What says that
the answer is complete (`finishReason`) goes out with the end, and not before: a client takes it for the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import Description, Ending
from penstock.dialects.brackets import Brackets
from penstock.dialects.gemini.errors import error_block
from penstock.dialects.gemini.schema import arguments_object, told_arguments
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Terminal, Token, ToolCall, Usage

_FINISH_REASON = {
    "completed": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}

Part = dict[str, Any]


class _Call:
    """A function call whose pieces are still coming."""

    __slots__ = ("_brackets", "id", "name", "pieces", "whole")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.whole = False
        """The arguments have come to their end."""
        self._brackets = Brackets()

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        if self._brackets.closed:
            # After the end only white space may come.
            self.whole = self.whole and not piece.strip(" \t\r\n")
        elif self._brackets.feed(piece):
            # Now it is an object, or it never will be: so it is read but once.
            self.whole = arguments_object("".join(self.pieces)) is not None

    def part(self) -> Part:
        call: dict[str, Any] = {"id": self.id} if self.id else {}
        return {"functionCall": {**call, "name": self.name, "args": told_arguments("".join(self.pieces))}}


class _Choice:
    """What one choice holds back."""

    __slots__ = ("_whole", "calls", "reason")

    def __init__(self) -> None:
        self.calls: dict[int, _Call] = {}
        self.reason: str | None = None
        self._whole: set[int] = set()
        """The calls whose arguments have come to their end: only these are looked through when something else comes."""

    def take(self, piece: ToolCall) -> list[Part]:
        """Add a piece; gives the calls that are complete now that another one goes on."""
        known = self.calls.get(piece.index)
        told: list[Part] = []
        if known is None:
            # Pieces of several calls may take turns: one that is not whole yet waits on.
            told = self.let_go_complete()
        elif piece.id and known.id and piece.id != known.id:
            # Some upstreams number every call 0: another id is another call.
            self._whole.add(piece.index)
            told = self.let_go_complete()
        call = self.calls.setdefault(piece.index, _Call())
        call.id = call.id or piece.id or ""
        call.name = call.name or piece.name or ""
        call.add(piece.arguments)
        if call.whole:
            self._whole.add(piece.index)
        else:
            self._whole.discard(piece.index)
        return told

    def let_go_complete(self) -> list[Part]:
        """The calls whose arguments have come to their end: something else has come. The others wait on."""
        whole, self._whole = self._whole, set()
        return [self.calls.pop(index).part() for index in sorted(whole)]

    def let_go(self) -> list[Part]:
        """All calls that were held back: no more will come."""
        calls, self.calls, self._whole = self.calls, {}, set()
        return [call.part() for _, call in sorted(calls.items())]

    def let_go_whole(self) -> list[Part]:
        """Of an answer that was cut, only those whose arguments have come to their end: half a call is none."""
        whole = self.let_go_complete()
        self.calls.clear()
        return whole


class _Parts:
    """Events -> parts of choices."""

    __slots__ = ("_holding", "choices")

    def __init__(self) -> None:
        self.choices: dict[int, _Choice] = {}
        self._holding: set[int] = set()
        """The choices of which something waits."""

    def of(self, event: Event) -> list[tuple[int, Part]]:
        """The parts that are complete with this event, each with its choice's index."""
        match event:
            case Token(text, index) | Refusal(text, index):  # there is no word for a refusal here: it is what was said
                parts = [*self.choice(index).let_go_complete(), {"text": text}]
            case Reasoning(text, index):
                parts = [*self.choice(index).let_go_complete(), {"text": text, "thought": True}]
            case ToolCall():
                index = event.choice
                parts = self.choice(index).take(event)
            case Finish(reason, index):
                choice = self.choice(index)
                choice.reason = _FINISH_REASON[reason]
                parts = choice.let_go()
            case _:
                return []  # Usage, Error and Done come through end()
        choice = self.choice(index)
        if choice.calls or choice.reason:
            self._holding.add(index)
        else:
            self._holding.discard(index)
        return [(index, part) for part in parts]

    @property
    def holds(self) -> bool:
        """Something of a choice waits: calls, or how it ended."""
        return bool(self._holding)

    def choice(self, index: int) -> _Choice:
        choice = self.choices.get(index)
        if choice is None:
            choice = self.choices[index] = _Choice()
        return choice

    def rest(self, *, cut: bool) -> list[tuple[int, Part]]:
        """The parts that were held back to the answer's end."""
        rows = sorted(self.choices.items())
        return [(index, part) for index, one in rows for part in (one.let_go_whole() if cut else one.let_go())]


class GeminiEncoder:
    """Events -> chunks."""

    __slots__ = ("_about", "_include_usage", "_parts")

    def __init__(self, about: Description, *, include_usage: bool) -> None:
        self._about = about
        self._include_usage = include_usage
        self._parts = _Parts()

    @property
    def holds(self) -> bool:
        return self._parts.holds

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        return [self._part(index, part) for event in events for index, part in self._parts.of(event)]

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        good = isinstance(last, Done) and last.outcome != "cancelled"
        blocks = [self._part(index, part) for index, part in self._parts.rest(cut=not good)]
        if not good:
            return [*blocks, error_block(last)]
        self._parts.choice(0)
        ended = [
            {**_candidate(index, [{"text": ""}]), "finishReason": choice.reason or _FINISH_REASON[last.outcome]}
            for index, choice in sorted(self._parts.choices.items())
        ]
        return [*blocks, _block(_response(self._about, ended, usage if self._include_usage else None))]

    def _part(self, index: int, part: Part) -> bytes:
        return _block(_response(self._about, [_candidate(index, [part])], None))


def ending(end: Ending) -> list[bytes]:
    """After an upstream's own blocks: nothing when it ended well, for its last one had the `finishReason` and the usage."""
    if isinstance(end.last, Done) and end.last.outcome != "cancelled":
        return []
    return [error_block(end.last)]


def collect(about: Description, events: Iterable[Event]) -> bytes:
    """The `GenerateContentResponse` of an answer that was not streamed. Raises Refused if it did not end well."""
    parts, usage, outcome = _Parts(), None, "completed"
    said: dict[int, list[tuple[Part, list[str]]]] = {}
    for event in events:
        match event:
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                outcome = event.outcome
            case _:
                _add(said, parts.of(event))
    if outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    _add(said, parts.rest(cut=False))
    parts.choice(0)
    candidates = [
        {**_candidate(index, _joined(said.get(index, []))), "finishReason": choice.reason or _FINISH_REASON[outcome]}
        for index, choice in sorted(parts.choices.items())
    ]
    return msgspec.json.encode(_response(about, candidates, usage))


def _add(said: dict[int, list[tuple[Part, list[str]]]], parts: list[tuple[int, Part]]) -> None:
    """Text goes on where text of the same kind stands last."""
    for index, part in parts:
        row = said.setdefault(index, [])
        text = part.get("text")
        if text is None or not row or "text" not in row[-1][0] or ("thought" in part) != ("thought" in row[-1][0]):
            row.append((part, []))
        if text is not None:
            row[-1][1].append(text)


def _joined(row: list[tuple[Part, list[str]]]) -> list[Part]:
    return [{**part, "text": "".join(texts)} if texts else part for part, texts in row]


def _candidate(index: int, parts: list[Part]) -> dict[str, Any]:
    return {"content": {"parts": parts, "role": "model"}, "index": index}


def _response(about: Description, candidates: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
    response: dict[str, Any] = {"candidates": candidates}
    if usage is not None and usage.source != "unknown":
        response["usageMetadata"] = _usage_object(usage)
    return {**response, "modelVersion": about.model, "responseId": about.stream}


def _usage_object(usage: Usage) -> dict[str, Any]:
    """What nobody said is left out. The answer's count is told without its thoughts, which have one of their own."""
    read, wrote, thought = usage.input_tokens, usage.output_tokens, usage.reasoning_tokens
    told: dict[str, Any] = {}
    if read is not None:
        told["promptTokenCount"] = read
    if wrote is not None:
        told["candidatesTokenCount"] = max(wrote - (thought or 0), 0)
    if read is not None and wrote is not None:
        told["totalTokenCount"] = read + wrote
    if usage.cached_tokens is not None:
        told["cachedContentTokenCount"] = usage.cached_tokens
    if thought is not None:
        told["thoughtsTokenCount"] = thought
    if usage.source != "final":
        told["source"] = usage.source
    return told


def _block(response: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(response)
