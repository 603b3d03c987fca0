"""Writing an `openai-chat` client's blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import Description, Ending
from penstock.dialects.openai_chat.errors import error_block
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import (
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Start,
    Terminal,
    Token,
    ToolCall,
    Usage,
)

DONE = b"data: [DONE]\n\n"

_FINISH_REASON = {
    "completed": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def reason_of(outcome: str) -> str:
    """The `finish_reason` of an answer that ended so."""
    return _FINISH_REASON.get(outcome, "stop")


def _usage_object(usage: Usage) -> dict[str, Any]:
    """What nobody said is left out: an explicit zero stays zero, and nothing becomes one."""
    read, wrote = usage.input_tokens, usage.output_tokens
    told: dict[str, Any] = {}
    if read is not None:
        told["prompt_tokens"] = read
    if wrote is not None:
        told["completion_tokens"] = wrote
    if read is not None and wrote is not None:
        told["total_tokens"] = read + wrote
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.source != "final":
        told["source"] = usage.source
    return told


def told_usage(usage: Usage | None) -> dict[str, Any] | None:
    """The `usage` of a whole answer."""
    return None if usage is None or usage.source == "unknown" else _usage_object(usage)


class ChatEncoder:
    """Events -> chunks."""

    __slots__ = ("_about", "_include_usage", "_opened")

    def __init__(self, about: Description, *, include_usage: bool) -> None:
        self._about = about
        self._include_usage = include_usage
        self._opened: set[int] = set()

    @property
    def holds(self) -> bool:
        return False

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        blocks: list[bytes] = []
        for event in events:
            match event:
                case Start():
                    self._open(0, blocks)
                case Token(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"content": text}))
                case Reasoning(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"reasoning_content": text}))
                case Refusal(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"refusal": text}))
                case ToolCall():
                    self._open(event.choice, blocks)
                    blocks.append(self._delta(event.choice, {"tool_calls": [_tool_delta(event)]}))
                case Finish(reason, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {}, _FINISH_REASON[reason]))
                case _:
                    pass  # Usage, Error and Done come through end()
        return blocks

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        blocks: list[bytes] = []
        if usage is not None and usage.source != "unknown" and self._include_usage:
            blocks.append(self._chunk([], usage=_usage_object(usage)))
        if isinstance(last, Done) and last.outcome != "cancelled":
            blocks.append(DONE)
        else:
            blocks.append(error_block(last))
        return blocks

    def _open(self, index: int, blocks: list[bytes]) -> None:
        if index not in self._opened:
            self._opened.add(index)
            blocks.append(self._delta(index, {"role": "assistant", "content": ""}))

    def _delta(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "finish_reason": finish_reason}])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {
            "id": f"chatcmpl-{self._about.stream}",
            "object": "chat.completion.chunk",
            "created": self._about.created,
            "model": self._about.model,
            "choices": choices,
            **more,
        }
        return b"data: %b\n\n" % msgspec.json.encode(chunk)


def ending(about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
    """After an upstream's own blocks: its usage block, if the client asked for it, and the end."""
    encoder = ChatEncoder(about, include_usage=include_usage)
    if end.held is not None and include_usage:
        return [end.held, *encoder.end(None, end.last)]
    return encoder.end(end.usage, end.last)


def _tool_delta(call: ToolCall) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": call.index}
    if call.id is not None:
        delta |= {"id": call.id, "type": "function"}
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    return {**delta, "function": function}


class _Call:
    """A call whose pieces are gathered: its arguments in a list, for they may come in a million of them."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, piece: ToolCall) -> None:
        # Both come once; some upstreams repeat them in every piece.
        self._id = self._id or piece.id or ""
        self._name = self._name or piece.name or ""
        self._arguments.append(piece.arguments)

    @property
    def whole(self) -> dict[str, Any]:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self._id, "type": "function", "function": function}


class _Collected:
    """One choice of a whole answer."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.finish_reason: str | None = None

    def message(self) -> dict[str, Any]:
        text = "".join(self.text)
        refusal = "".join(self.refusal)
        silent = not text and (self.calls or refusal)
        message: dict[str, Any] = {"role": "assistant", "content": None if silent else text, "refusal": refusal or None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [self.calls[i].whole for i in sorted(self.calls)]
        return message

    def call(self, piece: ToolCall) -> None:
        if piece.index not in self.calls:
            self.calls[piece.index] = _Call()
        self.calls[piece.index].add(piece)


def collect(about: Description, events: Iterable[Event]) -> bytes:
    """The `chat.completion` object of an answer that was not streamed. Raises Refused if it did not end well."""
    choices: dict[int, _Collected] = {}

    def choice(index: int) -> _Collected:
        return choices.setdefault(index, _Collected())

    usage, outcome = None, "completed"
    for event in events:
        match event:
            case Token(text, index):
                choice(index).text.append(text)
            case Reasoning(text, index):
                choice(index).reasoning.append(text)
            case Refusal(text, index):
                choice(index).refusal.append(text)
            case ToolCall():
                choice(event.choice).call(event)
            case Finish(reason, index):
                choice(index).finish_reason = _FINISH_REASON[reason]
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                outcome = event.outcome
            case Start():
                pass
    if outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    choice(0)
    rows = {
        index: {
            "message": collected.message(),
            "logprobs": None,
            "finish_reason": collected.finish_reason or reason_of(outcome),
        }
        for index, collected in sorted(choices.items())
    }
    return msgspec.json.encode(completion(about, rows, told_usage(usage)))


def completion(about: Description, choices: dict[int, dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
    """A whole answer. `choices` by their numbers."""
    return {
        "id": f"chatcmpl-{about.stream}",
        "object": "chat.completion",
        "created": about.created,
        "model": about.model,
        "choices": [{"index": index, **choice} for index, choice in choices.items()],
        "usage": usage,
    }
