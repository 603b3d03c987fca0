"""Requests to a `gemini` upstream.

Reference: https://ai.google.dev/api/generate-content and /gemini-api/docs/function-calling. Two things depend on the model's
generation, which is read from its name: since Gemini 3 thinking is asked for by level, not by budget; and a function call
in the history must have the signature of the thought behind it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from penstock.dialects.base import Message, Options, Outgoing, Request, encode_json, unsupported, untold
from penstock.dialects.gemini.schema import told_arguments
from penstock.exceptions import Refused

NAME = "gemini"

BUDGETS = {"none": 0, "minimal": 512, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 24576}
"""`reasoning_effort` in tokens. The highest is the most that every model takes."""

LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}

NO_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call whose thought is not known (https://ai.google.dev/gemini-api/docs/thought-signatures)."""

_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
}
_DATA_URL = re.compile(r"data:([^;,\s]+)(?:;[^;,\s]+)*;base64,")
_REMOTE = re.compile(r"(?:https?|gs)://\S+")
_GENERATION = re.compile(r"gemini-([0-9]+)")


def encode_request(request: Request, model: str) -> Outgoing:
    """The upstream's request. The address, not the body, says which model it is for and that it streams. Raises Refused."""
    if request.dialect == NAME:
        fields = {name: value for name, value in request.fields.items() if name not in ("model", "stream")}
        dropped: list[str] = []
    else:
        fields, dropped = _build(request, model)
    place = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return Outgoing(f"/{quote(place)}:streamGenerateContent?alt=sse", encode_json(fields), dropped)


