"""Pace: whether an upstream that answers is too slow to be worth waiting for.

It counts over whole windows: an answer may rest for a while, as long as it makes up for it within the window.
"""

from __future__ import annotations


class Pace:
    """At least `least` tokens a second, over `window` seconds. 0 = any pace will do."""

    def __init__(self, least: float, window: float) -> None:
        self._least = least
        self._window = window
        self._since = 0.0
        self._tokens = 0

    def begin(self, now: float, tokens: int) -> None:
        """Count from here: the first token came, or we ourselves had made the upstream wait."""
        self._since, self._tokens = now, tokens

    def too_slow(self, now: float, tokens: int) -> bool:
        """`tokens` have come by `now`, in all. At the end of each window: were they too few?"""
        if not self._least or now < self._since + self._window:
            return False
        few = tokens - self._tokens < self._least * (now - self._since)
        self.begin(now, tokens)
        return few


_ANY = Pace(0, 0)
"""Of all answers that no pace is asked of: it keeps nothing that counts."""


def pace(least: float, window: float) -> Pace:
    """A pace of one's own, if there is one to keep."""
    return Pace(least, window) if least else _ANY
