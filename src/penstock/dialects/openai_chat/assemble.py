"""A whole completion from a chat upstream's own chunks: also what events have no words for stays.

`collect` gives the completion's known parts. What else the chunks said is put beside them: `logprobs`, other fields of a
delta (`annotations`, `audio` ...), and other fields of a chunk (`system_fingerprint`, `service_tier` ...).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.wire import sse

_TOLD = frozenset(("id", "object", "created", "model", "choices", "usage", "error"))
"""Fields of a chunk that the completion has from elsewhere, or that mean something else there."""

_SAID = frozenset(("role", "content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call"))
"""Fields of a delta that are told by events."""


def assemble(collected: bytes, blocks: Iterable[bytes]) -> bytes:
    """`collected`, with everything else that `blocks` say."""
    answer: dict[str, Any] = msgspec.json.decode(collected)
    choices = {choice["index"]: choice for choice in answer["choices"]}
    for block in blocks:
        try:
            chunk = msgspec.json.decode(sse.payload(block))
        except BROKEN_JSON:
            continue
        if not isinstance(chunk, dict):
            continue
        answer |= {name: value for name, value in chunk.items() if name not in _TOLD and value is not None}
        for told in chunk.get("choices") or ():
            choice = choices.get(told.get("index", 0)) if isinstance(told, dict) else None
            if choice is None:
                continue
            if told.get("logprobs") is not None:
                choice["logprobs"] = join(choice.get("logprobs"), told["logprobs"])
            for name, value in (told.get("delta") or {}).items():
                if name not in _SAID and value is not None:
                    choice["message"][name] = join(choice["message"].get(name), value)
    return msgspec.json.encode(answer)


def join(before: Any, more: Any) -> Any:
    """Two pieces of the same value: texts and lists one after the other, objects field by field, else the later one.

    >>> join({"content": [1], "id": "a"}, {"content": [2]})
    {'content': [1, 2], 'id': 'a'}
    """
    if isinstance(before, dict) and isinstance(more, dict):
        return {
            name: join(before.get(name), more.get(name)) for name in [*before, *(n for n in more if n not in before)]
        }
    if isinstance(before, list) and isinstance(more, list):
        return before + more
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    return before if more is None else more
