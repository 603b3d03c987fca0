"""The truth of a stream: who answered, by its trace, and what they said, by the simulated model's truth file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from penstock.sim.truth import Answered
from tests.support.cues import is_good
from tests.support.history import Told
from tests.support.routes import key_of
from tests.support.said import Part, only_text

NOTHING = Told([], whole=False)


def marked(trace: dict[str, Any], what: str) -> list[str]:
    """The upstreams of the marks of one kind, in order: who was asked (`attempt`), who gave a first token."""
    return [mark["upstream"] for mark in trace["marks"] if mark["what"] == what]


def row_of(name: str, rows: Sequence[Answered]) -> Answered | None:
    """The last request at an upstream."""
    return next((row for row in reversed(rows) if key_of(row) == f"sk-{name}"), None)


def truth_of(cue: dict[str, Any], row: Answered | None, *, left: bool = False) -> Told:
    """What one upstream said. `left`: its stream may have been abandoned."""
    if row is None or row.end is None:
        return NOTHING
    end = row.end
    whole = end.ended == "done" and is_good(cue)
    if (
        "cut_at_byte" in cue
    ):  # beyond its end a body is cut after all of it, unless it is to be ended without its end marker
        whole = end.bytes_sent < cue["cut_at_byte"] and cue["cut"] != "clean"
    unheard = (
        end.ended not in ("done", "cut", "stalled", "error")
        # What follows bytes that broke the rules was said, but not heard.
        or "garbage_after" in cue
        or "oversize_line" in cue
        # A reset throws away what the sender's kernel still holds: many small writes wait there for their acknowledgement.
        or cue.get("cut") == "reset"
        # Gemini has no end marker: there a body that is not ended was cut, though all of it came.
        or ("cut_at_byte" in cue and _is_gemini(row))
        # An abandoned stream may end in the moment in which its upstream does.
        or left
    )
    return Told(_said(row, cue), whole=whole, exact=not unheard)


def _said(row: Answered, cue: dict[str, Any]) -> list[Part]:
    """In the sim's order: first it thinks, then it speaks, then it calls."""
    assert row.end is not None
    end, parts = row.end, []
    if end.reasoning and end.reasoning[0]:
        parts.append(Part("reasoning", end.reasoning[0]))
    parts += only_text("".join(end.text))
    for made, asked in zip(*end.tool_calls, cue.get("tool_calls", ()), strict=False) if end.tool_calls else ():
        words = made["arguments"]
        if _is_gemini(row):
            # There a call is sent as a value, with its last piece: before that, it is none.
            if words != json.dumps(asked["arguments"], ensure_ascii=False):
                break
            words = json.dumps(asked["arguments"], ensure_ascii=False, separators=(",", ":"))
        parts.append(Part("call", words, made["id"], made["name"]))
    return parts


def _is_gemini(row: Answered) -> bool:
    return "x-goog-api-key" in row.request.headers
