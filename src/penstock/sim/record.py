"""Writes the truth file: what the sim was asked, what it really said, and how it ended.

Its reader is `penstock.sim.truth`.
"""

import os
import time
from pathlib import Path

import msgspec


class Record:
    """A JSON Lines file; each line is one write of its own, so that others can read along while the sim runs."""

    def __init__(self, path: Path | None = None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = None if path is None else os.open(path, flags, 0o644)
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    @property
    def kept(self) -> bool:
        """Whether there is a file; if not, nobody need remember what was said."""
        return self._file is not None

    def write(self, kind: str, **facts: object) -> None:
        """Writes one line, stamped with this machine's `time.monotonic()`."""
        if self._file is None:
            return
        line = self._encoder.encode({"type": kind, "at": time.monotonic(), **facts}) + b"\n"
        while line:
            line = line[os.write(self._file, line) :]

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
