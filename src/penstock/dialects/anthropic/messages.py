"""The conversation in a request: `anthropic`'s turns of content blocks <-> messages in everybody's words.

A call of a tool is a `tool_use` block of the assistant's turn, its result a `tool_result` block of the user's next turn,
before anything else the user says. Turns of the same role one after the other are one turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.dialects.anthropic.content import Source, read_source, write_part
from penstock.dialects.anthropic.write import as_input
from penstock.dialects.base import Message, Noted, encode_json, unsupported
from penstock.exceptions import Refused

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]")


class Block(msgspec.Struct):
    """One content block of any type: what Penstock reads of it."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    citations: Any = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    is_error: bool | None = None
    cache_control: Any = None


class Turn(msgspec.Struct):
    """One of `messages`."""

    role: str
    content: str | list[Block]


def read_messages(system: str | list[Block] | None, turns: Sequence[Turn], noted: Noted) -> list[Message]:
    """A conversation of this dialect in everybody's words. Raises Refused (400) for blocks that lack what they need."""
    messages: list[Message] = []
    if system:
        messages.append(Message("system", _read_content(system, "system", noted)))
    for number, turn in enumerate(turns):
        path = f"messages[{number}].content"
        if turn.role == "assistant":
            messages.append(_read_assistant(turn.content, path, noted))
        elif turn.role == "user":
            messages += _read_user(turn.content, path, noted)
        elif turn.role == "system":
            messages.append(Message("system", _read_content(turn.content, path, noted)))
        else:
            noted.need("messages.role")
    return messages


def _read_user(content: str | list[Block], path: str, noted: Noted) -> list[Message]:
    if isinstance(content, str):
        return [Message("user", content)]
    messages = []
    said: list[tuple[int, Block]] = []
    for number, block in enumerate(content):
        if block.type != "tool_result":
            said.append((number, block))
            continue
        here = f"{path}[{number}]"
        if block.cache_control is not None:
            noted.hint("cache_control")
        told = block.content
        if isinstance(told, dict):
            raise _lacks("content", here)
        result = "" if told is None else _read_content(told, f"{here}.content", noted)
        messages.append(
            Message("tool", result, tool_call_id=_needed(block, "tool_use_id", here), is_error=block.is_error or None)
        )
    if said or not messages:
        messages.append(Message("user", _simplest(_read_parts(said, path, noted))))
    return messages


def _read_assistant(content: str | list[Block], path: str, noted: Noted) -> Message:
    if isinstance(content, str):
        return Message("assistant", content)
    said: list[tuple[int, Block]] = []
    calls: list[dict[str, Any]] = []
    for number, block in enumerate(content):
        here = f"{path}[{number}]"
        if block.type == "tool_use":
            if block.cache_control is not None:
                noted.hint("cache_control")
            arguments = encode_json(block.input or {}).decode()
            function = {"name": _needed(block, "name", here), "arguments": arguments}
            calls.append({"id": _needed(block, "id", here), "type": "function", "function": function})
        elif block.type in ("thinking", "redacted_thinking"):
            noted.hint("messages.thinking")
        else:
            said.append((number, block))
    parts = _read_parts(said, path, noted)
    return Message("assistant", _simplest(parts) if parts or not calls else None, tool_calls=calls or None)


def _read_content(content: str | list[Block], path: str, noted: Noted) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return _simplest(_read_parts(list(enumerate(content)), path, noted))


def _read_parts(blocks: list[tuple[int, Block]], path: str, noted: Noted) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for number, block in blocks:
        here = f"{path}[{number}]"
        if block.cache_control is not None:
            noted.hint("cache_control")
        if block.citations:
            noted.hint("messages.citations")
        if block.context:
            noted.hint("messages.context")
        if block.type == "text":
            parts.append({"type": "text", "text": _needed(block, "text", here)})
        elif block.type in ("image", "document"):
            if not isinstance(block.source, Source):
                raise _lacks("source", here)
            part = read_source(block.type, block.source, block.title)
            if part is None:
                noted.need(f"messages.{block.type}.source.{block.source.type}")
            else:
                parts.append(part)
        else:
            noted.need(f"messages.{block.type}")
    return parts


def _simplest(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """One text is told as text: there are servers that know nothing else."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _needed(block: Block, name: str, path: str) -> str:
    value = getattr(block, name)
    if not isinstance(value, str):
        raise _lacks(name, path)
    return value


def _lacks(name: str, path: str) -> Refused:
    return Refused(400, "invalid_request", f"{name} is missing or wrong (at {path})", param=f"{path}.{name}")


def write_messages(
    messages: Sequence[Message], target: str, dropped: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The `system` blocks and the `messages` that say the same; hints that can't be told are added to `dropped`.

    Raises Refused (400).
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    hints: dict[str, None] = {}
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        blocks = _write_content(message.content, f"{path}.content", target, hints)
        if message.name is not None:
            hints["messages.name"] = None
        match message.role:
            case "system" | "developer":
                if any(block["type"] != "text" for block in blocks):
                    raise unsupported(f"{path}.content", target)
                if turns and blocks:
                    # Said at the beginning it keeps its authority; as the user's words in its place it would lose that.
                    hints["messages.system-position"] = None
                system += blocks
                continue
            case "tool":
                role, blocks = "user", [_result(message, blocks, path)]
            case "assistant":
                role = "assistant"
                calls = message.tool_calls or ()
                blocks += [_call(call, f"{path}.tool_calls[{i}]", target) for i, call in enumerate(calls)]
            case "user":
                role = "user"
            case _:
                raise unsupported(f"{path}.role", target)
        if not blocks:
            continue
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"] += blocks
    for turn in turns:
        # The API wants the results first.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        turn["content"] = _as_text(turn["content"])
    dropped += hints
    return system, turns


def _write_content(
    content: str | list[dict[str, Any]] | None, path: str, target: str, hints: dict[str, None]
) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        return [{"type": "text", "text": content}] if content else []
    blocks = []
    for number, part in enumerate(content):
        block = write_part(part, f"{path}[{number}]", target)
        if block is not None:
            blocks.append(block)
        if block is not None and block["type"] == "image" and _has_detail(part):
            hints["messages.image_url.detail"] = None
    return blocks


def _has_detail(part: dict[str, Any]) -> bool:
    image = part.get("image_url")
    return isinstance(image, dict) and image.get("detail") not in (None, "auto")


def _result(message: Message, blocks: list[dict[str, Any]], path: str) -> dict[str, Any]:
    if message.tool_call_id is None:
        raise _lacks("tool_call_id", path)
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _NOT_IN_AN_ID.sub("_", message.tool_call_id)}
    if blocks:
        result["content"] = _as_text(blocks)
    if message.is_error:
        result["is_error"] = True
    return result


def _call(call: dict[str, Any], path: str, target: str) -> dict[str, Any]:
    match call:
        case {"id": str(id), "function": {"name": str(name), **more}}:
            arguments = more.get("arguments")
            if arguments is not None and not isinstance(arguments, str):
                raise _lacks("function.arguments", path)
            use = {"type": "tool_use", "id": _NOT_IN_AN_ID.sub("_", id), "name": name}
            return {**use, "input": as_input(arguments or "")}
        case {"type": str(kind)} if kind != "function":
            raise unsupported(path, target)
        case _:
            raise _lacks("function", path)


def _as_text(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """One text is told as text."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks
