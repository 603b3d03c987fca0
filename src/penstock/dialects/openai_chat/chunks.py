"""The chunks of an `openai-chat` answer, as far as Penstock reads them.

Nearly all are read by one typed parse. Some servers send what is a chunk to every client of this dialect all the same, and
those are read at leisure: content in parts, arguments as an object, half a character, numbers that JSON has no words for.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import ProtocolError
from penstock.wire.events import Usage, UsageSource

NOTHING = msgspec.Raw()


class FunctionDelta(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class CustomDelta(msgspec.Struct, gc=False):
    """A call of a tool that takes text."""

    name: str | None = None
    input: str | None = None


class ToolDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None
    custom: CustomDelta | None = None


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolDelta] | None = None
    function_call: FunctionDelta | None = None
    """How a call was told before there were `tool_calls`."""


class Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    source: UsageSource = "final"
    """Ours (see `write.py`): so that an estimate stays one when it has come through two gateways."""

    def fact(self) -> Usage:
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            cached_tokens=prompt.cached_tokens if prompt else None,
            reasoning_tokens=completion.reasoning_tokens if completion else None,
            source=self.source,
        )


class Chunk(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: msgspec.Raw = NOTHING


class _LooseChunk(msgspec.Struct, gc=False):
    """A chunk whose usage has a shape of its own: as good as none, it will be estimated."""

    choices: list[Choice] | None = None
    error: msgspec.Raw = NOTHING


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""One typed parse. Raises what is in BROKEN_JSON, and then `read_odd` may still make sense of it."""

_decode_loosely = msgspec.json.Decoder(_LooseChunk).decode


def read_odd(data: bytes) -> Chunk:
    """A chunk that is not quite one. Its texts may hold halves of characters. Raises ProtocolError."""
    try:
        loose = _decode_loosely(data)
    except BROKEN_JSON:
        pass
    else:
        return Chunk(loose.choices, None, loose.error)
    try:
        return _made_of(load(data))
    except (*BROKEN_JSON, ValueError) as error:
        raise ProtocolError(f"the upstream sent data that is not a chat completion chunk: {str(error)[:200]}") from None


def load(data: bytes) -> Any:
    """JSON as Python reads it: with halves of characters, `NaN` and `Infinity`. Raises BROKEN_JSON or ValueError."""
    return json.loads(data.decode())


def as_text(value: Any) -> str:
    """A value as JSON text; numbers that JSON has no words for are null."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half a character somewhere: as the escape that it was
        return json.dumps(value)


def mended(text: str) -> str:
    """`text` with its halves of characters joined, and U+FFFD for those that are alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _made_of(told: Any) -> Chunk:
    if not isinstance(told, dict):
        raise msgspec.ValidationError("Expected `object`")
    choices = told.get("choices")
    if isinstance(choices, list):
        choices = [_plain_choice(choice) if isinstance(choice, dict) else choice for choice in choices]
    try:
        usage = msgspec.convert(told.get("usage"), ChatUsage | None)
    except msgspec.ValidationError:
        usage = None
    error = told.get("error")
    return Chunk(
        msgspec.convert(choices, list[Choice] | None),
        usage,
        NOTHING if error is None else msgspec.Raw(as_text(error).encode()),
    )


def _plain_choice(choice: dict[str, Any]) -> dict[str, Any]:
    told = _known(choice, Choice)
    if not isinstance(delta := told.get("delta"), dict):
        return told
    delta = told["delta"] = _known(delta, Delta)
    if isinstance(content := delta.get("content"), list):
        delta |= said_in(content)
    if isinstance(calls := delta.get("tool_calls"), list):
        known = [_known(call, ToolDelta) if isinstance(call, dict) else call for call in calls]
        delta["tool_calls"] = [_plain_call(call) if isinstance(call, dict) else call for call in known]
    return {**told, "delta": _plain_call(delta)}


def _plain_call(call: dict[str, Any]) -> dict[str, Any]:
    """A call, or what has a `function_call`: its arguments are text."""
    for name, shape in (("function", FunctionDelta), ("custom", CustomDelta), ("function_call", FunctionDelta)):
        if isinstance(told := call.get(name), dict):
            arguments = told.get("arguments")
            call = {**call, name: _known(told, shape)}
            if isinstance(arguments, dict | list):
                call[name]["arguments"] = as_text(arguments)
    return call


def _known(told: dict[str, Any], shape: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: told[name] for name in shape.__struct_fields__ if name in told}


def said_in(parts: list[Any]) -> dict[str, str]:
    """Content in parts, as the fields of a delta: its text, its thoughts, its refusal. Other parts have no words here."""
    said: dict[str, list[str]] = {"content": []}
    for part in parts:
        match part:
            case str(text) | {"type": "text" | "output_text", "text": str(text)}:
                said["content"].append(text)
            case {"type": "thinking", "thinking": str(text)}:
                said.setdefault("reasoning_content", []).append(text)
            case {"type": "thinking", "thinking": list(thoughts)}:
                said.setdefault("reasoning_content", []).append(said_in(thoughts)["content"])
            case {"type": "refusal", "refusal": str(text)}:
                said.setdefault("refusal", []).append(text)
            case _:
                pass
    return {name: "".join(texts) for name, texts in said.items()}
