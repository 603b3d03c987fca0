"""The response object: the beginning, the end, and the whole of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description
from penstock.dialects.openai_responses.shapes import DELTAS
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage

REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by its outcome."""


def usage_object(usage: Usage | None) -> dict[str, Any] | None:
    """This dialect demands every number: one that nobody said is 0, and its name is in `unknown`, which is ours."""
    if usage is None or usage.source == "unknown":
        return None
    read, wrote = usage.input_tokens, usage.output_tokens
    told: dict[str, Any] = {
        "input_tokens": read or 0,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": wrote or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": (read or 0) + (wrote or 0),
    }
    if usage.cache_write_tokens is not msgspec.UNSET:
        told["input_tokens_details"]["cache_write_tokens"] = usage.cache_write_tokens
    names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    if unknown := [name for name in names if getattr(usage, name) is None]:
        told["unknown"] = unknown
    if usage.source != "final":
        told["source"] = usage.source
    return told


def response_object(
    about: Description, status: str, output: list[dict[str, Any]], usage: Usage | None, reason: str | None = None
) -> dict[str, Any]:
    """`response`, with every field that the official clients' types name. What was asked for is not repeated in it."""
    return {
        "id": f"resp_{about.stream}",
        "object": "response",
        "created_at": about.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": about.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": usage_object(usage),
        "user": None,
    }


def reasoning_item(about: Description, number: int, text: str) -> dict[str, Any]:
    return {
        "id": f"rs_{about.stream}_{number}",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
    }


def message_item(about: Description, number: int, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": f"msg_{about.stream}_{number}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def call_item(about: Description, number: int, call: ToolCall, arguments: str, status: str) -> dict[str, Any]:
    return {
        "id": f"fc_{about.stream}_{number}",
        "type": "function_call",
        "call_id": call.id or f"call_{about.stream}_{call.index}",
        "name": call.name or "",
        "arguments": arguments,
        "status": status,
    }


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def collect(about: Description, events: Iterable[Event]) -> bytes:
    """The `response` of an answer that was not streamed. Raises Refused if it did not end well."""
    from penstock.dialects.openai_responses.write import ResponsesEncoder

    encoder = ResponsesEncoder(about)
    usage, last = None, Done("completed")
    for event in events:
        match event:
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                last = event
            case Token() | Reasoning() | Refusal() | ToolCall() | Finish():
                encoder.encode([event])
            case _:
                pass
    if last.outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    return msgspec.json.encode(encoder.response(usage, last.outcome))


def assemble(about: Description, blocks: Iterable[bytes]) -> bytes | None:
    """The upstream's own `response`, from its last event, under the public model name; None if there is none.

    Some servers leave its output empty: then it is made of the items that were done before. If words came of an item that
    was not, there is none.
    """
    blocks = list(blocks)
    told = _object(blocks[-1]) if blocks else {}
    response = told.get("response")
    if told.get("type") not in ("response.completed", "response.incomplete") or not isinstance(response, dict):
        return None
    if not response.get("output"):
        done: dict[int, dict[str, Any]] = {}
        said: set[int] = set()
        placeless = False
        for block in blocks:
            event = _object(block)
            kind, index, item = event.get("type"), event.get("output_index"), event.get("item")
            if kind in DELTAS:
                placeless = placeless or not isinstance(index, int)
                said |= {index} if isinstance(index, int) else set()
            if kind == "response.output_item.done" and isinstance(index, int) and isinstance(item, dict):
                done[index] = item
        if not said <= done.keys() or (placeless and not done):
            return None
        response["output"] = [done[index] for index in sorted(done)]
    return msgspec.json.encode({**response, "model": about.model})


def _object(block: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = msgspec.json.decode(sse.payload(block), type=dict[str, Any])
    except BROKEN_JSON:
        return {}
    return told
