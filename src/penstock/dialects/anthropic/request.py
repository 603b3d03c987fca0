"""Requests of the `anthropic` dialect.

Reference: https://platform.claude.com/docs/en/api/messages/create.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.anthropic.messages import Block, Turn, read_messages, write_messages
from penstock.dialects.anthropic.models import traits
from penstock.dialects.anthropic.thinking import signed, think
from penstock.dialects.base import (
    Noted,
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
from penstock.exceptions import Refused

PATH = "/messages"
TARGET = "anthropic"


class _ToolSpec(msgspec.Struct):
    """A tool of the client's has no type, or `custom`; every other runs at the provider's."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: Any = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _MessagesRequest(msgspec.Struct):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    # Both are needed; their lack is told by name.
    model: str = ""
    messages: list[Turn] = []
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[_ToolSpec] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None
    cache_control: Any = None


_KNOWN = frozenset(_MessagesRequest.__struct_fields__)
_NEEDED = ("container", "mcp_servers", "output_format")
"""Fields without which it would be another answer, and that no other dialect has."""


def parse_request(body: bytes) -> Request:
    """A client's request. Raises Refused (400)."""
    asked: _MessagesRequest = decode_json(body, _MessagesRequest)
    fields: dict[str, Any] = decode_json(body, dict[str, Any])
    if "model" not in fields:
        raise Refused(400, "invalid_request", "model is missing", param="model")
    if not asked.messages:
        raise Refused(400, "invalid_request", "messages is empty", param="messages")
    if asked.max_tokens is not None and asked.max_tokens < 0:
        raise Refused(400, "invalid_request", "max_tokens must be at least 0", param="max_tokens")
    noted = Noted()
    for name in other_fields({name: fields[name] for name in _NEEDED if fields.get(name)}, ()):
        noted.need(name)
    if asked.max_tokens == 0:
        noted.need("max_tokens")  # it fills the provider's cache, and asks for no answer
    for name in other_fields(fields, _KNOWN | frozenset(_NEEDED)):
        noted.hint(name)
    if asked.cache_control is not None:
        noted.hint("cache_control")
    messages = read_messages(asked.system, asked.messages, noted)
    return Request(
        dialect=TARGET,
        model=asked.model,
        messages=messages,
        stream=bool(asked.stream),
        include_usage=True,
        max_tokens=asked.max_tokens or None,
        tools=_read_tools(asked, fields, noted),
        options=_read_options(asked, noted),
        others=noted.others,
        needs=noted.needs,
        fields=fields,
    )


def _read_tools(asked: _MessagesRequest, fields: dict[str, Any], noted: Noted) -> list[Tool]:
    tools = []
    for number, tool in enumerate(asked.tools or ()):
        if tool.type not in (None, "custom"):
            noted.need("tools")
            continue
        if tool.name is None:
            raise Refused(400, "invalid_request", "a tool needs a name", param=f"tools[{number}].name")
        for name in other_fields(fields["tools"][number], _ToolSpec.__struct_fields__):
            noted.hint(f"tools.{name}")
        if tool.cache_control is not None:
            noted.hint("cache_control")
        tools.append(Tool(tool.name, tool.description, tool.input_schema or {}, tool.strict))
    return tools


def _read_options(asked: _MessagesRequest, noted: Noted) -> Options:
    options = Options(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop_sequences,
        user=asked.metadata.user_id if asked.metadata else None,
    )
    if (choice := asked.tool_choice) is not None:
        if choice.type == "tool" and choice.name is None:
            raise Refused(400, "invalid_request", "which tool is missing", param="tool_choice.name")
        words = {"auto": "auto", "none": "none", "any": "required", "tool": f"function:{choice.name}"}
        options.tool_choice = words.get(choice.type)
        if options.tool_choice is None:
            noted.need("tool_choice")
        if choice.disable_parallel_tool_use is not None:
            options.parallel_tool_calls = not choice.disable_parallel_tool_use
    if (output := asked.output_config) is not None:
        if output.effort is not None:
            options.reasoning_effort = "xhigh" if output.effort == "max" else output.effort
        if output.format is not None:
            if output.format.type != "json_schema" or output.format.schema is None:
                noted.need("output_config.format")
            else:
                shape = {"name": "answer", "schema": output.format.schema, "strict": True}
                options.response_format = {"type": "json_schema", "json_schema": shape}
    if (thinking := asked.thinking) is not None:
        if thinking.type == "disabled":
            options.reasoning_tokens = 0
            options.reasoning_effort = None  # without thinking it means something else
        elif thinking.type == "enabled" and thinking.budget_tokens is not None:
            options.reasoning_tokens = thinking.budget_tokens
        elif options.reasoning_effort is None:
            noted.hint("thinking")
        if thinking.display not in (None, "summarized"):
            noted.hint("thinking.display")
    return options


