"""Verdicts: what the gate of the stories was shown of each answer, and whether anybody saw more than it let pass.

A gate is shown an answer as one text: its reasoning, its words, and each call's name and arguments, on lines of their own in
the order in which they began. The answers of stories say these one after the other, so what is new stands at the text's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.support.client import Block
from tests.support.dialects import READ
from tests.support.gates import REFUSED_WORD
from tests.support.history import History, Reading, Told
from tests.support.said import Part, words_of


class Verdict(msgspec.Struct, frozen=True):
    """One check. See `tests.support.gates`."""

    stream: str
    length: int
    """Of everything so far."""
    new: str
    final: bool
    refused: bool


class Verdicts:
    """The gate's file, followed as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self._of: dict[str, list[Verdict]] = {}
        self._decode = msgspec.json.Decoder(Verdict).decode

    def of(self, stream_id: str) -> list[Verdict]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for verdict in map(self._decode, lines):
            self._of.setdefault(verdict.stream, []).append(verdict)
        return self._of.get(stream_id, [])

    def forget(self, stream_id: str) -> None:
        """It was judged."""
        self._of.pop(stream_id, None)

    def close(self) -> None:
        self._file.close()


def is_refused(verdicts: Sequence[Verdict]) -> bool:
    return bool(verdicts) and verdicts[-1].refused


def behind_a_gate(truth: Told, verdicts: Sequence[Verdict]) -> Told:
    """What readers may be told of an answer: of one that was refused, or that never came to its last check, only a part."""
    return truth if truth.whole and not is_refused(verdicts) else truth._replace(whole=False, exact=False)


def judge_gate(verdicts: Sequence[Verdict], truth: Told, history: History, outcome: str | None) -> list[str]:
    """Every broken promise of a gate. `truth` is what was said behind it, `history` what came of that."""
    lengths = [verdict.length for verdict in verdicts if not verdict.refused]
    passed = lengths[-1] if lengths else 0
    found = [*_checks(verdicts, truth), *_outcome(verdicts, truth, history, outcome)]
    # While a check is under way the answer may end: what it lets pass then comes too late.
    before_last = passed if is_refused(verdicts) else (lengths[-2] if len(lengths) > 1 else 0)
    for reading in history.readings:
        spoken = READ[reading.dialect]
        shown = len(as_text(_as_said(spoken.said(reading.blocks), truth.said)))
        if shown > passed:
            found.append(f"a {reading.dialect} reader was shown {shown} characters, and {passed} had passed")
        if reading.whole and reading.delivery == "stream" and shown < before_last and not spoken.values:
            found.append(f"a {reading.dialect} reader was shown {shown} characters of {before_last} that had passed")
        found += [f"the refused word was shown: {block}" for block in _with_the_word(reading)]
    return found


def as_text(said: Sequence[Part]) -> str:
    """What a gate is shown of an answer. See the module."""
    voices = [words_of(said, "reasoning"), words_of(said, "text")]
    voices += [voice for part in said if part.kind == "call" for voice in (part.name, part.words)]
    return "\n".join(voice for voice in voices if voice)


def _as_said(told: Sequence[Part], true: Sequence[Part]) -> list[Part]:
    """What has been told, with calls that are told as values as they were said."""
    pairs = zip(told, true, strict=False)
    return [b if a.value is not None and a.value == b.value else a for a, b in pairs]


def _checks(verdicts: Sequence[Verdict], truth: Told) -> Iterator[str]:
    """The gate was shown what was said, all of it in order, and nothing after its refusal."""
    shown, whole = "", as_text(truth.said)
    for number, verdict in enumerate(verdicts):
        # What is new may begin on a line of its own.
        between = verdict.length - len(shown) - len(verdict.new)
        if between not in (0, 1):
            yield f"check {number} was of {verdict.length} characters, {len(verdict.new)} of them new after {len(shown)}"
        shown += "\n" * between + verdict.new
        if (verdict.refused or verdict.final) and number < len(verdicts) - 1:
            yield f"check {number} was to be the last of {len(verdicts)}"
    if not whole.startswith(shown):
        yield f"the gate was shown other words: {shown[-60:]!r}"


def _outcome(verdicts: Sequence[Verdict], truth: Told, history: History, outcome: str | None) -> Iterator[str]:
    refused = is_refused(verdicts)
    if outcome == "refused" and not refused:
        yield "refused, but not by the gate"
    if not truth.whole or not truth.exact or history.cancelled:
        return  # then the end may have come while the gate was still looking
    if refused != (REFUSED_WORD in words_of(truth.said)):
        yield "the gate was not shown all of it"
    if refused and outcome != "refused":
        yield f"the gate refused it, and it ended as {outcome}"
    if not refused and (outcome in ("upstream_error", "refused") or not verdicts or not verdicts[-1].final):
        yield f"a whole answer ended as {outcome}, though the gate let it pass: {verdicts[-1:]}"


def _with_the_word(reading: Reading) -> list[Block]:
    return [block for block in reading.blocks if REFUSED_WORD in block.data]
