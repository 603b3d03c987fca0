"""Tool calls of the demo model: a prompt that names a tool gets it called, with arguments found in the prompt. Pure."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from penstock.upstreams.demo_answers import Message, last_prompt
from penstock.upstreams.demo_quote import visible

READ = 4_000
"""Characters of the prompt that are searched for tool names and arguments."""

MOST_ARGUMENTS = 32

_QUOTED = re.compile(r"[\"“]([^\"”\n]{1,200})[\"”]|'([^'\n]{1,200})'")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")


class Tool(Protocol):
    """What the demo model reads of a tool: its name, and its parameters as a JSON Schema object."""

    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any] | None: ...


class Call(NamedTuple):
    id: str
    name: str
    arguments: str


def call(messages: Sequence[Message], tools: Sequence[Tool]) -> Call | None:
    """The call of the first tool that the last prompt names, or None. After a tool's result comes an answer."""
    if not tools or not messages or messages[-1].role != "user":
        return None
    prompt = visible(last_prompt(messages)[:READ])
    for tool in tools:
        named = re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", prompt)
        if tool.name and named:
            rest = prompt[named.end() :].strip(" \n:,.?!") or prompt
            arguments = json.dumps(_arguments(tool.parameters or {}, prompt, rest), ensure_ascii=False)
            return Call(f"call_demo_{zlib.crc32(prompt.encode()):08x}", tool.name, arguments)
    return None


def _arguments(schema: Mapping[str, Any], prompt: str, rest: str) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    quoted = (first or second for first, second in _QUOTED.findall(prompt))
    numbers = iter(_NUMBER.findall(rest))
    names = list(properties)[:MOST_ARGUMENTS]
    return {name: _value(properties[name], prompt, rest, quoted, numbers) for name in names}


def _value(schema: Any, prompt: str, rest: str, quoted: Iterator[str], numbers: Iterator[str]) -> Any:
    """One argument, by its declared type: enums by the word that occurs, numbers and quotations in their order."""
    shape = schema if isinstance(schema, Mapping) else {}
    choices = shape.get("enum")
    if isinstance(choices, list) and choices:
        return next((choice for choice in choices if str(choice).lower() in prompt.lower()), choices[0])
    match shape.get("type"):
        case "integer":
            return int(float(next(numbers, "0")))
        case "number":
            return float(next(numbers, "0"))
        case "boolean":
            return not re.search(r"\b(no|not|false|off)\b", rest, re.IGNORECASE)
        case "array":
            return list(quoted)
        case "object":
            return {}
        case "null":
            return None
    return next(quoted, rest[:200])
