"""The truth file, followed as it grows: for runs too long to read it from the start again and again."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import msgspec

from penstock.sim.truth import Answered, Asked, Closed, End, Line, Opened

_decode = msgspec.json.Decoder(Line).decode
_PROMPT = re.compile(r"story-\d+-")


class Ledger:
    """What the simulated model was asked and what it sent, by the prompt's `story-<number>-`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self._asked: dict[str, list[Asked]] = {}
        self._ends: dict[int, End] = {}
        self.open = 0
        """Connections that are open."""

    def read(self) -> None:
        """Take what was written since."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in map(_decode, lines):
            match line:
                case Asked():
                    found = _PROMPT.search(line.prompt)
                    if found is not None:
                        self._asked.setdefault(found[0], []).append(line)
                case End():
                    self._ends[line.id] = line
                case Opened():
                    self.open += 1
                case Closed():
                    self.open -= 1

    async def settled(self, prompt: str, seconds: float = 20.0) -> list[Answered]:
        """Every request with that prompt and the end of its answer, in order. Raises TimeoutError if one does not end."""
        until = time.monotonic() + seconds
        while True:
            self.read()
            rows = [Answered(row, self._ends.get(row.id)) for row in self._asked.get(prompt, [])]
            endless = [row.request.id for row in rows if row.end is None]
            if not endless:
                return rows
            if time.monotonic() > until:
                raise TimeoutError(f"the upstream's requests {endless} are not over after {seconds:g} s")
            await asyncio.sleep(0.02)

    def forget(self, prompt: str) -> None:
        """It was judged."""
        for row in self._asked.pop(prompt, []):
            self._ends.pop(row.id, None)

    def close(self) -> None:
        self._file.close()
