"""Positions: where a reader stands in a stream, as it is written in an SSE `id:` field.

    epoch:offset          after the whole entry `offset`
    epoch:offset.part     after the block `part` (from 1) of the entry `offset`

Offsets are contiguous from 1 within an epoch; 0 is before the first. One log entry may become several SSE blocks in
some dialect: then each carries its part, the last one too. An entry that is one block carries none. So a position with a
part belongs to its rendering, which the part's number tells too; one without is understood by all.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.exceptions import InvalidPosition

_POSITION = re.compile(r"([a-z0-9]{1,32}):(?:0|([1-9][0-9]{0,14})(?:\.([1-9][0-9]{0,9}))?)")


class Position(NamedTuple):
    """A place in a stream: everything up to and including it has been seen."""

    epoch: str
    offset: int
    part: int = 0
    """Blocks of entry `offset` that were seen; 0 = the whole entry."""

    def __str__(self) -> str:
        if self.part:
            return f"{self.epoch}:{self.offset}.{self.part}"
        return f"{self.epoch}:{self.offset}"


def parse_position(text: str) -> Position:
    """Read `epoch:offset` or `epoch:offset.part`. Raises InvalidPosition for anything else."""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidPosition(text)
    epoch, offset, part = match.groups()
    return Position(epoch, int(offset or 0), int(part or 0))
