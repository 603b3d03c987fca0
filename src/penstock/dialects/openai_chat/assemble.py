"""A whole completion from a chat upstream's own chunks: everything that they say stays.

Texts that come in pieces are joined, lists go on, of any other value the last one counts; the usage is the upstream's own. What
is known of events alone, as an answer in another dialect, becomes a completion in `write.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Ending
from penstock.dialects.calls import CallNumbers
from penstock.dialects.openai_chat.chunks import as_text, load, mended
from penstock.dialects.openai_chat.write import completion, reason_of, told_usage
from penstock.wire import sse

_TOLD = frozenset(("id", "object", "created", "model", "choices", "usage", "error", "obfuscation"))
"""Fields of a chunk that the completion has from elsewhere, or that mean something else there."""

_PLACED = frozenset(("delta", "index", "message"))
"""Fields of a chunk's choice that the completion's does not have as they are."""

_TEXTS = frozenset(("reasoning_content", "reasoning", "reasoning_text", "thinking", "tool_plan", "refusal"))
"""Fields of a delta that are pieces of text, at one provider or another."""


class _Pieces:
    """An object that comes in pieces.

    The texts of `joined` are pieces too; of the fields in `once` the first value counts, for some upstreams repeat them.
    """

    __slots__ = ("_joined", "_once", "fields", "texts")

    def __init__(self, joined: Collection[str] = (), once: Collection[str] = ()) -> None:
        self._joined = joined
        self._once = once
        self.fields: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}

    def add(self, told: dict[str, Any]) -> None:
        for name, value in told.items():
            if name in self._joined:
                if value is not None:
                    self.texts.setdefault(name, []).append(value if isinstance(value, str) else as_text(value))
            elif name not in self._once:
                self.fields[name] = grown(self.fields.get(name), value)
            elif not self.fields.get(name):
                self.fields[name] = value

    @property
    def whole(self) -> dict[str, Any]:
        return {**self.fields, **{name: "".join(texts) for name, texts in self.texts.items()}}


class _Call:
    """A call of a tool, or of whatever else has a name and takes something."""

    __slots__ = ("bodies", "head")

    def __init__(self) -> None:
        self.head = _Pieces(once=("id",))
        self.bodies: dict[str, _Pieces] = {}

    def add(self, piece: dict[str, Any]) -> None:
        for name in ("function", "custom"):
            if isinstance(body := piece.get(name), dict):
                self.bodies.setdefault(name, _Pieces(("arguments", "input"), once=("name",))).add(body)
        self.head.add({name: piece[name] for name in piece if name not in ("index", "function", "custom")})

    @property
    def whole(self) -> dict[str, Any]:
        bodies = {name: body.whole for name, body in self.bodies.items()}
        head = {name: value for name, value in self.head.whole.items() if value is not None}
        kind = head.get("type") or next(iter(bodies), "function")
        if kind == "function":
            bodies["function"] = {"name": "", "arguments": "", **bodies.get("function", {})}
        return {"id": "", **head, "type": kind, **bodies}


class _Choice:
    """One choice of the completion."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._content: list[str | dict[str, Any]] = []
        self._message = _Pieces(_TEXTS, once=("role",))
        self._audio = _Pieces(("data", "transcript"), once=("id",))
        self._legacy = _Pieces(("arguments",), once=("name",))
        self._calls: dict[int, _Call] = {}
        self._numbers = CallNumbers()

    def add(self, told: dict[str, Any]) -> None:
        if isinstance(delta := told.get("delta"), dict):
            self._add(delta)
        for name, value in told.items():
            if name not in _PLACED and (value is not None or name not in self._fields):
                self._fields[name] = grown(self._fields.get(name), value)

    def _add(self, delta: dict[str, Any]) -> None:
        content = delta.pop("content", None)
        if isinstance(content, str):
            self._content.append(content)
        elif isinstance(content, list):
            self._content += [part for part in content if isinstance(part, str | dict)]
        if not delta:
            return  # as nearly always
        for call in delta.pop("tool_calls", None) or ():
            self._call(call)
        self._legacy.add(delta.pop("function_call", None) or {})
        if isinstance(delta.get("audio"), dict):
            self._audio.add(delta.pop("audio"))
        self._message.add(delta)

    def _call(self, piece: dict[str, Any]) -> None:
        body = piece.get("function") or piece.get("custom") or {}
        number = self._numbers.of(0, piece.get("index"), piece.get("id"), body.get("name"))
        self._calls.setdefault(number, _Call()).add(piece)

    def whole(self, outcome: str) -> dict[str, Any]:
        """`outcome` is how the whole answer ended: for a choice that does not say so itself."""
        message = {name: value for name, value in self._message.whole.items() if value is not None}
        if audio := self._audio.whole:
            message["audio"] = audio
        if legacy := self._legacy.whole:
            message["function_call"] = {"name": "", "arguments": "", **legacy}
        if self._calls:
            message["tool_calls"] = [self._calls[number].whole for number in sorted(self._calls)]
        content = _content(self._content)
        silent = not content and any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
        role, refusal = message.pop("role", None) or "assistant", message.pop("refusal", None) or None
        return {
            "message": {"role": role, "content": None if silent else content, "refusal": refusal, **message},
            "logprobs": None,
            **self._fields,
            "finish_reason": self._fields.get("finish_reason") or reason_of(outcome),
        }


