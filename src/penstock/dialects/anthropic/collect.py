"""The answer in one piece: the `message` object of an `anthropic` client that did not ask for a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.anthropic.write import as_input, call_id, message_object, stop_reason, usage_object
from penstock.dialects.base import Description
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage


class _Told:
    """One content block."""

    def __init__(self, kind: str, id: str = "") -> None:
        self.kind = kind
        self.id = id
        self.name = ""
        self.pieces: list[str] = []

    def content(self) -> dict[str, Any]:
        said = "".join(self.pieces)
        match self.kind:
            case "tool_use":
                return {"type": "tool_use", "id": self.id, "name": self.name, "input": as_input(said)}
            case "thinking":
                # Nobody signed it: it can be read, but not be given back to a provider that asks for signatures.
                return {"type": "thinking", "thinking": said, "signature": ""}
            case _:
                return {"type": "text", "text": said}


class _Collected:
    """The content blocks so far, in the order in which they began."""

    def __init__(self, about: Description) -> None:
        self._about = about
        self._parts: list[_Told] = []
        self._calls: dict[int, _Told] = {}
        self.refused = False

    @property
    def called(self) -> bool:
        return bool(self._calls)

    def say(self, kind: str, text: str) -> None:
        if not text:
            return
        if not self._parts or self._parts[-1].kind != kind:
            self._parts.append(_Told(kind))
        self._parts[-1].pieces.append(text)

    def call(self, piece: ToolCall) -> None:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _Told("tool_use", call_id(self._about, piece))
            self._parts.append(call)
        call.name = call.name or piece.name or ""
        call.pieces.append(piece.arguments)

    def content(self) -> list[dict[str, Any]]:
        return [part.content() for part in self._parts]


def collect(about: Description, events: Iterable[Event]) -> bytes:
    """The `message` of an answer that was not streamed. Raises Refused if it did not end well."""
    told = _Collected(about)
    usage: Usage | None = None
    outcome, reason = "completed", None
    for event in events:
        match event:
            case Token(text, 0):
                told.say("text", text)
            case Reasoning(text, 0):
                told.say("thinking", text)
            case Refusal(text, 0):
                told.refused = True
                told.say("text", text)
            case ToolCall(choice=0):
                told.call(event)
            case Finish(why, 0):
                reason = why
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                outcome = event.outcome
            case _:
                pass  # the start; other choices
    if outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    why_it_ended = stop_reason(reason or outcome, refused=told.refused, called=told.called)
    return msgspec.json.encode(message_object(about, told.content(), why_it_ended, usage_object(usage)))
