"""The conversation in a request: `ui-messages`' messages of parts <-> messages in everybody's words.

A call of a tool and its result are one part here, in the assistant's message, and everything from one question to the next
is one message, with `step-start` where the model was asked again:

    [step-start, tool-weather {input, output}, step-start, text]
    <->  assistant with the call, tool with the result, assistant with the text

Reference: https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message, and `convertToModelMessages` in the AI SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON, Message, Noted, encode_json, unsupported
from penstock.exceptions import Refused

Part = dict[str, Any]

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_MEDIA_TYPE = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class UIMessage(msgspec.Struct):
    """One of `messages`. Pages put parts of their own into it, so a part is looked at only when its type is known."""

    role: str
    parts: list[Part]
    id: str = ""


def read_messages(asked: Sequence[UIMessage], noted: Noted) -> list[Message]:
    """A conversation of this dialect in everybody's words. Raises Refused (400) for parts that lack what they need."""
    messages: list[Message] = []
    for number, message in enumerate(asked):
        path = f"messages[{number}].parts"
        if message.role == "assistant":
            messages += _read_assistant(message.parts, path, noted)
        elif message.role in ("system", "user"):
            parts = [_read_part(part, f"{path}[{i}]", noted) for i, part in enumerate(message.parts)]
            messages.append(Message(message.role, _simplest([part for part in parts if part is not None])))
        else:
            noted.need("messages.role")
    return messages


def _read_assistant(parts: list[Part], path: str, noted: Noted) -> list[Message]:
    messages: list[Message] = []
    said: list[Part] = []
    calls: list[Part] = []
    results: list[Message] = []

    def step() -> None:
        if said or calls:
            content = _simplest(said[:]) if said or not calls else None
            messages.append(Message("assistant", content, tool_calls=calls[:] or None))
            messages.extend(results)
        said.clear()
        calls.clear()
        results.clear()

    for number, part in enumerate(parts):
        here = f"{path}[{number}]"
        kind = _kind(part, here)
        if kind == "step-start":
            step()
        elif kind.startswith("tool-") or kind == "dynamic-tool":
            _read_call(part, kind, here, noted, calls, results)
        elif kind == "file":
            noted.hint("messages.file")  # a picture that the model made; only few could be shown it
        elif (read := _read_part(part, here, noted)) is not None:
            said.append(read)
    step()
    return messages


def _read_call(part: Part, kind: str, path: str, noted: Noted, calls: list[Part], results: list[Message]) -> None:
    name = _text(part, "toolName", path) if kind == "dynamic-tool" else kind.removeprefix("tool-")
    id, state = _text(part, "toolCallId", path), _text(part, "state", path)
    if state == "input-streaming":
        noted.hint("messages.input-streaming")  # it was cut: there is no call
        return
    if state.startswith("approval-"):
        noted.hint("messages.approval")
    if part.get("callProviderMetadata") is not None:
        noted.hint("messages.callProviderMetadata")
    given = part.get("input")
    if given is None:
        raw = part.get("rawInput")
        arguments = raw if isinstance(raw, str) else encode_json({} if raw is None else raw).decode()
    else:
        arguments = encode_json(given).decode()
    calls.append({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    match state:
        case "output-available":
            output = part.get("output")
            text = output if isinstance(output, str) else encode_json(output).decode()
            results.append(Message("tool", text, tool_call_id=id))
        case "output-error":
            results.append(Message("tool", _text(part, "errorText", path), tool_call_id=id, is_error=True))
        case "output-denied":
            approval = part.get("approval")
            why = approval.get("reason") if isinstance(approval, dict) else None
            text = why if isinstance(why, str) else "Tool call execution denied."
            results.append(Message("tool", text, tool_call_id=id, is_error=True))
        case _:
            pass  # nobody has answered it yet


def _read_part(part: Part, path: str, noted: Noted) -> Part | None:
    """A part that is no call; None if it says nothing to a model."""
    kind = _kind(part, path)
    if part.get("providerMetadata") is not None:
        noted.hint("messages.providerMetadata")
    if kind == "text":
        return {"type": "text", "text": _text(part, "text", path)}
    if kind == "file":
        return _read_file(part, path, noted)
    if kind == "reasoning" or kind.startswith(("data-", "source-")):
        noted.hint(f"messages.{kind[:64]}")
    elif kind != "step-start":
        noted.need(f"messages.{kind[:64]}")
    return None


def _read_file(part: Part, path: str, noted: Noted) -> Part | None:
    url, media_type = _text(part, "url", path), _text(part, "mediaType", path).lower()
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    head, comma, data = url.partition(",")
    if not comma or head[:5].lower() != "data:":
        noted.need("messages.file.url")  # elsewhere only pictures may be behind an address
        return None
    if media_type in _AUDIO and head.lower().endswith(";base64"):
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[media_type]}}
    file = {"file_data": url}
    if isinstance(name := part.get("filename"), str):
        file["filename"] = name
    return {"type": "file", "file": file}


