"""Requests of the `openai-chat` dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import (
    Message,
    Options,
    Outgoing,
    Request,
    Tool,
    decode_json,
    encode_json,
    other_fields,
    untold,
)
from penstock.dialects.openai_chat.messages import note
from penstock.exceptions import Refused

MAX_CHOICES = 16
PATH = "/chat/completions"


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _Named(msgspec.Struct):
    name: str


class _Choice(msgspec.Struct):
    """`tool_choice` as an object: one function that must be called."""

    type: str = "function"
    function: _Named | None = None


class Sampling(msgspec.Struct):
    """The fields of `Options`, in this dialect's names."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None


class _ChatRequest(Sampling):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    # Both are needed; a class with defaults above it can't say so.
    model: str = ""
    messages: list[Message] = []
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None


_KNOWN = frozenset(_ChatRequest.__struct_fields__)
_NEEDED = frozenset(
    (
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "modalities",
        "top_logprobs",
        "web_search_options",
    )
)
"""Fields without which it would be another answer, and that no other dialect has."""


def parse_request(body: bytes) -> Request:
    """A client's request. Raises Refused (400)."""
    asked: _ChatRequest = decode_json(body, _ChatRequest)
    fields: dict[str, Any] = decode_json(body, dict[str, Any])
    if "model" not in fields:
        raise Refused(400, "invalid_request", "model is missing", param="model")
    if not asked.messages:
        raise Refused(400, "invalid_request", "messages is empty", param="messages")
    choices = 1 if asked.n is None else asked.n
    if not 1 <= choices <= MAX_CHOICES:
        raise Refused(400, "invalid_request", f"n must be from 1 to {MAX_CHOICES}", param="n")
    noted = note(fields, asked.messages)
    # Of two the larger: which of them an upstream heeds is its own affair, and this must be the most that can come.
    most = [limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit is not None]
    max_tokens = max(most, default=None)
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
            Tool(tool.function.name, tool.function.description, tool.function.parameters or {}, tool.function.strict)
            for tool in asked.tools or ()
            if tool.function
        ],
        options=read_options(asked),
        others=[*noted.hints, *other_fields(fields, _KNOWN | _NEEDED)],
        needs=[*other_fields({name: fields[name] for name in sorted(_NEEDED & fields.keys())}, ()), *noted.needs],
        fields=fields,
    )


def read_options(asked: Sampling) -> Options:
    """What was asked, in everybody's words."""
    choice = asked.tool_choice
    if isinstance(choice, _Choice):
        choice = f"function:{choice.function.name}" if choice.function else None
    shape = asked.response_format
    return Options(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        response_format=None if shape is None or shape.get("type") == "text" else shape,
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        reasoning_effort=asked.reasoning_effort,
        user=asked.user,
    )


def encode_request(request: Request, model: str) -> Outgoing:
    """The upstream's request: always streamed and with usage, whatever the client asked for. Raises Refused (400)."""
    if request.dialect in ("openai-chat", "native"):
        # The native dialect takes its sampling fields in this dialect's names, so both travel alike.
        fields = dict(request.fields)
        dropped: list[str] = []
    else:
        fields, dropped = build_fields(request, "openai-chat")
    options = fields.get("stream_options")
    fields["model"] = model
    fields["stream"] = True
    fields["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return Outgoing(PATH, encode_json(fields), dropped)


def build_fields(request: Request, target: str) -> tuple[dict[str, Any], list[str]]:
    """A request of another dialect in this one's fields, and the names of what it has no words for. Raises Refused."""
    options, dropped = request.options, untold(request, target)
    fields: dict[str, Any] = {"messages": [_message(message) for message in request.messages]}
    if request.choices > 1:
        fields["n"] = request.choices
    if request.max_tokens is not None:
        fields["max_tokens"] = request.max_tokens
    if request.tools:
        fields["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    for name in ("temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty", "response_format"):
        if (value := getattr(options, name)) is not None:
            fields[name] = value
    if options.tool_choice is not None:
        kind, _, name = options.tool_choice.partition(":")
        fields["tool_choice"] = {"type": "function", "function": {"name": name}} if name else kind
    if options.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = options.parallel_tool_calls
    if (effort := options.reasoning_effort or effort_of(options.reasoning_tokens)) is not None:
        fields["reasoning_effort"] = effort
    if options.user is not None:
        fields["user"] = options.user
    if options.top_k is not None:
        dropped.append("top_k")
    return fields, dropped


def _message(message: Message) -> dict[str, Any]:
    told = {name: value for name, value in msgspec.to_builtins(message).items() if value is not None}
    if told.pop("is_error", False):
        # There is no word for it here: the model must still learn that what it reads is no result.
        parts = message.content if isinstance(message.content, list) else ()
        plain = all(part.get("type") == "text" for part in parts)
        told["content"] = f"Error: {message.text}" if plain else [{"type": "text", "text": "Error: "}, *parts]
    if message.role == "assistant" and message.content is None:
        told["content"] = None
    return told


def _function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def effort_of(tokens: int | None) -> str | None:
    """A budget for thinking, as one of OpenAI's words."""
    if tokens is None:
        return None
    return "none" if tokens == 0 else "low" if tokens <= 2048 else "medium" if tokens <= 8192 else "high"
