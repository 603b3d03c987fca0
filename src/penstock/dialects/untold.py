"""What an answer holds that only clients of its own dialect can be told: an image, a code that ran, a call of another kind.

Events have no words for it. It must not be lost without a word, least of all where nothing else came: that would look like
a good empty answer. So the decoder that met it gives an error in the place of the last `Finish`, and whoever renders the
log in another dialect ends it with that. What was said stays said.
"""

from __future__ import annotations

from penstock.wire.events import Error, Finish

_MOST_NAMES = 5


class Untold:
    """Of one answer. Kept by its decoder."""

    __slots__ = ("_dialect", "_parts", "_works", "said")

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._parts: dict[str, None] = {}
        self._works: dict[str, None] = {}
        self.said = False
        """Something was said that every dialect has words for: text or calls. Thoughts are no answer."""

    def part(self, name: str) -> None:
        """`name` is part of the answer: without it, it is another one."""
        if len(self._parts) < _MOST_NAMES:
            self._parts[name[:64]] = None

    def work(self, name: str) -> None:
        """`name` is what the provider did on the way: not missed, unless it is all there was."""
        if len(self._works) < _MOST_NAMES:
            self._works[name[:64]] = None

    def end(self, finish: Finish) -> Finish | Error:
        """How the answer ends for those who can't be told. A filtered answer was never whole."""
        names: dict[str, None] = {}
        if finish.reason != "content_filter":
            names |= self._parts
        if finish.reason in ("completed", "tool_calls") and not self.said:
            names |= self._works
        if not names:
            return finish
        message = f"the answer holds what only {self._dialect} has words for: {', '.join(names)}"
        return Error("unsupported_translation", message, retryable=False, outcome="upstream_error")
