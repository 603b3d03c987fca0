"""Requests of `gemini` clients.

The address says which model is asked for and whether the answer is to stream; here both are looked for in the body, as
`model` and `stream`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from penstock.dialects.base import Message, Options, Request, Tool, decode_json, other_fields
from penstock.dialects.gemini.request import LEVELS, MODES, NAME
from penstock.dialects.gemini.schema import RAW, json_schema
from penstock.exceptions import Refused

MAX_CHOICES = 16

_HINTS = frozenset({"safetySettings", "labels", "store", "serviceTier"})
_SETTINGS_THAT_MATTER = frozenset(
    {"logprobs", "responseLogprobs", "responseModalities", "speechConfig", "imageConfig", "enableAffectiveDialog"}
)


class _Call(msgspec.Struct):
    name: str
    id: str | None = None
    args: dict[str, Any] | None = None


class _Blob(msgspec.Struct, rename="camel"):
    data: str
    mime_type: str = "application/octet-stream"


class _File(msgspec.Struct, rename="camel"):
    file_uri: str
    mime_type: str | None = None


class _Media(msgspec.Struct, rename="camel"):
    inline_data: _Blob | None = None
    file_data: _File | None = None


class _Result(msgspec.Struct):
    name: str
    id: str | None = None
    response: dict[str, Any] | None = None
    parts: list[_Media] | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: _Call | None = None
    function_response: _Result | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None
    role: str | None = None


class _Declaration(msgspec.Struct, rename="camel"):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Declaration] | None = None


class _Calling(msgspec.Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _Calling | None = None


class _Thinking(msgspec.Struct, rename="camel"):
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Settings(msgspec.Struct, rename="camel"):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    candidate_count: int | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: _Thinking | None = None


class _GeminiRequest(msgspec.Struct, rename="camel"):
    model: str
    contents: list[_Content]
    stream: bool | None = None
    system_instruction: _Content | None = None
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: _Settings | None = None


def parse_request(body: bytes) -> Request:
    """A client's request. Raises Refused (400)."""
    asked: _GeminiRequest = decode_json(body, _GeminiRequest)
    fields: dict[str, Any] = decode_json(body, dict[str, Any])
    if not asked.contents:
        raise Refused(400, "invalid_request", "contents is empty", param="contents")
    settings = asked.generation_config or _Settings()
    choices = 1 if settings.candidate_count is None else settings.candidate_count
    if not 1 <= choices <= MAX_CHOICES:
        param = "generationConfig.candidateCount"
        raise Refused(400, "invalid_request", f"{param} must be from 1 to {MAX_CHOICES}", param=param)
    limit = settings.max_output_tokens
    if limit is not None and limit < 1:
        param = "generationConfig.maxOutputTokens"
        raise Refused(400, "invalid_request", f"{param} must be at least 1", param=param)
    others, needs = _rest(fields)
    conversation = _Conversation(needs)
    if asked.system_instruction is not None:
        texts = [part.text for part in asked.system_instruction.parts or () if part.text is not None]
        conversation.messages.append(Message("system", "".join(texts)))
    for content in asked.contents:
        conversation.add(content)
    options = _options(settings)
    options.tool_choice = _tool_choice(asked.tool_config, needs)
    return Request(
        dialect=NAME,
        model=asked.model.removeprefix("models/"),
        messages=conversation.messages,
        stream=bool(asked.stream),
        include_usage=True,
        choices=choices,
        max_tokens=limit,
        tools=[_tool(one) for tool in asked.tools or () for one in tool.function_declarations or ()],
        options=options,
        others=others,
        needs=list(dict.fromkeys(needs)),
        fields=fields,
    )


