"""The answer in one piece: the message that a `ui-messages` client has made of the stream when it ends.

    {"id", "role": "assistant", "metadata": {"stream", "model", "outcome", "usage"?}, "parts": [...]}

Its parts are `step-start`, `text`, `reasoning` and `tool-<name>`, as pages keep them and send them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import Description
from penstock.dialects.ui_messages.errors import DONE
from penstock.dialects.ui_messages.write import UIEncoder
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Usage


def collect(about: Description, events: Iterable[Event]) -> bytes:
    """Raises Refused if the answer did not end well."""
    encoder = UIEncoder(about)
    blocks: list[bytes] = []
    usage: Usage | None = None
    last = Done("completed")
    for event in events:
        match event:
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                last = event
            case _:
                blocks += encoder.encode([event])
    if last.outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    blocks += encoder.end(usage, last)
    return msgspec.json.encode(_message(blocks))


def _message(blocks: Iterable[bytes]) -> dict[str, Any]:
    """What the client makes of the stream."""
    message: dict[str, Any] = {"id": "", "role": "assistant", "metadata": {}, "parts": []}
    parts: list[dict[str, Any]] = message["parts"]
    pieces: dict[str, list[str]] = {}
    calls: dict[str, dict[str, Any]] = {}
    for block in blocks:
        if block == DONE:
            break
        told: dict[str, Any] = msgspec.json.decode(sse.payload(block))
        match told["type"]:
            case "start":
                message["id"] = told["messageId"]
                message["metadata"] |= told["messageMetadata"]
            case "finish":
                message["metadata"] |= told["messageMetadata"]
            case "start-step":
                parts.append({"type": "step-start"})
            case "text-start" | "reasoning-start" as start:
                pieces[told["id"]] = []
                parts.append({"type": start.removesuffix("-start"), "text": told["id"], "state": "done"})
            case "text-delta" | "reasoning-delta":
                pieces[told["id"]].append(told["delta"])
            case "tool-input-start":
                id = told["toolCallId"]
                calls[id] = {"type": f"tool-{told['toolName']}", "toolCallId": id}
                parts.append(calls[id])
            case "tool-input-available":
                calls[told["toolCallId"]] |= {"state": "input-available", "input": told["input"]}
            case "tool-input-error":
                told_wrong = {"state": "output-error", "rawInput": told["input"], "errorText": told["errorText"]}
                calls[told["toolCallId"]] |= told_wrong
            case _:
                pass  # the ends of parts; the deltas of calls, whose input comes whole
    for part in parts:
        if part["type"] in ("text", "reasoning"):
            part["text"] = "".join(pieces[part["text"]])
    return message
