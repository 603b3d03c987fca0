"""Requests of the `openai-chat` dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import Message, Request, Tool, decode_json, encode_json
from penstock.exceptions import Refused

MAX_CHOICES = 16


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _ChatRequest(msgspec.Struct):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None


def parse_request(body: bytes) -> Request:
    """A client's request. Raises Refused (400)."""
    asked: _ChatRequest = decode_json(body, _ChatRequest)
    if not asked.messages:
        raise Refused(400, "invalid_request", "messages is empty", param="messages")
    choices = 1 if asked.n is None else asked.n
    if not 1 <= choices <= MAX_CHOICES:
        raise Refused(400, "invalid_request", f"n must be from 1 to {MAX_CHOICES}", param="n")
    max_tokens = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    if max_tokens is not None and max_tokens < 1:
        raise Refused(400, "invalid_request", "max_tokens must be at least 1", param="max_tokens")
    return Request(
        dialect="openai-chat",
        model=asked.model,
        messages=asked.messages,
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        choices=choices,
        max_tokens=max_tokens,
        tools=[
            Tool(tool.function.name, tool.function.description, tool.function.parameters or {})
            for tool in asked.tools or ()
            if tool.function
        ],
        fields=decode_json(body, dict[str, Any]),
    )


def encode_request(request: Request, model: str) -> bytes:
    """The upstream's request: always streamed and with usage, whatever the client asked for. Raises Refused (400)."""
    if request.dialect not in ("openai-chat", "native"):
        raise Refused(400, "unsupported_translation", f"{request.dialect} requests can't go to openai-chat yet")
    # The native dialect takes its sampling fields in this dialect's names, so both travel alike.
    fields = dict(request.fields)
    options = fields.get("stream_options")
    fields["model"] = model
    fields["stream"] = True
    fields["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return encode_json(fields)
