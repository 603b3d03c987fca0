"""A history checker: judges what readers got of one stream against what its upstream really sent.

It knows positions and ends, and nothing of how Penstock makes them. What it is given:

- *readings*: every block that one reader got, in order, over all its connections;
- *truth*: the answer that the stream is made of, from the simulated model's truth file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.support.client import Block
from tests.support.dialects import READ

RENDERING = 10**7
"""The number of a part less this tells which block it is; what is above tells the rendering."""


class Reading(NamedTuple):
    """What one reader got, all its connections together."""

    dialect: str
    blocks: Sequence[Block]
    whole: bool = True
    """It read until it was told that this is all."""


class Told(NamedTuple):
    """What the upstream said."""

    text: str
    whole: bool
    """It ended its answer, and said so."""
    exact: bool = True
    """All of `text` must have arrived. Not so when Penstock itself closed the upstream."""


class History(NamedTuple):
    """One stream. `source` is the dialect of its log: there every offset is one block."""

    source: str
    readings: Sequence[Reading]
    truth: Told
    cancelled: bool = False
    """Somebody asked for a cancel: then it may end as cancelled, whatever the upstream did."""


def judge(history: History) -> list[str]:
    """Every broken promise, in words; none = a good history."""
    found = [
        f"{reading.dialect} reader {number}: {what}"
        for number, reading in enumerate(history.readings)
        for what in (*_positions(reading, history.source), *_end(reading, history), *_text(reading, history))
    ]
    return [*found, *_agreement(history)]


def _positions(reading: Reading, source: str) -> Iterator[str]:
    """Order, duplicates and gaps of the ids."""
    before, epoch = (0, 0), None
    for block in reading.blocks:
        head, _, place = block.id.partition(":")
        offset, _, part = place.partition(".")
        at = (int(offset or 0), int(part or 0) % RENDERING)
        if not place:
            yield f"a block without a position: {block}"
            continue
        if epoch not in (None, head):
            yield f"another epoch at {block.id}"
        epoch = head
        if at == before:
            yield f"duplicate: {block.id}"
        elif at < before:
            yield f"order: {block.id} after {before}"
        elif at[0] == before[0]:
            if at[1] != before[1] + 1 or not before[1]:
                yield f"gap: part {block.id} after {before}"
        else:
            if at[1] > 1:
                yield f"gap: {block.id} is no first part"
            if reading.dialect == source and at[0] != before[0] + 1:
                yield f"gap: {block.id} after {before}"
        before = at


def _end(reading: Reading, history: History) -> Iterator[str]:
    """Exactly one end, the last block, and a true one."""
    spoken, blocks = READ[reading.dialect], reading.blocks
    ends = [(number, end) for number, block in enumerate(blocks) for end in spoken.endings_of([block])]
    if len(ends) > 1:
        yield f"{len(ends)} ends"
    if reading.whole and not ends:
        yield "no end"
    elif reading.whole and (not spoken.over(blocks) or ends[-1][0] != len(blocks) - 1 - spoken.marked):
        yield f"after the end: {blocks[ends[-1][0] + 1 :]}"
    for number, end in ends:
        if any(spoken.text_of([block]) for block in blocks[number + 1 :]):
            yield "text after the end"
        if end == "good" and not history.truth.whole:
            yield "a false end: the upstream's answer was not whole"
        if end == "bad" and history.truth.whole and history.truth.exact:
            yield "a false failure: the upstream's answer was whole"
        if end == "cancelled" and not history.cancelled:
            yield "a cancel that nobody asked for"


def _text(reading: Reading, history: History) -> Iterator[str]:
    """What was read is what was said, as far as it was read."""
    text, truth = READ[reading.dialect].text_of(reading.blocks), history.truth
    ends = READ[reading.dialect].endings_of(reading.blocks)
    if not truth.text.startswith(text):
        at = next((n for n, (a, b) in enumerate(zip(text, truth.text, strict=False)) if a != b), len(truth.text))
        yield f"other text from character {at} on: {text[at : at + 40]!r}, not {truth.text[at : at + 40]!r}"
    elif len(text) < len(truth.text) and ("good" in ends or ("bad" in ends and truth.exact)):
        yield f"text is missing: {len(text)} of {len(truth.text)} characters"


def _agreement(history: History) -> Iterator[str]:
    """Readers of one dialect got the same blocks, and all whole readers the same end."""
    # Not at the same offset: where a dialect's last block is the log's own, it stands one before the end of the others.
    ends = {tuple(READ[reading.dialect].endings_of(reading.blocks)) for reading in history.readings if reading.whole}
    if len(ends) > 1:
        yield f"readers were told different ends: {sorted(ends)}"
    for dialect in {reading.dialect for reading in history.readings}:
        same = sorted((reading for reading in history.readings if reading.dialect == dialect), key=lambda r: r.whole)
        longest = same[-1].blocks
        for reading in same[:-1]:
            if list(reading.blocks) != list(longest if reading.whole else longest[: len(reading.blocks)]):
                yield f"two {dialect} readers got different blocks"
