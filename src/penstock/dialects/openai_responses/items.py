"""The conversation of a Responses request, both ways: items here, messages in everybody's words there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.dialects.base import Message, unsupported
from penstock.exceptions import Refused

NAME = "openai-responses"


def read_items(items: Sequence[dict[str, Any]]) -> tuple[list[Message], list[str], list[str]]:
    """The messages of `input`, and of its items the hints and the needs that no message can tell. Raises Refused (400)."""
    messages: list[Message] = []
    others: list[str] = []
    needs: list[str] = []
    for number, item in enumerate(items):
        match item.get("type", "message"):
            case "message":
                messages.append(_read_message(item, number, needs))
            case "function_call":
                call = {
                    "id": _text(item, "call_id", number),
                    "type": "function",
                    "function": {"name": _text(item, "name", number), "arguments": _text(item, "arguments", number)},
                }
                last = messages[-1] if messages else None
                # Words, and the calls that follow them, are one message elsewhere.
                if last is not None and last.role == "assistant":
                    last.tool_calls = [*(last.tool_calls or []), call]
                else:
                    messages.append(Message("assistant", None, tool_calls=[call]))
            case "function_call_output":
                output = item.get("output")
                content = output if isinstance(output, str) else _read_parts(output, number, needs)
                messages.append(Message("tool", content, tool_call_id=_text(item, "call_id", number)))
            case "reasoning":
                others.append("input.reasoning")
            case kind:
                needs.append(f"input.{str(kind)[:40]}")
    return messages, list(dict.fromkeys(others)), list(dict.fromkeys(needs))


def _read_message(item: dict[str, Any], number: int, needs: list[str]) -> Message:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise Refused(400, "invalid_request", f"input[{number}].role is not known", param=f"input[{number}].role")
    if isinstance(content, str):
        return Message(role, content)
    parts = _read_parts(content, number, needs)
    if role == "assistant" and all(part["type"] == "text" for part in parts):
        return Message(role, "".join(part["text"] for part in parts))
    return Message(role, parts)


def _read_parts(content: Any, number: int, needs: list[str]) -> list[dict[str, Any]]:
    where = f"input[{number}]"
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Refused(400, "invalid_request", f"{where} has no content that can be read", param=where)
    parts: list[dict[str, Any]] = []
    for part in content:
        match part.get("type"):
            case "input_text" | "output_text" | "text" if isinstance(part.get("text"), str):
                parts.append({"type": "text", "text": part["text"]})
            case "refusal" if isinstance(part.get("refusal"), str):
                parts.append({"type": "text", "text": part["refusal"]})
            case "input_image" if isinstance(part.get("image_url"), str):
                image = {"url": part["image_url"]}
                if part.get("detail") is not None:
                    image["detail"] = part["detail"]
                parts.append({"type": "image_url", "image_url": image})
            case "input_file" if any(part.get(name) is not None for name in ("file_data", "file_id")):
                told = {name: part[name] for name in ("file_data", "file_id", "filename") if part.get(name) is not None}
                parts.append({"type": "file", "file": told})
            case kind:
                needs.append(f"input.content.{str(kind)[:40]}")
    return parts


def _text(item: dict[str, Any], name: str, number: int) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise Refused(400, "invalid_request", f"input[{number}].{name} must be text", param=f"input[{number}].{name}")
    return value


def write_items(messages: Sequence[Message]) -> tuple[str | None, list[dict[str, Any]]]:
    """`instructions` (the first system message) and `input`. Raises Refused (400)."""
    instructions: str | None = None
    items: list[dict[str, Any]] = []
    for number, message in enumerate(messages):
        if number == 0 and message.role in ("system", "developer") and isinstance(message.content, str):
            instructions = message.content
            continue
        if message.role == "tool":
            output: Any = _write_parts(message, "user") if isinstance(message.content, list) else message.content or ""
            if message.is_error:
                output = f"Error: {message.text}"
            items.append({"type": "function_call_output", "call_id": message.tool_call_id or "", "output": output})
            continue
        if message.content:
            items.append({"type": "message", "role": message.role, "content": _write_parts(message, message.role)})
        for call in message.tool_calls or ():
            function = call.get("function") or {}
            items.append(
                {
                    "type": "function_call",
                    "call_id": call.get("id") or "",
                    "name": function.get("name") or "",
                    "arguments": function.get("arguments") or "{}",
                }
            )
    return instructions, items


def _write_parts(message: Message, role: str) -> list[dict[str, Any]]:
    kind = "output_text" if role == "assistant" else "input_text"
    if not isinstance(message.content, list):
        return [{"type": kind, "text": message.content or ""}]
    parts: list[dict[str, Any]] = []
    for part in message.content:
        match part.get("type"):
            case "text":
                parts.append({"type": kind, "text": part.get("text") or ""})
            case "refusal":
                parts.append({"type": "refusal", "refusal": part.get("refusal") or ""})
            case "image_url" if isinstance(part.get("image_url"), dict):
                image = part["image_url"]
                parts.append(
                    {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
                )
            case "file" if isinstance(part.get("file"), dict):
                parts.append({"type": "input_file", **part["file"]})
            case other:
                raise unsupported(f"messages.content.{str(other)[:40]}", NAME)
    return parts
