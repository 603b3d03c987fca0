"""The conversation of a Responses request, both ways: items here, messages in everybody's words there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.dialects.base import Message, unsupported
from penstock.exceptions import Refused

NAME = "openai-responses"


class _Turn:
    """A message, and the results of its calls: elsewhere nothing may stand between them, here anything may."""

    __slots__ = ("message", "open", "results", "said")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.said = [] if message.content is None else [message.content]
        self.results: list[Message] = []
        self.open: set[str] = set()
        """Calls whose results are still to come."""

    @property
    def takes_words(self) -> bool:
        """What the assistant says now stands between its calls and their results: it belongs to the message before them."""
        return bool(self.open) or (bool(self.message.tool_calls) and not self.results and not self.said)

    @property
    def takes_calls(self) -> bool:
        """Words, and the calls that follow them, are one message elsewhere."""
        return self.message.role == "assistant" and not self.results

    def call(self, call: dict[str, Any], *, answered: bool) -> None:
        if self.message.tool_calls is None:
            self.message.tool_calls = []
        self.message.tool_calls.append(call)
        if answered:
            self.open.add(call["id"])

    def messages(self) -> list[Message]:
        texts = [content for content in self.said if isinstance(content, str)]
        if len(texts) == len(self.said):
            self.message.content = "\n\n".join(texts) if texts else None
        else:
            self.message.content = [part for content in self.said for part in _parts_of(content)]
        return [self.message, *self.results]


def _parts_of(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def read_items(items: Sequence[dict[str, Any]]) -> tuple[list[Message], list[str], list[str]]:
    """The messages of `input`, and of its items the hints and the needs that no message can tell. Raises Refused (400)."""
    turns: list[_Turn] = []
    callers: dict[str, _Turn] = {}
    answered = {
        id
        for item in items
        if item.get("type") == "function_call_output" and isinstance(id := item.get("call_id"), str)
    }
    others: list[str] = []
    needs: list[str] = []
    for number, item in enumerate(items):
        match item.get("type", "message"):
            case "message":
                message = _read_message(item, number, needs)
                if message.role == "assistant" and message.content is not None and turns and turns[-1].takes_words:
                    turns[-1].said.append(message.content)
                else:
                    turns.append(_Turn(message))
            case "function_call":
                id = _text(item, "call_id", number)
                function = {"name": _text(item, "name", number), "arguments": _text(item, "arguments", number)}
                if not turns or not turns[-1].takes_calls:
                    turns.append(_Turn(Message("assistant", None)))
                turns[-1].call({"id": id, "type": "function", "function": function}, answered=id in answered)
                callers[id] = turns[-1]
            case "function_call_output":
                output = item.get("output")
                content = output if isinstance(output, str) else _read_parts(output, number, needs)
                id = _text(item, "call_id", number)
                result = Message("tool", content, tool_call_id=id)
                caller = callers.get(id)
                if caller is None:
                    turns.append(_Turn(result))
                else:
                    caller.results.append(result)
                    caller.open.discard(id)
            case "reasoning":
                others.append("input.reasoning")
            case str(kind):
                needs.append(f"input.{kind[:40]}")
            case _:
                raise Refused(400, "invalid_request", f"input[{number}] has no type", param=f"input[{number}].type")
    messages = [message for turn in turns for message in turn.messages()]
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
                parts.append({"type": "refusal", "refusal": part["refusal"]})
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


def write_items(messages: Sequence[Message], dropped: list[str]) -> tuple[str | None, list[dict[str, Any]]]:
    """`instructions` (the first system message) and `input`; hints that can't be told are added to `dropped`.

    Raises Refused (400).
    """
    instructions: str | None = None
    items: list[dict[str, Any]] = []
    if any(message.name is not None for message in messages):
        dropped.append("messages.name")
    for number, message in enumerate(messages):
        if number == 0 and message.role in ("system", "developer") and isinstance(message.content, str):
            instructions = message.content
            continue
        if message.role == "tool":
            output: Any = _write_parts(message, "user") if isinstance(message.content, list) else message.content or ""
            if message.is_error:
                # There is no word for it here: the model must still learn that what it reads is no result.
                begun = [{"type": "input_text", "text": "Error: "}]
                output = [*begun, *output] if isinstance(output, list) else f"Error: {output}"
            if message.tool_call_id is None:
                raise _wrong("tool_call_id", f"messages[{number}]")
            items.append({"type": "function_call_output", "call_id": message.tool_call_id, "output": output})
            continue
        if message.role not in ("user", "assistant", "system", "developer"):
            raise unsupported(f"messages[{number}].role", NAME)
        if message.content or not message.tool_calls:
            content: Any = message.content or ""
            # Words alone go as text: some servers take no message of `output_text` that has no id and status.
            if isinstance(content, list):
                content = _write_parts(message, message.role)
            items.append({"type": "message", "role": message.role, "content": content})
        items += [
            _write_call(call, f"messages[{number}].tool_calls[{n}]") for n, call in enumerate(message.tool_calls or ())
        ]
    return instructions, items


def _write_call(call: dict[str, Any], path: str) -> dict[str, Any]:
    match call:
        case {"id": str(id), "function": {"name": str(name), **more}}:
            arguments = more.get("arguments")
            if arguments is not None and not isinstance(arguments, str):
                raise _wrong("function.arguments", path)
            return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments or "{}"}
        case {"type": str(kind)} if kind != "function":
            raise unsupported(path, NAME)
        case _:
            raise _wrong("function", path)


def _wrong(name: str, path: str) -> Refused:
    return Refused(400, "invalid_request", f"{name} is missing or wrong (at {path})", param=f"{path}.{name}")


def _write_parts(message: Message, role: str) -> list[dict[str, Any]]:
    kind = "output_text" if role == "assistant" else "input_text"
    more: dict[str, Any] = {"annotations": []} if role == "assistant" else {}
    parts: list[dict[str, Any]] = []
    for part in message.content or ():
        assert isinstance(part, dict)
        match part.get("type"):
            case "text" if isinstance(part.get("text"), str | None):
                parts.append({"type": kind, "text": part.get("text") or "", **more})
            case "refusal" if isinstance(part.get("refusal"), str):
                # Only a model refuses.
                told = {"type": "refusal", "refusal": part["refusal"]}
                parts.append(told if role == "assistant" else {"type": kind, "text": part["refusal"]})
            case "image_url" if role != "assistant" and _has_text(part.get("image_url"), "url"):
                image = part["image_url"]
                detail = image.get("detail")
                parts.append(
                    {
                        "type": "input_image",
                        "image_url": image["url"],
                        "detail": detail if isinstance(detail, str) else "auto",
                    }
                )
            case "file" if role != "assistant" and (
                _has_text(part.get("file"), "file_data") or _has_text(part.get("file"), "file_id")
            ):
                names = ("file_data", "file_id", "filename")
                file = {name: part["file"][name] for name in names if _has_text(part["file"], name)}
                parts.append({"type": "input_file", **file})
            case "text" | "refusal" | "image_url" | "file" as wrong if role != "assistant":
                raise _wrong(wrong, "messages.content")
            case other:
                raise unsupported(f"messages.content.{str(other)[:40]}", NAME)
    return parts


def _has_text(value: Any, name: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(name), str)
