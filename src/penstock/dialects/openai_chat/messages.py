"""The conversation and the tools of a request, once more: what the typed parse of them has passed over.

Nothing of it is lost where the upstream speaks this dialect too. Anywhere else a hint is told to be dropped, and what would
make another answer is refused.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from penstock.dialects.base import MOST_HINTS, Message

_UNDERSTOOD = frozenset(Message.__struct_fields__)
_NEEDED = ("function_call", "audio")
_MESSAGE = _UNDERSTOOD | {*_NEEDED, "refusal"}
_PARTS: dict[str, frozenset[str]] = {
    "text": frozenset(),
    "refusal": frozenset(),
    "image_url": frozenset(("url", "detail")),
    "input_audio": frozenset(("data", "format")),
    "file": frozenset(("file_data", "file_id", "filename")),
}
"""The parts that others have words for, and what they hold. Other parts are refused by those who can't tell them."""

_CALL = frozenset(("id", "type", "function", "index"))
_FUNCTION = frozenset(("name", "arguments"))
_TOOL = frozenset(("type", "function"))
_TOOL_FUNCTION = frozenset(("name", "description", "parameters", "strict"))


class Noted:
    """What a request holds that only this dialect has: hints, and what it would be another answer without."""

    def __init__(self) -> None:
        # In the order in which they came, each once, and not without end: strangers name them.
        self._hints: dict[str, None] = {}
        self._needs: dict[str, None] = {}

    @property
    def hints(self) -> list[str]:
        return list(self._hints)

    @property
    def needs(self) -> list[str]:
        return list(self._needs)

    def need(self, name: str) -> None:
        if len(self._needs) < MOST_HINTS:
            self._needs[name] = None

    def hint(self, name: str) -> None:
        if len(self._hints) < MOST_HINTS:
            self._hints[name[:80]] = None

    def others(self, where: str, told: dict[str, Any], known: Set[str]) -> None:
        """Note the fields of `told`, an object at `where`, that are not among `known` and say something."""
        if told.keys() <= known:
            return  # as nearly always
        for name, value in told.items():
            if name not in known and _says(value):
                self.hint("cache_control" if name == "cache_control" else f"{where}.{name}")


def _says(value: Any) -> bool:
    return bool(value) or (value == 0 and value is not False)


def note(fields: dict[str, Any], messages: Sequence[Message]) -> Noted:
    """Look through a request that has been parsed: `fields` as the client wrote them, `messages` as they were understood.

    A refusal of an earlier turn becomes a part of its message.
    """
    noted = Noted()
    for number, (message, told) in enumerate(zip(messages, fields["messages"], strict=True)):
        if not told.keys() <= _UNDERSTOOD:
            _note_message(message, told, f"messages[{number}]", noted)
        if isinstance(message.content, list):
            for part in message.content:
                _note_part(part, noted)
        if message.tool_calls:
            _note_calls(message.tool_calls, f"messages[{number}]", noted)
    for tool in fields.get("tools") or ():
        function = tool.get("function")
        if tool.get("type", "function") != "function" or function is None:
            noted.need("tools")
            continue
        noted.others("tools", tool, _TOOL)
        noted.others("tools.function", function, _TOOL_FUNCTION)
    choice = fields.get("tool_choice")
    if isinstance(choice, dict) and (choice.get("type", "function") != "function" or choice.get("function") is None):
        noted.need("tool_choice")
    if isinstance(options := fields.get("stream_options"), dict):
        noted.others("stream_options", options, {"include_usage"})
    return noted


def _note_message(message: Message, told: dict[str, Any], path: str, noted: Noted) -> None:
    for name in _NEEDED:
        if _says(told.get(name)):
            noted.need(f"{path}.{name}")
    if isinstance(refusal := told.get("refusal"), str) and refusal:
        said = message.content or []
        parts = [{"type": "text", "text": said}] if isinstance(said, str) else said
        message.content = [*parts, {"type": "refusal", "refusal": refusal}]
    noted.others("messages", told, _MESSAGE)


def _note_calls(calls: Sequence[dict[str, Any]], path: str, noted: Noted) -> None:
    for number, call in enumerate(calls):
        if (call.get("type") or "function") != "function":
            noted.need(f"{path}.tool_calls[{number}]")
            continue
        noted.others("messages.tool_calls", call, _CALL)
        if isinstance(function := call.get("function"), dict):
            noted.others("messages.tool_calls.function", function, _FUNCTION)


def _note_part(part: dict[str, Any], noted: Noted) -> None:
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        return
    noted.others("messages.content", part, {"type", kind})
    if isinstance(held := part.get(kind), dict):
        noted.others(f"messages.{kind}", held, _PARTS[kind])
