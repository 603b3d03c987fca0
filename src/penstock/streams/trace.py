"""Traces: the flight recorder of one stream.

A mark for everything that happened to it, from the request to the end, but nothing per token: attempts, the first token,
long silences, readers that came and went. Times are seconds since the request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_MARKS = 256
"""A stream with more readers coming and going than this keeps its first marks, and its last one."""


class Mark(NamedTuple):
    """Something that happened, `at` seconds after the request."""

    at: float
    what: str
    facts: dict[str, Any]


class Trace:
    """See the module."""

    __slots__ = ("began", "left_out", "marks")

    def __init__(self, began: float) -> None:
        self.began = began
        self.marks: list[Mark] = []
        self.left_out = 0

    def note(self, now: float, what: str, **facts: Any) -> dict[str, Any]:
        """Write down `what` happened at `now` (monotonic seconds). Facts that are None are left out. Returns the others."""
        told = {name: fact for name, fact in facts.items() if fact is not None}
        self.add(now, what, told)
        return told

    def add(self, now: float, what: str, facts: dict[str, Any]) -> None:
        """The same with facts that are kept elsewhere too: every live stream has such marks."""
        mark = Mark(max(now - self.began, 0.0), what, facts)
        if len(self.marks) < MAX_MARKS or what == "ended":
            self.marks.append(mark)
        else:
            self.left_out += 1
