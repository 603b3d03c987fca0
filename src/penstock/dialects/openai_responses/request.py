"""Requests of the `openai-responses` dialect."""

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
    unsupported,
    untold,
)
from penstock.dialects.openai_chat import effort_of
from penstock.dialects.openai_responses.items import NAME, read_items, write_items
from penstock.exceptions import Refused

PATH = "/responses"


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class _Text(msgspec.Struct):
    format: dict[str, Any] | None = None


class _ResponsesRequest(msgspec.Struct):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    model: str
    input: str | list[dict[str, Any]] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    temperature: float | None = None
    top_p: float | None = None
    user: str | None = None
    safety_identifier: str | None = None


_KNOWN = frozenset(_ResponsesRequest.__struct_fields__)
_NEEDED = frozenset(
    ("previous_response_id", "conversation", "prompt", "background", "top_logprobs", "context_management")
)
"""Fields without which it would be another answer, and that no other dialect has."""


def parse_request(body: bytes) -> Request:
    """A client's request. Raises Refused (400)."""
    asked: _ResponsesRequest = decode_json(body, _ResponsesRequest)
    fields: dict[str, Any] = decode_json(body, dict[str, Any])
    items = [{"role": "user", "content": asked.input}] if isinstance(asked.input, str) else asked.input
    messages, others, needs = read_items(items if asked.input else [])
    held_there = any(fields.get(name) for name in ("previous_response_id", "conversation", "prompt"))
    if not asked.input and not held_there:
        raise Refused(400, "invalid_request", "input is empty", param="input")
    if asked.instructions:
        messages.insert(0, Message("system", asked.instructions))
    if asked.max_output_tokens is not None and asked.max_output_tokens < 1:
        raise Refused(400, "invalid_request", "max_output_tokens must be at least 1", param="max_output_tokens")
    others += _read_hints(fields)
    needs += _read_needs(asked)
    tools: list[Tool] = []
    for tool in asked.tools or ():
        if tool.get("type") == "function" and isinstance(tool.get("name"), str):
            shape = tool.get("parameters")
            strict = tool.get("strict")
            said = tool.get("description")
            tools.append(
                Tool(
                    tool["name"],
                    said if isinstance(said, str) else None,
                    shape if isinstance(shape, dict) else {},
                    strict if isinstance(strict, bool) else None,
                )
            )
        else:
            needs.append("tools")
    return Request(
        dialect=NAME,
        model=asked.model,
        messages=messages,
        stream=bool(asked.stream),
        include_usage=True,
        max_tokens=asked.max_output_tokens,
        tools=tools,
        options=_read_options(asked),
        others=[*others, *other_fields(fields, _KNOWN | _NEEDED)],
        needs=[
            *other_fields({name: fields[name] for name in sorted(_NEEDED & fields.keys())}, ()),
            *dict.fromkeys(needs),
        ],
        fields=fields,
    )


def _read_hints(fields: dict[str, Any]) -> list[str]:
    """What `text` and `reasoning` hold besides what everybody has words for."""
    text, reasoning = fields.get("text") or {}, fields.get("reasoning") or {}
    hints = [f"text.{name}" for name in other_fields(text, ("format",))]
    # `auto` asks for whatever there is, and thoughts are shown wherever there are some.
    known = ("effort", "summary") if reasoning.get("summary") == "auto" else ("effort",)
    return [*hints, *(f"reasoning.{name}" for name in other_fields(reasoning, known))]


def _read_needs(asked: _ResponsesRequest) -> list[str]:
    """Choices and formats that only this dialect has."""
    needs = []
    if isinstance(asked.tool_choice, dict) and _function_chosen(asked.tool_choice) is None:
        needs.append("tool_choice")
    match asked.text.format if asked.text else None:
        case None | {"type": "text" | "json_object"} | {"type": "json_schema", "schema": dict()}:
            pass
        case _:
            needs.append("text.format")
    return needs


def _function_chosen(choice: dict[str, Any]) -> str | None:
    name = choice.get("name")
    return name if choice.get("type") == "function" and isinstance(name, str) else None


def _read_options(asked: _ResponsesRequest) -> Options:
    choice = asked.tool_choice
    if isinstance(choice, dict):
        named = _function_chosen(choice)
        choice = None if named is None else f"function:{named}"
    shape = asked.text.format if asked.text else None
    if shape is not None:
        match shape.get("type"):
            case "json_schema":
                told = {name: shape[name] for name in ("name", "schema", "strict", "description") if name in shape}
                shape = {"type": "json_schema", "json_schema": told}
            case "text":
                shape = None
            case _:
                pass
    return Options(
        temperature=asked.temperature,
        top_p=asked.top_p,
        response_format=shape,
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        reasoning_effort=asked.reasoning.effort if asked.reasoning else None,
        user=asked.user or asked.safety_identifier,
    )


def encode_request(request: Request, model: str) -> Outgoing:
    """The upstream's request: always streamed. Raises Refused (400)."""
    if request.dialect == NAME:
        return Outgoing(PATH, encode_json({**request.fields, "model": model, "stream": True}))
    options, dropped = request.options, untold(request, NAME)
    if request.choices > 1:
        raise unsupported("n", NAME)
    if options.stop:
        raise unsupported("stop", NAME)
    instructions, items = write_items(request.messages, dropped)
    fields: dict[str, Any] = {"model": model, "input": items, "stream": True, "store": False}
    if instructions is not None:
        fields["instructions"] = instructions
    if request.max_tokens is not None:
        fields["max_output_tokens"] = request.max_tokens
    if request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
    if options.tool_choice is not None:
        kind, _, name = options.tool_choice.partition(":")
        fields["tool_choice"] = {"type": "function", "name": name} if name else kind
    for name in ("temperature", "top_p", "parallel_tool_calls", "user"):
        if (value := getattr(options, name)) is not None:
            fields[name] = value
    if options.response_format is not None:
        fields["text"] = {"format": _format(options.response_format)}
    if (effort := options.reasoning_effort or effort_of(options.reasoning_tokens)) is not None:
        fields["reasoning"] = {"effort": effort, "summary": "auto"} if effort != "none" else {"effort": effort}
    dropped += [
        name
        for name in ("top_k", "seed", "presence_penalty", "frequency_penalty")
        if getattr(options, name) is not None
    ]
    return Outgoing(PATH, encode_json(fields), dropped)


def _tool(tool: Tool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "parameters": tool.parameters,
        "strict": bool(tool.strict),
    }
    if tool.description is not None:
        told["description"] = tool.description
    return told


def _format(shape: dict[str, Any]) -> dict[str, Any]:
    match shape:
        case {"type": "json_schema", "json_schema": {"schema": dict()}}:
            return {"name": "answer", **shape["json_schema"], "type": "json_schema"}
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case _:
            raise unsupported("response_format", NAME)
