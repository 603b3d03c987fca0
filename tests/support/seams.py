"""Seams: what one answer is that several upstreams gave, each going on where the one before broke off.

The rule, stated here once more and on its own: who goes on is asked with everything that was shown as the beginning of its
answer, less the white space at the end, for which models have no use there. What it says first may be that white space
again, all or some of it: that much is shown once. Everything else is shown as it was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.sim.truth import Answered
from tests.support.client import Block
from tests.support.dialects import READ
from tests.support.history import Told
from tests.support.said import Part, merged, only_text, words_of


class Segment(NamedTuple):
    """What one of the upstreams said."""

    upstream: str
    truth: Told
    row: Answered | None


def shown_of(before: str, said: str) -> str:
    """What is shown of the text that was `said` after the text `before`."""
    blank = before[len(before.rstrip()) :]
    again = next((n for n in range(len(blank), 0, -1) if said.startswith(blank[:n])), 0)
    return said[again:]


def sewn(segments: Sequence[Segment], native: Sequence[Block], *, gated: bool = False) -> tuple[Told, list[str]]:
    """The answer of all segments, and what is wrong at their seams. `native` is what a native reader got of the stream.

    That reader knows where the seams are: `segment` events tell it, but for those that a gate held back.
    """
    told, found = _by_segment(native), list[str]()
    numbers = [block.json["number"] for block in native if block.event == "segment"]
    true = list(range(2, len(segments) + 1))
    if numbers != (true[: len(numbers)] if gated else true):
        found.append(f"segments {numbers} were told, not {true}")
    parts: list[Part] = []
    text = ""
    for number, segment in enumerate(segments):
        full, last = shown_of(text, segment.truth.text), number == len(segments) - 1
        heard = full if last else None
        if heard is None:
            asked = beginning_of(segments[number + 1].row)
            known = words_of(told[number], "text") if number + 1 < len(told) else None
            heard = _heard(text, full, asked, known, exact=segment.truth.exact)
        if heard is None:
            asked_by = segments[number + 1].upstream
            found.append(f"{asked_by} was asked to go on after {asked!r}, but {text!r} and {full!r} were said")
            heard = full
        said = segment.truth.said
        thought = words_of(said, "reasoning")
        if not last and not heard and not segment.truth.exact and number + 1 < len(told):
            # It broke off in its thoughts: the reader knows where.
            known = words_of(told[number], "reasoning")
            thought = known if thought.startswith(known) else thought
        parts += [Part("reasoning", thought)] if thought else []
        parts += only_text(heard)
        calls = [part for part in said if part.kind == "call"]
        if last:
            parts += calls
        elif calls and segment.truth.exact:
            found.append(f"{segments[number + 1].upstream} was asked to go on after a call: {calls}")
        text += heard
    whole, exact = (segments[-1].truth.whole, segments[-1].truth.exact) if segments else (False, True)
    return Told(merged(parts), whole=whole, exact=exact), found


def beginning_of(row: Answered | None) -> str | None:
    """The beginning of the answer that a request ends with; None if it has none."""
    body: dict[str, Any] = row.request.body if row is not None else {}
    turns = body.get("messages") or body.get("contents") or body.get("input") or [{}]
    last = turns[-1] if isinstance(turns, list) else {}
    if last.get("role") not in ("assistant", "model"):
        return None
    content = last.get("content") or last.get("parts") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _heard(before: str, full: str, asked: str | None, known: str | None, *, exact: bool) -> str | None:
    """How much of a segment's text was shown: all of it, or up to where the next one was asked to go on.

    None: that can't be. `known` is what a reader says that it was.
    """
    if asked is None:
        return None
    if exact:
        good = (before + full).rstrip() == asked and known in (None, full)
        return full if good else None
    # The white space after it may have been shown, or some of it: the reader knows.
    rest = (before + full)[len(asked) :]
    longest = full[: len(full) - len(rest.lstrip())]
    heard = longest if known is None else known
    return heard if longest.startswith(heard) and (before + heard).rstrip() == asked else None


def _by_segment(native: Sequence[Block]) -> list[list[Part]]:
    rows: list[list[Block]] = [[]]
    for block in native:
        if block.event == "segment":
            rows.append([])
        rows[-1].append(block)
    return [READ["native"].said(row) for row in rows]
