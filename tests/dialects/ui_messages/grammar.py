"""What a legal UI message stream is, by the AI SDK's own schema (`uiMessageChunkSchema`, in its strictest version) and by
what its client does with the parts. Written by hand, so that the product does not judge itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

FIELDS: dict[str, dict[str, type]] = {
    "start": {"messageId": str, "messageMetadata": dict},
    "start-step": {},
    "text-start": {"id": str},
    "text-delta": {"id": str, "delta": str},
    "text-end": {"id": str},
    "reasoning-start": {"id": str},
    "reasoning-delta": {"id": str, "delta": str},
    "reasoning-end": {"id": str},
    "tool-input-start": {"toolCallId": str, "toolName": str},
    "tool-input-delta": {"toolCallId": str, "inputTextDelta": str},
    "tool-input-available": {"toolCallId": str, "toolName": str, "input": object},
    "tool-input-error": {"toolCallId": str, "toolName": str, "input": object, "errorText": str},
    "finish-step": {},
    "finish": {"finishReason": str, "messageMetadata": dict},
    "error": {"errorText": str},
    "abort": {},
}
REASONS = ("stop", "length", "content-filter", "tool-calls", "error", "other")


def parts_of(blocks: Sequence[bytes]) -> list[dict[str, Any]]:
    """The parts, without the end marker, which must be there, once and last."""
    *blocks, last = blocks
    assert last == b"data: [DONE]\n\n"
    for block in blocks:
        assert block.startswith(b"data: {")
        assert block.endswith(b"}\n\n")
        assert block.count(b"\n") == 2
    return [json.loads(block[6:]) for block in blocks]


def legal(blocks: Sequence[bytes]) -> str:
    """Asserts that a client accepts the stream; how it ends: `finish`, `error` or `abort`."""
    parts = parts_of(blocks)
    for part in parts:
        fields = FIELDS[part["type"]]
        assert set(part) == {"type", *fields}
        assert all(isinstance(part[name], kind) for name, kind in fields.items())
    types = [part["type"] for part in parts]
    ends = [kind for kind in types if kind in ("finish", "error", "abort")]
    assert ends == types[-1:]
    good = ends == ["finish"]
    if types[0] != ends[0]:
        assert types[:2] == ["start", "start-step"]
    assert types.count("start") == types.count("start-step") <= 1
    assert types.count("finish-step") == good
    if good:
        assert types[-2] == "finish-step"
        assert parts[-1]["finishReason"] in REASONS
    _check_words(parts, good)
    _check_calls(parts, good)
    return str(ends[0])


def _check_words(parts: list[dict[str, Any]], good: bool) -> None:
    opened: str | None = None
    seen: set[str] = set()
    for part in parts:
        kind, _, what = part["type"].rpartition("-")
        if kind not in ("text", "reasoning"):
            continue
        id = part["id"]
        assert id.startswith(f"{kind}-")
        if what == "start":
            assert opened is None
            assert id not in seen
            seen.add(id)
            opened = id
        else:
            assert opened == id
            opened = None if what == "end" else opened
    assert not (good and opened)


def _check_calls(parts: list[dict[str, Any]], good: bool) -> None:
    names: dict[str, str] = {}
    heard: dict[str, str] = {}
    whole: set[str] = set()
    for part in parts:
        if not part["type"].startswith("tool-"):
            continue
        id = part["toolCallId"]
        assert id
        if part["type"] == "tool-input-start":
            assert id not in names
            names[id], heard[id] = part["toolName"], ""
            continue
        assert id in names
        assert id not in whole
        if part["type"] == "tool-input-delta":
            heard[id] += part["inputTextDelta"]
            continue
        whole.add(id)
        assert part["toolName"] == names[id]
        if part["type"] == "tool-input-available":
            assert part["input"] == json.loads(heard[id] if heard[id].strip() else "{}")
        else:
            assert part["input"] == heard[id]
    assert whole == set(names) or not good