def encode_request(request: Request, model: str) -> Outgoing:
    """The upstream's request: always streamed, for the usage always comes. Raises Refused (400).

    A request of another dialect that says nothing of `max_tokens` gets 4096, and as many as it may think besides.
    """
    if request.dialect == TARGET:
        messages, unsigned = signed(request.fields["messages"])
        body = encode_json({**request.fields, "messages": messages, "model": model, "stream": True})
        return Outgoing(PATH, body, ("messages.thinking",) if unsigned else ())
    dropped = untold(request, TARGET)
    if request.choices > 1:
        raise unsupported("n", TARGET)
    options = request.options
    system, turns = write_messages(request.messages, TARGET, dropped)
    fields: dict[str, Any] = {"model": model, "messages": turns, "stream": True}
    if system:
        fields["system"] = system[0]["text"] if len(system) == 1 else system
    if request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
        if (choice := _tool_choice(options)) is not None:
            fields["tool_choice"] = choice
    elif options.tool_choice not in (None, "auto", "none"):
        raise Refused(400, "invalid_request", "tool_choice needs tools", param="tool_choice")
    if options.response_format is not None:
        fields["output_config"] = {"format": _format(options.response_format)}
    if options.stop:
        fields["stop_sequences"] = options.stop
    if options.user is not None:
        fields["metadata"] = {"user_id": options.user}
    think(request, traits(model), fields, dropped)
    _sample(options, fields, dropped, takes=traits(model).samples and "thinking" not in fields)
    return Outgoing(PATH, encode_json(fields), dropped)


def _sample(options: Options, fields: dict[str, Any], dropped: list[str], *, takes: bool) -> None:
    """Sampling: none of it goes with thinking, and some models take one of temperature and top_p, not both."""
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(options, name)
        if value is None:
            continue
        if not takes or (name == "top_p" and "temperature" in fields):
            dropped.append(name)
        elif name == "temperature" and value > 1:
            fields[name] = 1.0  # the API's most
            dropped.append(name)
        else:
            fields[name] = value
    dropped += [n for n in ("seed", "presence_penalty", "frequency_penalty") if getattr(options, n) is not None]


def _tool(tool: Tool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description is not None:
        told["description"] = tool.description
    if tool.strict is not None:
        told["strict"] = tool.strict
    return told


def _tool_choice(options: Options) -> dict[str, Any] | None:
    kind, _, name = (options.tool_choice or "auto").partition(":")
    match kind:
        case "auto" if options.tool_choice is None and options.parallel_tool_calls is None:
            return None
        case "auto":
            choice: dict[str, Any] = {"type": "auto"}
        case "required":
            choice = {"type": "any"}
        case "function" if name:
            choice = {"type": "tool", "name": name}
        case "none":
            return {"type": "none"}
        case _:
            raise unsupported("tool_choice", TARGET)
    if options.parallel_tool_calls is not None:
        choice["disable_parallel_tool_use"] = not options.parallel_tool_calls
    return choice


def _format(shape: dict[str, Any]) -> dict[str, Any]:
    """Structured output needs a schema here: https://platform.claude.com/docs/en/build-with-claude/structured-outputs."""
    match shape:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return {"type": "json_schema", "schema": schema}
        case _:
            raise unsupported("response_format", TARGET)
