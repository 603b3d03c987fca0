"""A whole message from an Anthropic upstream's own events: signatures, citations and unknown blocks stay.

Without the signature of a thinking block, a client could not give it back in the next turn of a tool loop.
Reference: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.anthropic.write import as_input
from penstock.dialects.base import BROKEN_JSON
from penstock.wire import sse


class _Part:
    """A content block, and what its deltas add to it: in lists, for an answer may come in a million of them."""

    __slots__ = ("_block", "_citations", "_input", "_texts")

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = dict(block)
        self._texts: dict[str, list[str]] = {}
        """By field: its pieces."""
        self._input: list[str] = []
        self._citations: list[Any] = []

    def add(self, delta: dict[str, Any]) -> None:
        match delta.get("type"):
            case "input_json_delta" if isinstance(delta.get("partial_json"), str):
                self._input.append(delta["partial_json"])
            case "citations_delta" if "citation" in delta:
                self._citations.append(delta["citation"])
            case _:
                # text_delta {text}, thinking_delta {thinking}, signature_delta {signature}, and what is like them
                for name, value in delta.items():
                    if name != "type":
                        self._go_on(name, value)

    def _go_on(self, name: str, value: Any) -> None:
        pieces = self._texts.get(name)
        if pieces is None and isinstance(before := self._block.get(name), str):
            pieces = self._texts[name] = [before]
        if pieces is not None and isinstance(value, str):
            pieces.append(value)
        else:
            self._texts.pop(name, None)
            self._block[name] = value

    def content(self) -> dict[str, Any]:
        told = self._block | {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._citations:
            before = told.get("citations")
            told["citations"] = [*(before if isinstance(before, list) else ()), *self._citations]
        if self._input:
            told["input"] = as_input("".join(self._input))
        return told


def assemble(model: str, blocks: Iterable[bytes]) -> bytes | None:
    """The `message` object; None if the events do not tell one. `model` is its public name."""
    message: dict[str, Any] | None = None
    parts: dict[int, _Part] = {}
    for block in blocks:
        try:
            event = msgspec.json.decode(sse.payload(block), type=dict[str, Any])
        except BROKEN_JSON:
            continue
        index, delta = event.get("index"), event.get("delta")
        match event.get("type"):
            case "message_start" if isinstance(event.get("message"), dict):
                message = dict(event["message"])
            case "content_block_start" if isinstance(index, int) and isinstance(event.get("content_block"), dict):
                parts[index] = _Part(event["content_block"])
            case "content_block_delta" if isinstance(delta, dict) and isinstance(index, int) and index in parts:
                parts[index].add(delta)
            case "message_delta" if message is not None:
                if isinstance(delta, dict):
                    message |= delta
                if isinstance(event.get("usage"), dict):
                    # What is no object says nothing: the first usage of some servers is a word or null.
                    before = message.get("usage")
                    message["usage"] = {**(before if isinstance(before, dict) else {}), **event["usage"]}
            case _:
                pass
    if message is None:
        return None
    content = [parts[index].content() for index in sorted(parts)]
    try:
        return msgspec.json.encode({**message, "model": model, "content": content})
    except RecursionError:  # read as pieces it was just not too deep
        return None
