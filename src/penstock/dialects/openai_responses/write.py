"""Writing an `openai-responses` client's blocks.

Items are told in the order in which they begin, and closed when something else begins; function calls may be open side by
side, as this API allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import Description
from penstock.dialects.openai_responses.errors import error_block
from penstock.dialects.openai_responses.whole import (
    REASONS,
    call_item,
    message_item,
    reasoning_item,
    refusal_part,
    response_object,
    text_part,
)
from penstock.wire.events import Done, Event, Finish, Reasoning, Refusal, Start, Terminal, Token, ToolCall, Usage


class _Open:
    """An item that is being told: `reasoning`, `text` or `refusal` of a message, or a `call`."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number
        self.parts: list[dict[str, Any]] = []  # finished ones, of a message
        self.said: list[str] = []
        self.call: ToolCall | None = None

    @property
    def text(self) -> str:
        return "".join(self.said)


class _Nameless:
    """A call that waits for its name, without which none can be told."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.arguments: list[str] = []

    def call(self, index: int, name: str | None) -> ToolCall:
        return ToolCall(index, self.id, name, "".join(self.arguments))


class ResponsesEncoder:
    """Events -> blocks. Only the first choice can be told."""

    def __init__(self, about: Description) -> None:
        self._about = about
        self._sequence = 0
        self._begun = False
        self._output: dict[int, dict[str, Any]] = {}
        self._items = 0
        self._item: _Open | None = None
        self._calls: dict[int, _Open] = {}
        self._nameless: dict[int, _Nameless] = {}
        self._latest = 0  # the item that the last piece belongs to
        self._reason: str | None = None

    @property
    def holds(self) -> bool:
        return self._reason is not None or bool(self._nameless)

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
                    self._say("refusal", text, blocks)
                case ToolCall(choice=0):
                    self._call(event, blocks)
                case Finish(reason, 0):
                    self._reason = reason
                case _:
                    pass  # other choices
        return blocks

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        blocks: list[bytes] = []
        if not isinstance(last, Done) or last.outcome == "cancelled":
            return [error_block(last, self._sequence)]
        self._begin(blocks)
        self._close(blocks, last.outcome)
        response = self.response(usage, last.outcome)
        blocks.append(self._block(f"response.{response['status']}", response=response))
        return blocks

    def response(self, usage: Usage | None, outcome: str) -> dict[str, Any]:
        """The whole response, of an answer that ended well."""
        self._close([], outcome)
        reason = REASONS.get(self._reason or outcome)
        output = [self._output[number] for number in sorted(self._output)]
        return response_object(self._about, "incomplete" if reason else "completed", output, usage, reason)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _begin(self, blocks: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            response = response_object(self._about, "in_progress", [], None)
            blocks.append(self._block("response.created", response=response))
            blocks.append(self._block("response.in_progress", response=response))

    def _say(self, kind: str, text: str, blocks: list[bytes]) -> None:
        if not text:
            return
        self._begin(blocks)
        item = self._item
        if item is None or (item.kind == "reasoning") != (kind == "reasoning"):
            self._close_item(blocks)
            item = self._item = self._open(kind, blocks)
        elif item.kind != kind:
            self._close_part(item, blocks)
            item.kind = kind
            self._open_part(item, blocks)
        item.said.append(text)
        self._latest = item.number
        where = self._where(item)
        if kind == "reasoning":
            blocks.append(self._block("response.reasoning_summary_text.delta", **where, summary_index=0, delta=text))
        elif kind == "text":
            index = len(item.parts)
            blocks.append(
                self._block("response.output_text.delta", **where, content_index=index, delta=text, logprobs=[])
            )
        else:
            blocks.append(self._block("response.refusal.delta", **where, content_index=len(item.parts), delta=text))

    def _call(self, piece: ToolCall, blocks: list[bytes]) -> None:
        self._begin(blocks)
        item = self._calls.get(piece.index)
        if item is None:
            held = self._nameless.get(piece.index)
            if held is None:
                held = self._nameless[piece.index] = _Nameless()
            held.id = held.id or piece.id
            held.arguments.append(piece.arguments)
            if not piece.name:
                return
            del self._nameless[piece.index]
            piece = held.call(piece.index, piece.name)
            item = self._open_call(piece, blocks)
        self._add(item, piece.arguments, blocks)

    def _open_call(self, call: ToolCall, blocks: list[bytes]) -> _Open:
        self._close_item(blocks)
        item = self._calls[call.index] = _Open("call", self._next())
        item.call = call
        told = call_item(self._about, item.number, call, "", "in_progress")
        blocks.append(self._block("response.output_item.added", output_index=item.number, item=told))
        return item

    def _add(self, item: _Open, arguments: str, blocks: list[bytes]) -> None:
        self._latest = item.number
        if arguments:
            item.said.append(arguments)
            where = self._where(item)
            blocks.append(self._block("response.function_call_arguments.delta", **where, delta=arguments))

    def _open(self, kind: str, blocks: list[bytes]) -> _Open:
        item = _Open(kind, self._next())
        if kind == "reasoning":
            told = reasoning_item(self._about, item.number, "")
        else:
            told = message_item(self._about, item.number, [], "in_progress")
        blocks.append(self._block("response.output_item.added", output_index=item.number, item=told))
        self._open_part(item, blocks)
        return item

    def _open_part(self, item: _Open, blocks: list[bytes]) -> None:
        where = self._where(item)
        if item.kind == "reasoning":
            part = {"type": "summary_text", "text": ""}
            blocks.append(self._block("response.reasoning_summary_part.added", **where, summary_index=0, part=part))
        else:
            part = text_part("") if item.kind == "text" else refusal_part("")
            index = len(item.parts)
            blocks.append(self._block("response.content_part.added", **where, content_index=index, part=part))

    def _close(self, blocks: list[bytes], outcome: str) -> None:
        """Whatever is open is done; the last of it was cut short, if the answer was."""
        for index, held in self._nameless.items():
            call = held.call(index, None)
            self._add(self._open_call(call, blocks), call.arguments, blocks)
        self._nameless.clear()
        cut = (self._reason or outcome) in REASONS
        self._close_item(blocks, cut=cut)
        for item in list(self._calls.values()):
            if item.number not in self._output:
                status = "incomplete" if cut and item.number == self._latest else "completed"
                assert item.call is not None
                where, arguments = self._where(item), item.text
                name = item.call.name or ""
                blocks.append(
                    self._block("response.function_call_arguments.done", **where, name=name, arguments=arguments)
                )
                told = call_item(self._about, item.number, item.call, arguments, status)
                self._done(item, told, blocks)

    def _close_item(self, blocks: list[bytes], *, cut: bool = False) -> None:
        item, self._item = self._item, None
        if item is None:
            return
        if item.kind == "reasoning":
            where, part = self._where(item), {"type": "summary_text", "text": item.text}
            blocks.append(self._block("response.reasoning_summary_text.done", **where, summary_index=0, text=item.text))
            blocks.append(self._block("response.reasoning_summary_part.done", **where, summary_index=0, part=part))
            self._done(item, reasoning_item(self._about, item.number, item.text), blocks)
        else:
            self._close_part(item, blocks)
            status = "incomplete" if cut and item.number == self._latest else "completed"
            self._done(item, message_item(self._about, item.number, item.parts, status), blocks)

    def _close_part(self, item: _Open, blocks: list[bytes]) -> None:
        where, index, text = self._where(item), len(item.parts), item.text
        if item.kind == "text":
            part = text_part(text)
            blocks.append(
                self._block("response.output_text.done", **where, content_index=index, text=text, logprobs=[])
            )
        else:
            part = refusal_part(text)
            blocks.append(self._block("response.refusal.done", **where, content_index=index, refusal=text))
        blocks.append(self._block("response.content_part.done", **where, content_index=index, part=part))
        item.parts.append(part)
        item.said = []

    def _done(self, item: _Open, told: dict[str, Any], blocks: list[bytes]) -> None:
        self._output[item.number] = told
        blocks.append(self._block("response.output_item.done", output_index=item.number, item=told))

    def _where(self, item: _Open) -> dict[str, Any]:
        prefix = {"reasoning": "rs", "call": "fc"}.get(item.kind, "msg")
        return {"item_id": f"{prefix}_{self._about.stream}_{item.number}", "output_index": item.number}

    def _next(self) -> int:
        self._items += 1
        return self._items - 1

    def _block(self, kind: str, **fields: Any) -> bytes:
        told = msgspec.json.encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), told)