def _simplest(parts: list[Part]) -> str | list[Part]:
    """One text is told as text: there are servers that know nothing else."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _kind(part: Part, path: str) -> str:
    return _text(part, "type", path)


def _text(part: Part, name: str, path: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise _lacks(name, path)
    return value


def _lacks(name: str, path: str) -> Refused:
    return Refused(400, "invalid_request", f"{name} is missing or wrong (at {path})", param=f"{path}.{name}")


def write_messages(messages: Sequence[Message], target: str, dropped: list[str]) -> list[dict[str, Any]]:
    """The UI messages that say the same; hints that can't be told are added to `dropped`. Raises Refused (400)."""
    told: list[dict[str, Any]] = []
    calls: dict[str, Part] = {}
    hints: dict[str, None] = {}
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        if message.name is not None:
            hints["messages.name"] = None
        if message.role == "tool":
            _write_result(message, calls, path, target)
            continue
        role = "system" if message.role == "developer" else message.role
        if role not in ("system", "user", "assistant"):
            raise unsupported(f"{path}.role", target)
        parts = _write_content(message.content, f"{path}.content", target, hints)
        if role == "assistant":
            calls = calls if told and told[-1]["role"] == role else {}
            parts = [{"type": "step-start"}, *parts]
            for i, call in enumerate(message.tool_calls or ()):
                part = _write_call(call, f"{path}.tool_calls[{i}]", target)
                calls[part["toolCallId"]] = part
                parts.append(part)
            if calls and told and told[-1]["role"] == role:
                told[-1]["parts"] += parts
                continue
        elif role == "system" and any(part["type"] != "text" for part in parts):
            raise unsupported(f"{path}.content", target)
        told.append({"id": f"msg_{len(told)}", "role": role, "parts": parts})
    dropped += hints
    return told


def _write_call(call: Part, path: str, target: str) -> Part:
    match call:
        case {"id": str(id), "function": {"name": str(name), **more}}:
            arguments = more.get("arguments") or ""
            if not isinstance(arguments, str):
                raise _lacks("function.arguments", path)
            part = {"type": f"tool-{name}", "toolCallId": id, "state": "input-available"}
            return {**part, "input": _as_input(arguments)}
        case {"type": str(kind)} if kind != "function":
            raise unsupported(path, target)
        case _:
            raise _lacks("function", path)


def _as_input(arguments: str) -> Any:
    """The value of a call's arguments; what is no JSON stays text."""
    if not arguments.strip():
        return {}
    try:
        return msgspec.json.decode(arguments)
    except BROKEN_JSON:
        return arguments


def _write_result(message: Message, calls: dict[str, Part], path: str, target: str) -> None:
    """Into the part of the call that it answers."""
    if message.tool_call_id is None:
        raise _lacks("tool_call_id", path)
    part = calls.get(message.tool_call_id)
    if part is None:
        raise Refused(400, "invalid_request", f"no call has this id (at {path})", param=f"{path}.tool_call_id")
    if isinstance(message.content, list) and any(each.get("type") != "text" for each in message.content):
        raise unsupported(f"{path}.content", target)
    if message.is_error:
        part |= {"state": "output-error", "errorText": message.text}
    else:
        part |= {"state": "output-available", "output": message.text}


def _write_content(content: str | list[Part] | None, path: str, target: str, hints: dict[str, None]) -> list[Part]:
    if not isinstance(content, list):
        return [{"type": "text", "text": content}] if content else []
    return [_write_part(part, f"{path}[{i}]", target, hints) for i, part in enumerate(content)]


def _write_part(part: Part, path: str, target: str, hints: dict[str, None]) -> Part:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **more}}:
            if more.get("detail") not in (None, "auto"):
                hints["messages.image_url.detail"] = None
            media_type = _type_of(url)
            return _file(url, media_type if media_type.startswith("image/") else "image/*")
        case {"type": "file", "file": {"file_data": str(url), **more}} if url[:5].lower() == "data:":
            name = more.get("filename")
            named = {"filename": name} if isinstance(name, str) else {}
            return _file(url, _type_of(url) or "application/octet-stream", **named)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": "wav" | "mp3" as form}}:
            return _file(f"data:{_MEDIA_TYPE[form]};base64,{data}", _MEDIA_TYPE[form])
        case {"type": "text" | "refusal" | "image_url" as kind}:
            raise Refused(400, "invalid_request", f"this is no {kind} (at {path})", param=path)
        case {"type": str(kind)}:
            raise unsupported(f"{path}.{kind[:64]}", target)
        case _:
            raise Refused(400, "invalid_request", f"a part needs a type (at {path})", param=path)


def _file(url: str, media_type: str, **more: str) -> Part:
    return {"type": "file", "mediaType": media_type, "url": url, **more}


def _type_of(url: str) -> str:
    """The media type of a `data:` address, or nothing."""
    head = url.partition(",")[0]
    return head[5:].partition(";")[0].lower() if head[:5].lower() == "data:" else ""
