"""The score of an answer: what is written, waited for and broken, in order."""

import itertools
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from penstock.sim.answer import Answer, Piece
from penstock.sim.cue import Cue
from penstock.sim.voices import Speech

_HTML = b"<!doctype html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"
_ODD = b"event: \nid: a\x00b\nretry: soon\nfield: nobody knows\nno colon here\n: a comment\n\n"
_GARBAGE = b'data: {"id":"chatcmpl-\n\n'


class Spoken(msgspec.Struct, gc=False):
    """Write a piece's bytes."""

    block: bytes
    piece: Piece


class Wait(msgspec.Struct, gc=False):
    """Write what is gathered, then wait so many seconds; 0 is one turn of the event loop."""

    seconds: float


class Turn(Enum):
    """What may happen to an answer before its end."""

    STALL = "stall"
    CUT = "cut"
    FAILED = "failed"
    """An error was told in the stream; its end follows."""


Act = Spoken | Wait | Turn | bytes


def streamed(cue: Cue, speech: Speech, answer: Answer) -> Iterator[Act]:
    """The acts of a streamed answer; those after a stall or a cut too, which are never played, but count in a length."""
    dress = _Dress(cue)
    if cue.bom:
        yield b"\xef\xbb\xbf"
    if cue.bad_sse == "html":
        yield _HTML
        return
    yield dress(speech.opening())
    if cue.first_token_delay:
        yield Wait(cue.first_token_delay)
    faults = _faults(cue)
    next_fault = faults[0][0] if faults else -1
    together = cue.coalesce or 1
    waits = cue.pace > 0 or cue.coalesce is not None
    pieces = iter(answer)
    for number in itertools.count():
        if number and waits and number % together == 0:
            yield Wait(cue.pace * together)
        # Only now is the piece taken: a stamp tells when it is written, not when the wait before it began.
        if number == next_fault:
            for act in _happen(faults, number, cue, speech, dress):
                yield act
                if act is Turn.FAILED:
                    return
            next_fault = faults[0][0] if faults else -1
        piece = next(pieces, None)
        if piece is None:
            break
        if number == cue.bad_utf8_after:
            piece = msgspec.structs.replace(piece, text=piece.text + "\ufffd")
        block = dress(speech.piece(piece))
        if number == cue.bad_utf8_after:
            block = b"\xff".join(block.rsplit(b"\\ufffd" if cue.json_style == "escaped" else b"\xef\xbf\xbd", 1))
        if cue.oversize_line is not None and number == cue.oversize_after:
            block = _widen(block, cue.oversize_line)
        yield Spoken(block, piece)
    for act in _happen(faults, None, cue, speech, dress):
        yield act
        if act is Turn.FAILED:
            return
    yield dress(speech.ending())
    if cue.omit_done or cue.cut == "clean":
        return
    yield dress(speech.done())
    if cue.duplicate_done:
        yield dress(speech.done())
    for late in range(cue.late_tokens):
        yield dress(speech.late(late))


def whole(cue: Cue, speech: Speech, answer: Answer) -> tuple[bytes, list[Piece]]:
    """The body of an answer that is not streamed, and its pieces."""
    pieces = list(answer)
    for piece in pieces:
        speech.piece(piece)
    body = speech.whole()
    if cue.garbage_after is not None:
        body = body[: len(body) // 2] + b"<garbage>"
    if cue.bom:
        body = b"\xef\xbb\xbf" + body
    return body, pieces


def _faults(cue: Cue) -> list[tuple[int, str]]:
    """Where something goes wrong, first first."""
    places = {"garbage": cue.garbage_after, "error": cue.error_after, "stall": cue.stall_after, "cut": cue.cut_after}
    return sorted(((after, what) for what, after in places.items() if after is not None), key=lambda fault: fault[0])


def _happen(
    faults: list[tuple[int, str]], number: int | None, cue: Cue, speech: Speech, dress: "_Dress"
) -> Iterator[Act]:
    """The faults due after `number` tokens (None: all that are left), taken off the list."""
    while faults and (number is None or faults[0][0] <= number):
        _, what = faults.pop(0)
        if what == "garbage":
            yield dress(_GARBAGE)
        elif what == "stall":
            yield Turn.STALL
        elif what == "cut":
            yield Turn.CUT
        else:
            yield dress(_error(cue, speech))
            if cue.error_then_done:
                yield dress(speech.done())
            yield Turn.FAILED


def _error(cue: Cue, speech: Speech) -> bytes:
    if isinstance(cue.error_body, str):
        return b"data: " + cue.error_body.encode() + b"\n\n"
    body: dict[str, Any] | None = cue.error_body
    return speech.error(body)


def _widen(block: bytes, size: int) -> bytes:
    """The block with its data line made `size` bytes long by spaces after the JSON."""
    start = block.find(b"data:")
    end = min(at for at in (block.find(b"\n", start), block.find(b"\r", start), len(block)) if at >= 0)
    return block[:end] + b" " * (size - (end - start)) + block[end:]


class _Dress:
    """Changes blocks of a good stream into those asked for: other line ends, or broken framing."""

    def __init__(self, cue: Cue) -> None:
        self._line_end = cue.line_end.encode()
        self._bad = cue.bad_sse
        self.plain = cue.line_end == "\n" and cue.bad_sse is None

    def __call__(self, block: bytes) -> bytes:
        if self.plain or not block:
            return block
        if self._bad == "bare_json":
            block = block.replace(b"data: ", b"")
        elif self._bad == "one_newline":
            block = block.replace(b"\n\n", b"\n")
        elif self._bad == "odd_fields":
            block = _ODD + block
        return block.replace(b"\n", self._line_end)
