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


def assemble(model: str, blocks: Iterable[bytes]) -> bytes | None:
    """The `message` object; None if the events do not tell one. `model` is its public name."""
    message: dict[str, Any] | None = None
    parts: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
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
                parts[index] = dict(event["content_block"])
            case "content_block_delta" if isinstance(delta, dict) and isinstance(index, int) and index in parts:
                _add(parts[index], delta, index, inputs)
            case "message_delta" if message is not None:
                if isinstance(delta, dict):
                    message |= delta
                if isinstance(event.get("usage"), dict):
                    message["usage"] = {**(message.get("usage") or {}), **event["usage"]}
            case _:
                pass
    if message is None:
        return None
    for index, text in inputs.items():
        parts[index]["input"] = as_input(text)
    return msgspec.json.encode({**message, "model": model, "content": [parts[index] for index in sorted(parts)]})


def _add(part: dict[str, Any], delta: dict[str, Any], index: int, inputs: dict[int, str]) -> None:
    match delta.get("type"):
        case "input_json_delta" if isinstance(delta.get("partial_json"), str):
            inputs[index] = inputs.get(index, "") + delta["partial_json"]
        case "citations_delta" if "citation" in delta:
            part["citations"] = [*(part.get("citations") or []), delta["citation"]]
        case _:
            # text_delta {text}, thinking_delta {thinking}, signature_delta {signature}, and what is like them
            for name, value in delta.items():
                if name != "type":
                    before = part.get(name)
                    part[name] = before + value if isinstance(before, str) and isinstance(value, str) else value