def _build(request: Request, model: str) -> tuple[dict[str, Any], list[str]]:
    dropped = untold(request, NAME, "messages.tool_calls.extra_content")  # it may hold a signature: see below
    known = _GENERATION.search(model)
    contents = _Contents(since_3=known is not None and int(known[1]) >= 3, dropped=dropped)
    for message in request.messages:
        contents.add(message)
    fields: dict[str, Any] = {"contents": contents.made}
    if contents.system:
        fields["systemInstruction"] = {"parts": contents.system}
    if request.tools:
        fields["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        if any(tool.strict for tool in request.tools):
            dropped.append("strict")
    options = request.options
    if options.tool_choice is not None:
        kind, _, name = options.tool_choice.partition(":")
        if name:
            config: dict[str, Any] = {"mode": "ANY", "allowedFunctionNames": [name]}
        elif kind in MODES:
            config = {"mode": MODES[kind]}
        else:
            raise unsupported("tool_choice", NAME)
        fields["toolConfig"] = {"functionCallingConfig": config}
    if settings := _settings(request, contents.since_3, dropped):
        fields["generationConfig"] = settings
    for field in ("user", "parallel_tool_calls"):
        if getattr(options, field) is not None:
            dropped.append(field)
    return fields, list(dict.fromkeys(dropped))


def _settings(request: Request, since_3: bool, dropped: list[str]) -> dict[str, Any]:
    options = request.options
    settings: dict[str, Any] = {
        "temperature": options.temperature,
        "topP": options.top_p,
        "topK": options.top_k,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": options.stop or None,
        "seed": options.seed,
        "presencePenalty": options.presence_penalty,
        "frequencyPenalty": options.frequency_penalty,
        "candidateCount": request.choices if request.choices > 1 else None,
        "thinkingConfig": _thinking(options, since_3, dropped),
    }
    shape = options.response_format
    if shape is not None:
        settings["responseMimeType"] = "application/json"
        match shape:
            case {"type": "json_object"}:
                pass
            case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
                settings["responseJsonSchema"] = schema
            case _:
                raise unsupported("response_format", NAME)
    return {name: value for name, value in settings.items() if value is not None}


def _thinking(options: Options, since_3: bool, dropped: list[str]) -> dict[str, Any] | None:
    """How much to think. The thoughts are shown, but where there are to be none: asking for them then is an error."""
    effort, budget = options.reasoning_effort, options.reasoning_tokens
    if budget is None and effort is not None:
        if effort not in BUDGETS:
            dropped.append("reasoning_effort")
            return None
        if since_3 and effort in LEVELS:
            return {"includeThoughts": True, "thinkingLevel": LEVELS[effort]}
        budget = BUDGETS[effort]
    if budget is None:
        return None
    return {"includeThoughts": True, "thinkingBudget": budget} if budget else {"thinkingBudget": 0}


def _declaration(tool: Any) -> dict[str, Any]:
    declaration = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    if tool.parameters:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


class _Contents:
    """A conversation, as it is told here: in turns of `user` and `model`; what the tools say is the user's turn."""

    def __init__(self, *, since_3: bool, dropped: list[str]) -> None:
        self.made: list[dict[str, Any]] = []
        self.system: list[dict[str, Any]] = []
        self.since_3 = since_3
        self._dropped = dropped
        self._names: dict[str, str] = {}
        """The functions that were called, by the calls' ids."""

    def add(self, message: Message) -> None:
        """Raises Refused (400) for what has no place in a conversation here."""
        if message.name is not None and message.role != "tool":
            self._dropped.append("messages.name")
        match message.role:
            case "system" | "developer":
                parts = self._parts(message.content)
                if any("text" not in part for part in parts):
                    raise unsupported("messages.content", NAME)
                if self.made and any(part["text"] for part in parts):
                    # Said at the beginning it keeps its authority; as the user's words in its place it would lose that.
                    self._dropped.append("messages.system-position")
                self.system += parts
            case "user":
                self._say("user", self._parts(message.content))
            case "assistant":
                self._say("model", [part for part in self._parts(message.content) if part.get("text") != ""])
                self._say("model", self._calls(message))
            case "tool":
                self._say("user", self._result(message))
            case _:
                raise unsupported(f"messages.role {message.role[:40]!r}", NAME)

    def _say(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self.made and self.made[-1]["role"] == role:
            self.made[-1]["parts"] += parts
        else:
            self.made.append({"role": role, "parts": parts})

    def _parts(self, content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        if isinstance(content, str):
            return [{"text": content}]
        return [self._part(part) for part in content or ()]

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = part.get("type")
        match kind:
            case "text" | "refusal":
                return {"text": _string(part, str(kind))}
            case "image_url":
                image = part.get("image_url")
                if isinstance(image, dict) and image.get("detail") not in (None, "auto"):
                    self._dropped.append("image_url.detail")
                return _media(_string(image, "url") if isinstance(image, dict) else _string(part, "image_url"))
            case "input_audio":
                audio = _object(part, "input_audio")
                return {"inlineData": {"mimeType": f"audio/{_string(audio, 'format')}", "data": _string(audio, "data")}}
            case "file":
                file = _object(part, "file")
                if file.get("filename") is not None:
                    self._dropped.append("file.filename")
                if file.get("file_data") is None:
                    raise unsupported("messages.content.file.file_id", NAME)
                return _media(_string(file, "file_data"))
            case _:
                raise unsupported(f"messages.content.{kind[:40] if isinstance(kind, str) else 'type'}", NAME)

    def _calls(self, message: Message) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for call in message.tool_calls or ():
            function = _object(call, "function")
            name, told = _string(function, "name"), _string(function, "arguments")
            made: dict[str, Any] = {"functionCall": {"name": name, "args": told_arguments(told)}}
            if isinstance(number := call.get("id"), str) and number:
                self._names[number] = name
                made["functionCall"]["id"] = number
            if signature := _signature(call):
                made["thoughtSignature"] = signature
            elif self.since_3 and not parts:
                made["thoughtSignature"] = NO_SIGNATURE  # of calls made at once, the first has it
            parts.append(made)
        return parts

    def _result(self, message: Message) -> list[dict[str, Any]]:
        number = message.tool_call_id or ""
        name = self._names.get(number) or message.name
        if name is None:
            raise _wrong("messages.tool_call_id", "answers no tool call before it")
        word = "error" if message.is_error else "result"
        result: dict[str, Any] = {"name": name, "response": {word: message.text}}
        if number:
            result["id"] = number
        told = message.content if isinstance(message.content, list) else ()
        media = [self._part(part) for part in told if part.get("type") != "text"]
        if media and self.since_3:
            result["parts"] = media
            media = []
        return [{"functionResponse": result}, *media]


def _media(address: str) -> dict[str, Any]:
    """A file, from its `data:` URL or its address."""
    if data := _DATA_URL.match(address):
        return {"inlineData": {"mimeType": data[1], "data": address[data.end() :]}}
    if not _REMOTE.fullmatch(address):
        raise _wrong("messages.content", "has a file that is neither a base64 data: URL nor an http address")
    name = re.split(r"[?#]", address, maxsplit=1)[0].rpartition("/")[2]
    kind = _MEDIA_TYPES.get(name.rpartition(".")[2].lower())
    return {"fileData": {**({"mimeType": kind} if kind else {}), "fileUri": address}}


def _signature(call: dict[str, Any]) -> str | None:
    """Where Google's own OpenAI-compatible API puts the signature of a call, and clients of it give it back."""
    value: Any = call
    for key in ("extra_content", "google", "thought_signature"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None


def _object(part: dict[str, Any], key: str) -> dict[str, Any]:
    value = part.get(key)
    if not isinstance(value, dict):
        raise _wrong(f"messages.{key}", "must be an object")
    return value


def _string(part: dict[str, Any], key: str) -> str:
    value = part.get(key)
    if not isinstance(value, str):
        raise _wrong(f"messages.{key}", "must be a string")
    return value


def _wrong(param: str, message: str) -> Refused:
    return Refused(400, "invalid_request", f"{param} {message}", param=param)
