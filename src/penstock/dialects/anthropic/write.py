"""Writing an `anthropic` client's blocks.

Of several choices only the first is told: this dialect has one answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.anthropic.errors import error_block
from penstock.dialects.base import Description, Ending
from penstock.dialects.brackets import Brackets
from penstock.wire.events import (
    Done,
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

_STOP_REASON = {
    "completed": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_DELTA = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}

_UNKNOWN = {"input_tokens": 0, "output_tokens": 0, "source": "unknown"}
"""The format demands the numbers, before and even if anybody knows them: `source` is ours, and says so."""


def as_input(arguments: str) -> dict[str, Any]:
    """The `input` of a tool use, from the JSON text of its arguments.

    It must be an object. What is none goes under the name that Anthropic's documentation has for it:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    if not arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


class _Part:
    """A content block: told so far as `pieces` say nothing; the rest waits for its turn."""

    __slots__ = ("_brackets", "id", "kind", "name", "opened", "over", "pieces", "whole")

    def __init__(self, kind: str, id: str = "") -> None:
        self.kind = kind
        self.id = id
        self.name = ""
        self.opened = False
        self.pieces: list[str] = []
        self.whole = kind != "tool_use"
        """It may be closed: nothing that belongs to it can follow, or what follows may as well be in another block."""
        self.over = False
        """It has been closed: what still comes for it is lost."""
        self._brackets = Brackets()

    def add(self, text: str) -> None:
        """The next piece. A call is whole with the bracket that closes its arguments."""
        self.pieces.append(text)
        if self.whole:
            return
        self.whole = self._brackets.feed(text)

    @property
    def content(self) -> dict[str, Any]:
        """The `content_block` that it starts with."""
        if self.kind == "tool_use":
            return {"type": "tool_use", "id": self.id, "name": self.name, "input": {}}
        return _EMPTY[self.kind]


