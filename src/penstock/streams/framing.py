"""Framing: the ids of the blocks in which one kind of client sees a stream (see `penstock.wire.position`)."""

from __future__ import annotations

import functools
from typing import NamedTuple, get_args

from penstock.dialects import DIALECTS
from penstock.streams.delivery import Delivery

_DELIVERIES: tuple[Delivery, ...] = get_args(Delivery)
_ALIKE = (("native", "stream"), ("openai-chat", "stream"))
"""Renderings that tell the same facts in as many blocks."""


class Format(NamedTuple):
    """What a client sees: a dialect, with or without the usage, in pieces or in whole parts."""

    dialect: str
    include_usage: bool = False
    delivery: Delivery = "stream"


@functools.cache
def home(dialect: str, delivery: Delivery) -> Format:
    """The rendering that a stream is asked for in: one object for all streams that are asked so."""
    return Format(dialect, delivery=delivery)


UNSEEN = Format("whole")
"""Of who waits for the end, and will then make one answer of what is kept: nothing is rendered."""

MARK = 10**7
"""What the parts of a rendering that is not the stream's own begin with is a multiple of this."""


def part_mark(format: Format, home: Format) -> int:
    """What a part's number begins with in `format`: nothing in the rendering that the stream was asked for in.

    Nor in native and OpenAI's chat for one another: they tell the same facts in blocks of the same number.
    """
    asked, wanted = (home.dialect, home.delivery), (format.dialect, format.delivery)
    if asked == wanted or (asked in _ALIKE and wanted in _ALIKE):
        return 0
    return (1 + list(DIALECTS).index(format.dialect) * len(_DELIVERIES) + _DELIVERIES.index(format.delivery)) * MARK


def blocks_seen(part: int, mark: int) -> int:
    """How many blocks a position's `part` says were seen, if it was taken in the rendering of `mark`; else 0."""
    return part % MARK if part - part % MARK == mark else 0


class Group(NamedTuple):
    """Where a rendering stands: all is told up to entry `whole`, and `told` blocks of those that follow.

    What an encoder holds back is told with a later entry. Entries from the one that was held back to the one with which
    nothing is any more are one group: its blocks are the parts of its first entry, and the last one tells its last entry
    whole. So whoever resumes in another rendering, after a part or after an entry, misses nothing that was held back here.
    """

    whole: int
    told: int


def frame(head: bytes, group: Group, offset: int, blocks: list[bytes], mark: int, seen: int, *, held: bool) -> bytes:
    """The blocks of entry `offset` with their ids, less those of the group's first `seen`. Several are parts, from 1.

    An only block has no part. Whoever has seen a part of such an entry saw it in another rendering, where it was several:
    the block is sent whole, for a word twice is better than a word lost.
    """
    number, final = group.told, len(blocks) - (not held)
    first = group.whole + 1
    framed: list[bytes] = []
    for place, block in enumerate(blocks):
        number += 1
        if place == final and (number == 1 or offset > first):
            framed.append(b"%b%d\n%b" % (head, offset, block))
        elif number > seen:
            framed.append(b"%b%d.%d\n%b" % (head, first, mark + number, block))
    return b"".join(framed)