def _content(pieces: list[str | dict[str, Any]]) -> Any:
    """The content of a message: one text, or the parts that it came in if not all of them are plain texts."""
    told: list[dict[str, Any] | list[str]] = []
    for piece in pieces:
        words: Any = piece
        if isinstance(piece, dict):
            words = piece.get("text") if piece.keys() == {"type", "text"} else None
            if not isinstance(words, str):
                told.append(piece)
                continue
        if told and isinstance(row := told[-1], list):
            row.append(words)
        elif words:
            told.append([words])
    if len(told) == 1 and isinstance(told[0], list):
        return "".join(told[0])
    return [{"type": "text", "text": "".join(part)} if isinstance(part, list) else part for part in told] or ""


def assemble(about: Description, blocks: Iterable[bytes], end: Ending) -> bytes:
    """The completion that `blocks` tell."""
    choices: dict[int, _Choice] = {}
    fields: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    for block in blocks:
        chunk = _read(block)
        fields |= {name: value for name, value in chunk.items() if value is not None and name not in _TOLD}
        if isinstance(told := chunk.get("usage"), dict):
            usage = told or usage
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict) and isinstance(index := choice.get("index", 0), int):
                if index not in choices:
                    choices[index] = _Choice()
                choices[index].add(choice)
    if end.held is not None and isinstance(told := _read(end.held).get("usage"), dict):
        usage = told or usage  # and nothing else of it: a gate has not seen that block
    choices.setdefault(0, _Choice())
    if not all(isinstance(usage.get(name), int) for name in ("prompt_tokens", "completion_tokens")):
        usage = {**(told_usage(end.usage) or {}), **usage}
    outcome = end.last.outcome
    answer = completion(about, {index: choices[index].whole(outcome) for index in sorted(choices)}, usage or None)
    answer |= fields
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return msgspec.json.encode(_with_whole_characters(answer))


def _read(block: bytes) -> dict[str, Any]:
    data = sse.payload(block)
    try:
        chunk = msgspec.json.decode(data)
    except BROKEN_JSON:
        try:
            chunk = load(data)
        except (*BROKEN_JSON, ValueError):
            return {}
    return chunk if isinstance(chunk, dict) else {}


def grown(before: Any, more: Any) -> Any:
    """A value that came before, and what comes now: lists go on, objects do field by field, else the later one counts.

    `before` may become a part of it.

    >>> grown({"content": [1], "id": "a"}, {"content": [2]})
    {'content': [1, 2], 'id': 'a'}
    """
    if isinstance(before, dict) and isinstance(more, dict):
        for name, value in more.items():
            before[name] = grown(before.get(name), value)
        return before
    if isinstance(before, list) and isinstance(more, list):
        before += more
        return before
    return before if more is None else more


def _with_whole_characters(value: Any) -> Any:
    """`value` with whole characters only."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, list):
        return [_with_whole_characters(one) for one in value]
    if isinstance(value, dict):
        return {mended(name): _with_whole_characters(one) for name, one in value.items()}
    return value
