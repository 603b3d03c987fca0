"""Reads one streamed answer as cheaply as can be, and says everything that is wrong with it. Pure: bytes and times in.

An answer is right when its status is 200, every token arrived in the order it was sent (the stamps ascend), there are
as many as were asked for, the ids (where they are promised) are contiguous, and one `[DONE]` comes last.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from bench.histogram import Histogram


class Spoken(NamedTuple):
    """What the client asks in, and how it knows tokens and the end."""

    path: str
    token: bytes
    """What stands before a token's text."""
    end: bytes


SPOKEN = {
    "chat": Spoken("/v1/chat/completions", b'"content":', b"data: [DONE]"),
    "messages": Spoken("/v1/messages", b'"text":', b"event: message_stop"),
}


class Tally:
    """What all streams of one run share: counts, and the latencies (ns) recorded while `recording` is on."""

    __slots__ = ("events", "failures", "first", "latency", "recording", "sample", "statuses")

    def __init__(self) -> None:
        self.events = 0
        self.latency = Histogram()
        self.first = Histogram()
        """Request sent until first token received, of every stream."""
        self.recording = False
        self.failures: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.sample = ""
        """The first failure's bytes, for a person to look at."""


class Dechunker:
    """Takes HTTP/1.1 chunked framing off a byte stream. `ended` after the last chunk."""

    __slots__ = ("_left", "_rest", "ended")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        """Bytes of the current chunk still to come, its closing CRLF included."""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The body bytes within `data`. Raises ValueError when the framing is broken."""
        if not self._rest and not self._left:
            end = data.find(b"\r\n")
            if end > 0 and (size := int(data[:end], 16)) and len(data) == end + size + 4:
                return data[end + 2 : -2]  # the usual case: exactly one chunk
        body = []
        data = self._rest + data if self._rest else data
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                take = min(self._left, len(data) - at)
                body.append(data[at : at + min(take, max(0, self._left - 2))])
                self._left -= take
                at += take
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            size = int(data[at:end], 16)
            at = end + 2
            if size:
                self._left = size + 2
            else:
                self.ended = True
        self._rest = b"" if self.ended else data[at:]
        return b"".join(body)


class Answer:
    """One stream under check. Feed it what the socket gives; `over` when nothing more is expected."""

    __slots__ = (
        "_chunks", "_done", "_end", "_epoch", "_head", "_last", "_mark", "_offset", "_part", "_rest",
        "bytes", "expected", "failure", "ids", "over", "sent_ns", "status", "tally", "tokens",
    )  # fmt: skip

    def __init__(self, tally: Tally, expected: int | None, *, ids: bool = False, spoken: str = "chat") -> None:
        _, self._mark, self._end = SPOKEN[spoken]
        self.tally = tally
        self.expected = expected
        """Tokens asked for; None = endless."""
        self.ids = ids
        self.sent_ns = 0
        self.status = 0
        self.tokens = 0
        self.bytes = 0
        """Bytes of blocks, without HTTP's framing: what a log keeps of them."""
        self.over = False
        self.failure: str | None = None
        self._chunks: Dechunker | None = None
        self._head: bytes | None = b""
        self._rest = b""
        self._last = 0
        self._done = 0
        self._epoch = b""
        self._offset = 0
        self._part = 0

    def feed(self, data: bytes, now: int) -> None:
        """Take what one socket read gave, at `now` (monotonic ns)."""
        if self._head is not None:
            data = self._read_head(data)
            if self.over or not data:
                return
        chunks = self._chunks
        if chunks is not None:
            try:
                data = chunks.feed(data)
            except ValueError:
                self.fail("broken chunked framing", data)
                return
        self.bytes += len(data)
        blocks = (self._rest + data if self._rest else data).split(b"\n\n")
        self._rest = blocks.pop()
        block, mark, past = b"", self._mark, len(self._mark) + 1
        try:
            for block in blocks:
                at = block.find(mark) + past
                if at >= past and block[at - 1] == 34 and 48 <= block[at] <= 57:
                    self._token(int(block[at : block.find(b" ", at)].rstrip(b".")), now)
                else:
                    self._other(block, now)
                if self.ids:
                    self._check_id(block)
        except ValueError:
            self.fail("an unreadable block", block)
        if chunks is not None and chunks.ended:
            self.end()

    def end(self) -> None:
        """The body is complete, or the connection was closed: now everything must have come."""
        if self.over:
            return
        if not self.status:
            self.fail("closed before any status")
        elif not self._done:
            self.fail("no [DONE]")
        elif self.expected is not None and self.tokens != self.expected:
            self.fail("wrong number of tokens", f"{self.tokens} of {self.expected}".encode())
        self.over = True

    def fail(self, cause: str, bytes_seen: bytes = b"") -> None:
        """Note a failure; the first one of a stream counts."""
        if self.failure is None:
            self.failure = cause
            self.tally.failures[cause] += 1
            if not self.tally.sample:
                self.tally.sample = f"{cause}: {bytes_seen[:400].decode('latin-1')}"
        self.over = True

    def _read_head(self, data: bytes) -> bytes:
        head = (self._head or b"") + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head
            return b""
        self._head = None
        self.status = int(head[9:12])
        self.tally.statuses[self.status] += 1
        if self.status != 200:
            self.fail(f"status {self.status}", head)
        elif b"transfer-encoding: chunked" in head[:end].lower():
            self._chunks = Dechunker()
        return head[end + 4 :]

    def _token(self, stamp: int, now: int) -> None:
        if stamp <= self._last:
            self.fail("tokens out of order or twice")
        self._last = stamp
        tally = self.tally
        tally.events += 1
        if tally.recording:
            tally.latency.record(now - stamp)
        if not self.tokens:
            tally.first.record(now - self.sent_ns)
        self.tokens += 1
        if self._done:
            self.fail("a token after [DONE]")

    def _other(self, block: bytes, now: int) -> None:
        if self._end in block:
            self._done += 1
            if self._done > 1:
                self.fail("[DONE] twice")
            return
        spaced = self._mark + b' "'  # JSON written with spaces
        at = block.find(spaced) + len(spaced)
        if at >= len(spaced) and block[at : at + 1].isdigit():
            self._token(int(block[at : block.find(b" ", at)].rstrip(b".")), now)
        elif b'"error"' in block:
            self.fail("error event", block)

    def _check_id(self, block: bytes) -> None:
        at = 4 if block.startswith(b"id: ") else block.find(b"\nid: ") + 5
        if at == 4 and not block.startswith(b"id: "):
            if b"data:" in block:
                self.fail("a block without id", block)
            return
        end = block.find(b"\n", at)
        epoch, _, place = block[at : end if end > 0 else None].partition(b":")
        offset, _, part = place.partition(b".")
        was = (self._epoch or epoch, self._offset, self._part)
        now = (epoch, int(offset), int(part or 0))
        self._epoch, self._offset, self._part = now
        if now not in _successors(*was):
            self.fail("a gap in the ids", f"{was} then {now}".encode())


def _successors(epoch: bytes, offset: int, part: int) -> tuple[tuple[bytes, int, int], ...]:
    """The positions that may follow: the next entry whole or its first part; within an entry, the next or last part."""
    if part:
        return (epoch, offset, part + 1), (epoch, offset, 0)
    return (epoch, offset + 1, 0), (epoch, offset + 1, 1)