def _rest(fields: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The fields that only this dialect has: hints, and those without which it would be another answer.

    This API also takes every name in snake_case: a name that is not known here may be one that matters.
    """
    unknown = other_fields(fields, _GeminiRequest.__struct_encode_fields__)
    others = [name for name in unknown if name in _HINTS]
    needs = [name for name in unknown if name not in _HINTS]
    settings = fields.get("generationConfig")
    if isinstance(settings, dict):
        for name in other_fields(settings, _Settings.__struct_encode_fields__):
            if name == "responseModalities" and settings[name] == ["TEXT"]:
                continue
            matters = name in _SETTINGS_THAT_MATTER or "_" in name
            (needs if matters else others).append(f"generationConfig.{name}")
    for tool in fields.get("tools") or ():
        needs += [f"tools.{name}" for name in tool if name != "functionDeclarations"]
    return others, needs


def _options(settings: _Settings) -> Options:
    thinking = settings.thinking_config or _Thinking()
    level = (thinking.thinking_level or "").lower()
    budget = thinking.thinking_budget
    shape: dict[str, Any] | None = None
    if settings.response_mime_type == "application/json":
        shape = {"type": "json_object"}
        schema = settings.response_json_schema
        if schema is None and settings.response_schema is not None:
            schema = json_schema(settings.response_schema, "generationConfig.responseSchema")
        if schema is not None:
            shape = {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    return Options(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        stop=settings.stop_sequences,
        seed=settings.seed,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        response_format=shape,
        reasoning_effort=level if level in LEVELS else None,
        reasoning_tokens=budget if budget is not None and budget >= 0 else None,  # -1: as the model likes
    )


def _tool_choice(config: _ToolConfig | None, needs: list[str]) -> str | None:
    calling = config.function_calling_config if config is not None else None
    if calling is None or calling.mode is None:
        return None
    names = calling.allowed_function_names or []
    mode = calling.mode.upper()
    if mode == "ANY" and len(names) == 1:
        return f"function:{names[0]}"
    if names:
        needs.append("toolConfig.functionCallingConfig.allowedFunctionNames")
    return next((word for word, told in MODES.items() if told == mode), None)


def _tool(told: _Declaration) -> Tool:
    schema = told.parameters_json_schema
    if schema is None and told.parameters is not None:
        schema = json_schema(told.parameters, "tools.functionDeclarations.parameters")
    return Tool(told.name, told.description, schema or {})


class _Conversation:
    """Contents -> messages."""

    def __init__(self, needs: list[str]) -> None:
        self.messages: list[Message] = []
        self._needs = needs
        self._number = 0
        """Of the last call."""
        self._open: dict[str, deque[tuple[int, str]]] = {}
        """By the name of the function, the numbers and ids of the calls that may be without an answer yet."""
        self._answered: dict[str, int] = {}
        """By id, up to which number its calls have their answer."""

    def add(self, content: _Content) -> None:
        said: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        for part in content.parts or ():
            if part.function_response is not None:
                self._flush("user", said)
                self.messages.append(self._result(part.function_response))
            elif part.function_call is not None:
                calls.append(self._call(part.function_call))
            elif part.text is not None:
                # What was thought before is no part of what was said.
                if not part.thought:
                    said.append({"type": "text", "text": part.text})
            elif media := _media(part.inline_data, part.file_data):
                said.append(media)
            else:
                self._needs.append("contents.parts")
        self._flush("assistant" if content.role == "model" else "user", said, calls)

    def _flush(self, role: str, said: list[dict[str, Any]], calls: list[dict[str, Any]] | None = None) -> None:
        if not said and not calls:
            return
        plain = all(part["type"] == "text" for part in said)
        told: Any = ("".join(part["text"] for part in said) if plain else list(said)) if said else None
        self.messages.append(Message(role, told, tool_calls=calls or None))
        said.clear()

    def _call(self, call: _Call) -> dict[str, Any]:
        self._number += 1
        number = call.id or f"call_{self._number}"
        self._open.setdefault(call.name, deque()).append((self._number, number))
        args = call.args or {}
        raw = args.get(RAW)
        text = raw if isinstance(raw, str) and len(args) == 1 else _json(args)
        return {"id": number, "type": "function", "function": {"name": call.name, "arguments": text}}

    def _first_open(self, name: str) -> str | None:
        """The id of the first call of a function that has no answer yet."""
        calls = self._open.get(name)
        while calls:
            number, id = calls[0]
            if number > self._answered.get(id, 0):
                return id
            calls.popleft()
        return None

    def _result(self, result: _Result) -> Message:
        # Without an id, it answers the first open call of that function.
        number = result.id or self._first_open(result.name) or f"call_{result.name}"
        self._answered[number] = self._number
        told = result.response or {}
        word = next((word for word in ("result", "output", "error") if told.keys() == {word}), None)
        value = told[word] if word else told
        text = value if isinstance(value, str) else _json(value)
        content: Any = text
        if result.parts:
            media = [_media(part.inline_data, part.file_data) for part in result.parts]
            content = [{"type": "text", "text": text}, *(part for part in media if part)]
        return Message("tool", content, tool_call_id=number, is_error=True if word == "error" else None)


def _media(blob: _Blob | None, file: _File | None) -> dict[str, Any] | None:
    """A part of a message, from what is in it or from where it lies."""
    if blob is not None:
        kind, _, form = blob.mime_type.partition("/")
        if kind == "audio" and form in ("wav", "mp3"):
            return {"type": "input_audio", "input_audio": {"data": blob.data, "format": form}}
        address = f"data:{blob.mime_type};base64,{blob.data}"
    elif file is not None:
        address, kind = file.file_uri, (file.mime_type or "image/").partition("/")[0]
    else:
        return None
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": address}}
    return {"type": "file", "file": {"file_data": address}}


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        raise Refused(400, "invalid_json", "the body is not valid JSON: it is nested too deeply") from None
