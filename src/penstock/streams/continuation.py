"""Continuation: one answer by several upstreams, each going on where the one before broke off.

A route may ask for it. Its logs are native, whatever its upstreams speak, so that a client of any dialect sees one answer;
where another upstream took over, a `segment` event says so. Only plain text is continued: what is half a tool call, or has
been refused, or has come to its finish, is not.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.dialects import DIALECTS
from penstock.dialects.base import Decoder, Request
from penstock.dialects.native import encode_event
from penstock.dialects.prefill import prefilled
from penstock.streams.stream import Stream
from penstock.wire.events import Done, Error, Reasoning, Segment, Start, Token, Usage


class Continuation:
    """One stream's. `push` takes the blocks of whichever attempt has it."""

    def __init__(self, stream: Stream, request: Request, append: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._request = request
        self._append = append
        self._decoder: Decoder | None = None
        self._said: list[str] = []
        self._plain = request.choices == 1
        self._segment = 0
        self.untold: Error | None = None
        """What an attempt's answer holds and events can't tell: its end, if it would be a good one."""
        self._cut = ""  # white space at the end of what was said, which prefills may not end with

    def begin(self, dialect: str) -> None:
        """An attempt that speaks `dialect` has its first token."""
        self._segment += 1
        self._decoder = DIALECTS[dialect].decoder(self._stream.about)
        if self._segment == 1:
            self._append(encode_event(Start(self._stream.id, self._stream.about.model)))
        else:
            self._append(encode_event(Segment(self._segment)))

    def push(self, block: bytes) -> None:
        """One block of the attempt's. Raises ProtocolError."""
        assert self._decoder is not None
        for event in self._decoder.decode(block):
            match event:
                case Error():
                    self.untold = event
                    continue
                case Start() | Usage() | Done() | Segment():
                    continue  # all of these are ours to say
                case Token(text, 0):
                    told = self._new(text)
                    if told:
                        self._said.append(told)
                        self._append(encode_event(Token(told)))
                    continue
                case Reasoning():
                    pass
                case _:
                    self._plain = False
            self._append(encode_event(event))

    def next_request(self, tokens: int) -> Request | None:
        """What to ask the next upstream, after `tokens` of the answer; None if this answer can't be continued."""
        text = "".join(self._said)
        self._cut = text[len(text.rstrip()) :]
        text = text.rstrip()
        return prefilled(self._request, text, tokens) if text and self._plain else None

    def _new(self, text: str) -> str:
        """A piece of text, less the white space that was shown already."""
        if not self._cut:
            return text
        shared = 0
        while shared < min(len(text), len(self._cut)) and text[shared] == self._cut[shared]:
            shared += 1
        self._cut = self._cut[shared:] if shared == len(text) else ""
        return text[shared:]
