"""A history checker: judges what readers got of one stream against what its upstream really sent.

It knows positions and ends, and nothing of how Penstock makes them. What it is given:

- *readings*: every block that one reader got, in order, over all its connections;
- *truth*: the answer that the stream is made of, from the simulated model's truth file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from tests.support.client import Block
from tests.support.dialects import READ
from tests.support.said import Part, differs, words_of

Delivery = Literal["stream", "tools", "buffer"]
"""Every piece as it comes; each call in one piece; the whole answer at its end, and only if it ended well."""

RENDERING = 10**7
"""The number of a part less this tells which block it is; what is above tells the rendering."""


class Reading(NamedTuple):
    """What one reader got, all its connections together."""

    dialect: str
    blocks: Sequence[Block]
    whole: bool = True
    """It read until it was told that this is all."""
    delivery: Delivery = "stream"


class Told(NamedTuple):
    """What the upstream said, or several of them one after the other."""

    said: Sequence[Part]
    whole: bool
    """It ended its answer, and said so."""
    exact: bool = True
    """All that was `said` must have arrived. Not so when Penstock itself closed the upstream."""

    @property
    def text(self) -> str:
        return words_of(self.said, "text")


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
        for what in (*_positions(reading, history.source), *_end(reading, history), *_said(reading, history))
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
            if reading.dialect == source and reading.delivery == "stream" and at[0] != before[0] + 1:
                yield f"gap: {block.id} after {before}"
        before = at


def _end(reading: Reading, history: History) -> Iterator[str]:
    """Exactly one end, the last block, and a true one."""
    spoken, blocks = READ[reading.dialect], reading.blocks
    ends = [(number, end) for number, block in enumerate(blocks) for end in spoken.endings_of([block])]
    if spoken.open_ended:
        ends = ends[-1:] if reading.whole else []
    if len(ends) > 1:
        yield f"{len(ends)} ends"
    if reading.whole and not ends:
        yield "no end"
    elif reading.whole and (not spoken.over(blocks) or ends[-1][0] != len(blocks) - 1 - spoken.marked):
        yield f"after the end: {blocks[ends[-1][0] + 1 :]}"
    for number, end in ends:
        if any(spoken.said([block]) for block in blocks[number + 1 :]):
            yield "text after the end"
        if end == "good" and not history.truth.whole:
            yield "a false end: the upstream's answer was not whole"
        if end == "bad" and history.truth.whole and history.truth.exact:
            yield "a false failure: the upstream's answer was whole"
        if end == "cancelled" and not history.cancelled:
            yield "a cancel that nobody asked for"


def _said(reading: Reading, history: History) -> Iterator[str]:
    """What was read is what was said, as far as it was read: every part, in order, and no more blocks than there must be."""
    spoken, truth = READ[reading.dialect], history.truth
    told, ends = spoken.said(reading.blocks), spoken.endings_of(reading.blocks)
    for number, part in enumerate(told):
        if number >= len(truth.said):
            if part.kind == "call" and not part.words and not truth.whole:
                return  # cut where its name was said, and nothing else
            yield f"other {part.kind} from its beginning on: {part.words[:40]!r}, and nothing like it was said"
            return
        wrong = differs(part, truth.said[number], last=number == len(told) - 1, values=spoken.values)
        if wrong is not None:
            yield wrong
            return
        pieces = reading.delivery == "stream" or (reading.delivery == "tools" and part.kind != "call")
        if not pieces and part.blocks > 1:
            yield f"a {part.kind} in {part.blocks} pieces, though it was to be whole"
    if ends and "good" not in ends:
        # Whole parts are told of answers that ended well; calls too, where they are to be whole.
        early = [
            part
            for part in told
            if reading.delivery == "buffer" or (reading.delivery == "tools" and part.kind == "call")
        ]
        if early:
            yield f"a part of an answer that did not end well: {early[0]}"
    if "good" in ends or ("bad" in ends and truth.exact and reading.delivery != "buffer"):
        yield from _missing(told, _due(reading, truth, good="good" in ends))


def _due(reading: Reading, truth: Told, *, good: bool) -> Sequence[Part]:
    """What a reader must have been told. Who is told whole calls only is told none of an answer that did not end well."""
    said = truth.said
    if good or not said or said[-1].kind != "call":
        return said
    if reading.delivery == "tools":
        return [part for part in said if part.kind != "call"]
    # That a call is whole is known from what follows it, or where it must be an object, from its last bracket.
    return said[:-1] if READ[reading.dialect].values and said[-1].value is None else said


def _missing(told: Sequence[Part], due: Sequence[Part]) -> Iterator[str]:
    for number, part in enumerate(due):
        got = told[number] if number < len(told) else Part(part.kind, "")
        if number >= len(told) or (len(got.words) < len(part.words) and (got.value is None or got.value != part.value)):
            yield f"{part.kind} is missing: {len(got.words)} of {len(part.words)} characters"


def _agreement(history: History) -> Iterator[str]:
    """Readers of one rendering got the same blocks; all whole readers the same end, and the same words."""
    # Not at the same offset: where a dialect's last block is the log's own, it stands one before the end of the others.
    whole = [(reading, READ[reading.dialect]) for reading in history.readings if reading.whole]
    ends = {tuple(spoken.endings_of(reading.blocks)) for reading, spoken in whole}
    if len(ends) > 1:
        yield f"readers were told different ends: {sorted(ends)}"
    # Buffered, an answer that did not end well has no words; and what is told of a call that was cut is each dialect's own.
    words = {
        tuple(part.words for part in spoken.said(reading.blocks) if part.kind != "call")
        for reading, spoken in whole
        if reading.delivery != "buffer"
    }
    if len(words) > 1:
        yield f"readers were told different words: {[sum(map(len, one)) for one in words]} characters"
    for rendering in {(reading.dialect, reading.delivery) for reading in history.readings}:
        same = [reading for reading in history.readings if (reading.dialect, reading.delivery) == rendering]
        same.sort(key=lambda reading: reading.whole)
        longest = same[-1].blocks
        for reading in same[:-1]:
            if list(reading.blocks) != list(longest if reading.whole else longest[: len(reading.blocks)]):
                yield f"two {rendering[0]} readers got different blocks"
