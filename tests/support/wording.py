"""Where each dialect has the words of an answer: (data, event) of a block -> the pieces in it.

Written by hand from the providers' references, as `tests.support.dialects`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.said import Piece


def native(data: Any, event: str) -> Iterator[Piece]:
    match event:
        case "token":
            yield Piece("text", data["text"])
        case "reasoning":
            yield Piece("reasoning", data["text"])
        case "tool_call":
            yield Piece("call", data.get("arguments", ""), data["index"], data.get("id", ""), data.get("name", ""))


def chat(data: Any, event: str) -> Iterator[Piece]:
    if data is None or "error" in data:
        return
    for choice in data["choices"]:
        delta = choice["delta"]
        yield Piece("reasoning", delta.get("reasoning_content") or "")
        yield Piece("text", delta.get("content") or "")
        for call in delta.get("tool_calls") or ():
            function = call["function"]
            yield Piece(
                "call", function.get("arguments", ""), call["index"], call.get("id", ""), function.get("name", "")
            )


def anthropic(data: Any, event: str) -> Iterator[Piece]:
    if event == "content_block_start" and data["content_block"]["type"] == "tool_use":
        yield Piece("call", "", data["index"], data["content_block"]["id"], data["content_block"]["name"])
    elif event == "content_block_delta":
        delta = data["delta"]
        match delta["type"]:
            case "text_delta":
                yield Piece("text", delta["text"])
            case "thinking_delta":
                yield Piece("reasoning", delta["thinking"])
            case "input_json_delta":
                yield Piece("call", delta["partial_json"], data["index"])


def responses(data: Any, event: str) -> Iterator[Piece]:
    match event.removeprefix("response."):
        case "output_item.added" if data["item"]["type"] == "function_call":
            item = data["item"]
            yield Piece("call", item["arguments"], data["output_index"], item["call_id"], item["name"])
        case "output_text.delta":
            yield Piece("text", data["delta"], data["output_index"])
        case "reasoning_summary_text.delta":
            yield Piece("reasoning", data["delta"], data["output_index"])
        case "function_call_arguments.delta":
            yield Piece("call", data["delta"], data["output_index"])
        case "output_text.done":
            yield Piece("text", data["text"], data["output_index"], again=True)
        case "function_call_arguments.done":
            yield Piece("call", data["arguments"], data["output_index"], again=True)
        case "output_item.done":
            yield from _item(data["item"], data["output_index"])
        case "completed" | "incomplete":
            for number, item in enumerate(data["response"]["output"]):
                yield from _item(item, number)


def _item(item: Any, number: int) -> Iterator[Piece]:
    """A whole item: everything in it was said before."""
    match item["type"]:
        case "function_call":
            yield Piece("call", item["arguments"], number, item["call_id"], item["name"], again=True)
        case "reasoning":
            yield Piece("reasoning", "".join(part["text"] for part in item["summary"]), number, again=True)
        case "message":
            yield Piece("text", "".join(part["text"] for part in item["content"]), number, again=True)


def ui(data: Any, event: str) -> Iterator[Piece]:
    match "" if data is None else data["type"]:
        case "text-delta":
            yield Piece("text", data["delta"])
        case "reasoning-delta":
            yield Piece("reasoning", data["delta"])
        case "tool-input-start":
            yield Piece("call", "", data["toolCallId"], data["toolCallId"], data["toolName"])
        case "tool-input-delta":
            yield Piece("call", data["inputTextDelta"], data["toolCallId"])
        case "tool-input-available":
            words = json.dumps(data["input"], ensure_ascii=False)
            yield Piece("call", words, data["toolCallId"], data["toolCallId"], data["toolName"], again=True)


def gemini(data: Any, event: str) -> Iterator[Piece]:
    for candidate in data.get("candidates") or ():
        for part in (candidate.get("content") or {}).get("parts") or ():
            if "functionCall" in part:
                call = part["functionCall"]
                words = json.dumps(call.get("args", {}), ensure_ascii=False)
                yield Piece("call", words, object(), call.get("id", ""), call["name"])
            else:
                yield Piece("reasoning" if part.get("thought") else "text", part.get("text", ""))
