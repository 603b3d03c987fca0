"""Readers: one position moving along one stream, into one sink.

A reader that is level with the log gets each event as it is appended. When its sink is full it falls behind, and from
then on reads the log at the sink's own pace: the log is the only queue.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from penstock.dialects import DIALECTS
from penstock.exceptions import ProtocolError
from penstock.wire.events import Error

if TYPE_CHECKING:
    from penstock.streams.stream import Stream
    from penstock.streams.view import Cursor, View

BATCH_BYTES = 64 * 1024
"""How much of the log a reader that is behind takes at a time."""

SILENT_READS = 4
"""Reads without a word after which a reader lets others have their turn."""

STUCK_AFTER = 30.0
"""Seconds after which a reader whose sink takes nothing at all is let go: it can resume."""


class Sink(Protocol):
    """Where a reader's bytes go. It tells its reader `drained()` when it can take more, `lost()` when it is gone."""

    full: bool
    """It can take no more now. It may turn full inside `write`, which still takes all of what it was given."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None:
        """All is said: finish what was written, then close in good order."""

    def abort(self) -> None:
        """Close at once: what was written may be lost."""


class Nowhere:
    """A sink for readers that never write."""

    full = True

    def write(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...


NOWHERE = Nowhere()


class Reader:
    """See the module. `offset` and `part` say what was seen, and are exact while the reader is not level."""

    __slots__ = (
        "cursor",
        "ended",
        "is_level",
        "offset",
        "part",
        "progress",
        "sink",
        "stream",
        "view",
        "watched",
        "write",
    )

    def __init__(self, stream: Stream, view: View, sink: Sink, offset: int, part: int) -> None:
        self.stream = stream
        self.view = view
        self.sink = sink
        self.write = sink.write
        self.offset = offset
        self.part = part
        self.cursor: Cursor | None = None
        self.is_level = False
        self.ended = False
        self.progress = 0
        self.watched = False

    def pump(self) -> None:
        """Write from the log until the sink is full, or the reader is level, or all is said.

        A long stretch that says nothing (an encoder holds it back) is gone through in several turns of the event loop.
        """
        stream, log = self.stream, self.stream.log
        silent = 0
        while not self.ended and not self.is_level and not self.sink.full:
            if self.offset - (self.part > 0) < log.first and log.first > 0:
                self._too_slow()
            elif not self.view.ready(self):
                if silent >= SILENT_READS:
                    asyncio.get_running_loop().call_soon(self.pump)
                    return
                try:
                    data = self.view.read(self, BATCH_BYTES)
                except ProtocolError as error:
                    self._end_with("upstream_protocol_error", str(error), retryable=False)
                    return
                self.progress += 1
                if data:
                    self.write(data)
                else:
                    silent += 1
            elif stream.end is not None:
                self.finish()
            else:
                self.is_level = True
                self.view.rise(self)
                stream.relieve()

    def finish(self) -> None:
        """Everything before the terminal entry was written: write that, and end."""
        if self.ended:
            return
        last = self.view.last(self)
        self.offset, self.part = self.stream.end_offset, 0
        self.ended = True
        if last:
            self.write(last)
        self.stream.leave(self)
        self.sink.end()

    def filled(self) -> None:
        """The sink has turned full."""
        if self.ended:
            return
        if self.is_level:
            self.is_level = False
            # Whatever was appended was also written: this is called by the write itself, or between two of them.
            self.offset = self.stream.log.last
            self.view.fall(self)
            self.stream.crowd()
        self.stream.watch_stuck(self)

    def drained(self) -> None:
        """The sink can take more."""
        self.progress += 1
        if not self.ended:
            self.pump()
            self.stream.relieve()

    def lost(self) -> None:
        """The sink is gone: detach. Detaching is not cancelling."""
        if not self.ended:
            self.ended = True
            self.stream.leave(self)

    def _too_slow(self) -> None:
        """What this reader should read next was forgotten. It is told so; the stream goes on for all others."""
        self._end_with("slow_reader", "this reader fell behind what is kept", retryable=True)

    def _end_with(self, code: str, message: str, *, retryable: bool) -> None:
        """End this reader alone, with an error of its own."""
        error = Error(code, message, retryable, outcome="interrupted")
        encoder = DIALECTS[self.view.format.dialect].encoder(self.stream.about, include_usage=False)
        position = self.view.position(self)
        self.write(b"".join(b"id: %b\n%b" % (position.encode(), block) for block in encoder.end(None, error)))
        self.ended = True
        self.stream.leave(self)
        self.sink.end()
