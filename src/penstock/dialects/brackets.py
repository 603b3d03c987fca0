"""Brackets of JSON that comes in pieces: where a value that has begun with one comes to its end.

Each piece is looked at once, so a call whose arguments come in a million pieces costs no more than one that comes whole.
"""

from __future__ import annotations

import re

_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class Brackets:
    """Of one value. Whether it is JSON at all is another matter: what closes too early or never is none."""

    __slots__ = ("_depth", "_escaped", "_quoted", "closed")

    def __init__(self) -> None:
        self.closed = False
        """The bracket that closes the first one has come."""
        self._depth = 0
        self._quoted = False
        self._escaped = False
        """The last piece ended with a backslash."""

    def feed(self, piece: str) -> bool:
        """The next piece; `closed`, after it."""
        if self.closed or not piece:
            return self.closed
        start, self._escaped = int(self._escaped), False
        for found in _MARKS.finditer(piece, start):
            mark = found[0]
            if mark[0] == "\\":
                self._escaped = len(mark) == 1
            elif mark == '"':
                self._quoted = not self._quoted
            elif self._quoted:
                pass
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self.closed = True
                    break
        return self.closed