class MessagesEncoder:
    """Events -> blocks. Only one content block is open at a time, and they come in the order in which they began.

    A block ends when something else comes. Only a call of a tool may not end before its arguments are whole: what comes
    meanwhile (pieces of another call, as a rule) waits until they are, or until the answer ends.
    """

    __slots__ = ("_about", "_begun", "_calls", "_index", "_parts", "_reason", "_refused")

    def __init__(self, about: Description) -> None:
        self._about = about
        self._begun = False
        self._index = 0
        """Of the first of `_parts`."""
        self._parts: deque[_Part] = deque()
        """The open block, and those that wait."""
        self._calls: dict[int, _Part] = {}
        self._reason: str | None = None
        self._refused = False

    @property
    def holds(self) -> bool:
        parts = self._parts
        return self._reason is not None or len(parts) > 1 or bool(parts and not parts[0].opened)

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        blocks: list[bytes] = []
        for event in events:
            match event:
                case Start():
                    self._begin(blocks)
                case Token(text, 0):
                    self._say("text", text, blocks)
                case Reasoning(text, 0):
                    self._say("thinking", text, blocks)
                case Refusal(text, 0):
                    # There are no words for it but the reason of the end: `refusal`.
                    self._refused = True
                    self._say("text", text, blocks)
                case ToolCall(choice=0):
                    self._call(event, blocks)
                case Finish(reason, 0):
                    self._begin(blocks)
                    self._reason = reason
                    self._close(blocks)
                case _:
                    pass  # other choices; Usage, Error and Done come through end()
        return blocks

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        blocks: list[bytes] = []
        if isinstance(last, Done) and last.outcome != "cancelled":
            self._close(blocks)
            delta = {"stop_reason": self._stop_reason(self._reason or last.outcome), "stop_sequence": None}
            blocks.append(_block("message_delta", delta=delta, usage=usage_object(usage, whole=False)))
            blocks.append(MESSAGE_STOP)
        else:
            self._tell(blocks, force=True)
            blocks.append(error_block(last))
        return blocks

    def _begin(self, blocks: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            blocks.append(_block("message_start", message=message_object(self._about, [], None, _UNKNOWN)))

    def _say(self, kind: str, text: str, blocks: list[bytes]) -> None:
        self._begin(blocks)
        if not text:
            return
        if not self._parts or self._parts[-1].kind != kind:
            self._parts.append(_Part(kind))
        self._parts[-1].add(text)
        self._tell(blocks)

    def _call(self, piece: ToolCall, blocks: list[bytes]) -> None:
        self._begin(blocks)
        part = self._calls.get(piece.index)
        if part is None:
            part = self._calls[piece.index] = _Part("tool_use", call_id(self._about, piece))
            self._parts.append(part)
        # Both come once; some upstreams repeat them in every piece.
        part.name = part.name or piece.name or ""
        if piece.arguments and not part.over:
            part.add(piece.arguments)
        self._tell(blocks)

    def _tell(self, blocks: list[bytes], *, force: bool = False) -> None:
        """Everything that may be told by now, or with `force` just everything."""
        while self._parts:
            part = self._parts[0]
            if not part.opened:
                if part.kind == "tool_use" and not part.name and not force:
                    return
                part.opened = True
                blocks.append(_block("content_block_start", index=self._index, content_block=part.content))
            kind, key = _DELTA[part.kind]
            blocks += [
                _block("content_block_delta", index=self._index, delta={"type": kind, key: piece})
                for piece in part.pieces
            ]
            part.pieces.clear()
            if len(self._parts) == 1 or not (part.whole or force):
                return
            self._stop(blocks)

    def _close(self, blocks: list[bytes]) -> None:
        self._tell(blocks, force=True)
        if self._parts:
            self._stop(blocks)

    def _stop(self, blocks: list[bytes]) -> None:
        self._parts.popleft().over = True
        blocks.append(_block("content_block_stop", index=self._index))
        self._index += 1

    def _stop_reason(self, reason: str) -> str:
        return stop_reason(reason, refused=self._refused, called=bool(self._calls))


def call_id(about: Description, piece: ToolCall) -> str:
    """The id of a tool use: the upstream's, or one of our own that is the same each time."""
    return piece.id or f"toolu_{about.stream}_{piece.index}"


def stop_reason(reason: str, *, refused: bool, called: bool) -> str:
    """The reason in this dialect's words; some upstreams say that they just stopped when they called or refused."""
    if reason == "completed" and (refused or called):
        return "refusal" if refused else "tool_use"
    return _STOP_REASON.get(reason, "end_turn")


def usage_object(usage: Usage | None, *, whole: bool = True) -> dict[str, Any]:
    """The usage in this dialect's numbers: what the cache read and wrote is no part of `input_tokens` here.

    What nobody said is left out, except for what the format demands: `output_tokens`, and in a `whole` usage
    `input_tokens`. These are zero then, and `source` is `unknown`.
    """
    if usage is None or usage.source == "unknown":
        usage = Usage(source="unknown")
    told: dict[str, Any] = {}
    wrote = None if usage.cache_write_tokens is msgspec.UNSET else usage.cache_write_tokens
    if usage.input_tokens is not None:
        told["input_tokens"] = max(0, usage.input_tokens - (usage.cached_tokens or 0) - (wrote or 0))
    elif whole:
        told["input_tokens"] = 0
    if wrote is not None:
        told["cache_creation_input_tokens"] = wrote
    if usage.cached_tokens is not None:
        told["cache_read_input_tokens"] = usage.cached_tokens
    told["output_tokens"] = usage.output_tokens or 0
    if usage.reasoning_tokens is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.output_tokens is None or (whole and usage.input_tokens is None):
        told["source"] = "unknown"
    elif usage.source != "final":
        told["source"] = usage.source
    return told


def message_object(
    about: Description, content: list[dict[str, Any]], reason: str | None, usage: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"msg_{about.stream}",
        "type": "message",
        "role": "assistant",
        "model": about.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _block(event: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode({"type": event, **fields}))


MESSAGE_STOP = _block("message_stop")


def ending(end: Ending) -> list[bytes]:
    """After an upstream's own blocks, up to `message_delta`: its `message_stop`, if it ended well."""
    if isinstance(end.last, Done) and end.last.outcome != "cancelled":
        return [MESSAGE_STOP if end.held is None else end.held]
    return [error_block(end.last)]
