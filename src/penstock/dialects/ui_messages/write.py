"""Writing a `ui-messages` client's blocks.

The client checks every part: a type or a field that it does not know, a delta before its start or a second end is the end
of the chat. Of several choices only the first is told: this dialect has one answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Ending
from penstock.dialects.ui_messages.errors import DONE, error_blocks
from penstock.wire.events import Done, Event, Finish, Reasoning, Refusal, Start, Terminal, Token, ToolCall, Usage

_FINISH_REASON = {
    "completed": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
}


class _Call:
    """One call of a tool. Nothing is told of it before its name is known."""

    __slots__ = ("arguments", "id", "name", "opened")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.opened = False


class UIEncoder:
    """Events -> blocks.

    One text or reasoning part is open at a time. Inputs of tools may come in turns, and between words: they are whole when
    the answer ends, for nothing else says that no more will come.
    """

    __slots__ = (
        "_about",
        "_begun",
        "_calls",
        "_closed",
        "_ids",
        "_kind",
        "_part",
        "_parts",
        "_reason",
        "_refused",
        "_unnamed",
    )

    def __init__(self, about: Description) -> None:
        self._about = about
        self._begun = False
        self._kind = ""
        """Of the open part: `text`, `reasoning`, or nothing."""
        self._part = ""
        """Its id."""
        self._parts = 0
        self._calls: dict[int, _Call] = {}
        """Those whose input is not whole yet, or may not be."""
        self._closed: set[int] = set()
        self._unnamed = 0
        """How many of the calls wait for their names."""
        self._ids: set[str] = set()
        self._reason: str | None = None
        self._refused = False

    @property
    def holds(self) -> bool:
        return self._reason is not None or self._unnamed > 0

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        blocks: list[bytes] = []
        for event in events:
            match event:
                case Start():
                    self._begin(blocks)
                case Token(text, 0):
                    self._say("text", text, blocks)
                case Reasoning(text, 0):
                    self._say("reasoning", text, blocks)
                case Refusal(text, 0):
                    # There are no words for it but the reason of the end: `content-filter`.
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
        if not isinstance(last, Done) or last.outcome == "cancelled":
            return error_blocks(last)
        blocks: list[bytes] = []
        self._begin(blocks)
        self._close(blocks)
        metadata: dict[str, Any] = {"outcome": last.outcome}
        if usage is not None and usage.source != "unknown":
            metadata["usage"] = {name: n for name, n in msgspec.to_builtins(usage).items() if n is not None}
        reason = self._reason or last.outcome
        if reason == "completed" and (self._refused or self._closed):
            # Some upstreams say that they just stopped when they called or refused.
            reason = "content_filter" if self._refused else "tool_calls"
        finish = _block("finish", finishReason=_FINISH_REASON[reason], messageMetadata=metadata)
        return [*blocks, _block("finish-step"), finish, DONE]

    def _begin(self, blocks: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            about = self._about
            metadata = {"stream": about.stream, "model": about.model}
            blocks += [
                _block("start", messageId=about.message or f"msg_{about.stream}", messageMetadata=metadata),
                _block("start-step"),
            ]

    def _say(self, kind: str, text: str, blocks: list[bytes]) -> None:
        self._begin(blocks)
        if not text:
            return
        if self._kind != kind:
            self._stop(blocks)
            self._kind, self._part = kind, f"{kind}-{self._parts}"
            self._parts += 1
            blocks.append(_block(f"{kind}-start", id=self._part))
        blocks.append(_block(f"{kind}-delta", id=self._part, delta=text))

    def _stop(self, blocks: list[bytes]) -> None:
        """End the open part."""
        if self._kind:
            blocks.append(_block(f"{self._kind}-end", id=self._part))
            self._kind = ""

    def _call(self, piece: ToolCall, blocks: list[bytes]) -> None:
        self._begin(blocks)
        if piece.index in self._closed:
            return
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _Call()
            self._unnamed += 1
        if piece.arguments:
            call.arguments.append(piece.arguments)
        if call.opened:
            if piece.arguments:
                blocks.append(_block("tool-input-delta", toolCallId=call.id, inputTextDelta=piece.arguments))
            return
        call.id = call.id or piece.id or ""
        call.name = piece.name or ""
        if call.name:
            self._open(piece.index, call, blocks)

    def _open(self, index: int, call: _Call, blocks: list[bytes]) -> None:
        self._stop(blocks)
        call.opened = True
        self._unnamed -= 1
        call.id = call.id or f"call_{self._about.stream}_{index}"
        while call.id in self._ids:
            call.id += f"_{index}"  # the client tells calls apart by nothing else
        self._ids.add(call.id)
        blocks.append(_block("tool-input-start", toolCallId=call.id, toolName=call.name))
        if call.arguments:
            delta = "".join(call.arguments)
            blocks.append(_block("tool-input-delta", toolCallId=call.id, inputTextDelta=delta))

    def _close(self, blocks: list[bytes]) -> None:
        """End the open part and every call."""
        self._stop(blocks)
        calls, self._calls = self._calls, {}
        for index, call in calls.items():
            if not call.opened:
                self._open(index, call, blocks)
            self._closed.add(index)
            blocks.append(_whole(call))


def _whole(call: _Call) -> bytes:
    """The input of a call; none at all is `{}`. What is no JSON is an error of the call, not of the answer."""
    text = "".join(call.arguments)
    about = {"toolCallId": call.id, "toolName": call.name}
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
        return _block("tool-input-available", **about, input=value)
    except BROKEN_JSON:
        return _block("tool-input-error", **about, input=text, errorText="the model's input for the tool is not JSON")


def _block(type: str, **fields: Any) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode({"type": type, **fields})


def ending(end: Ending) -> list[bytes]:
    """After an upstream's own blocks: its log has the `finish`, or else (`held`) ends with the marker itself."""
    if isinstance(end.last, Done) and end.last.outcome != "cancelled":
        return [DONE] if end.held is None else []
    return error_blocks(end.last)
