"""Puts the bytes of one body on the wire: in HTTP's framing, whole, split, or dripping."""

import asyncio
from typing import Protocol

from penstock.sim.cue import Cue

_DRIP_TICK = 0.02  # seconds between drips, where the rate allows so many


class Wire(Protocol):
    """A connection, as an outlet sees it."""

    clogged: bool
    """Some bytes given to `write` are still not in the kernel."""

    def write(self, data: bytes) -> None:
        """Gives bytes to the socket."""


class Source(Protocol):
    """A performance, as its outlet sees it."""

    def wrote(self) -> None:
        """Some of what was put is with the socket; `Outlet.sent` says how much."""

    def cleared(self) -> None:
        """All of it is with the kernel."""

    def reached(self) -> None:
        """The byte to cut at was reached."""


class Outlet:
    """The body's way to the peer.

    `put` takes bytes; once all are with the kernel, its source is told, unless `put` itself has returned True.
    """

    def __init__(self, wire: Wire, source: Source, cue: Cue, chunked: bool) -> None:
        self.sent = 0
        """Body bytes given to the socket."""
        self._wire = wire
        self._chunked = chunked
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._queue = bytearray()
        self._over = False
        self._cut_at = cue.cut_at_byte
        self._every = 1 if cue.split == "every" else cue.split if isinstance(cue.split, int) else None
        self._offsets = sorted(set(cue.split)) if isinstance(cue.split, list) else []
        self._pause = cue.split_pause
        self._most: int | None = None
        if cue.drip is not None:
            self._pause = max(_DRIP_TICK, 1 / cue.drip)
            self._most = max(1, round(cue.drip * self._pause))
        self._plain = cue.split is None and cue.drip is None and cue.cut_at_byte is None

    def put(self, data: bytes) -> bool:
        """Takes body bytes. True when they are all with the kernel already."""
        if self._plain:
            self._write(data)
            return not self._wire.clogged
        self._queue += data
        return self._timer is None and self._pump()

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, so that a comment would stand between two blocks."""
        return not self._queue and self._timer is None and not self._wire.clogged

    def resume(self) -> None:
        """The wire is no longer clogged."""
        if self._plain or (self._timer is None and self._pump()):
            self._source.cleared()

    def finish(self) -> bytes:
        """The bytes that end a body properly, for whoever writes them last."""
        return b"0\r\n\r\n" if self._chunked else b""

    def stop(self) -> None:
        """Writes nothing more."""
        self._over = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self.sent += len(data)
        self._wire.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _pump(self) -> bool:
        """Writes the next bytes that go together; arranges for the rest."""
        if self._over:
            return False
        if self._cut_at is not None and self.sent >= self._cut_at:
            self._source.reached()
            return False
        if self._queue:
            size = self._next_size()
            data = bytes(self._queue[:size])
            del self._queue[:size]
            self._write(data)
            self._source.wrote()
            # A drip also pauses after its last bytes: else many small puts would flow faster than the rate.
            if self._queue or self._most is not None or (self._cut_at is not None and self.sent >= self._cut_at):
                if self._pause:
                    self._timer = self._loop.call_later(self._pause, self._pump_again)
                else:
                    self._timer = self._loop.call_soon(self._pump_again)
                return False
        return not self._wire.clogged

    def _pump_again(self) -> None:
        self._timer = None
        if not self._wire.clogged and self._pump():
            self._source.cleared()

    def _next_size(self) -> int:
        size = len(self._queue)
        if self._every is not None:
            size = min(size, self._every - self.sent % self._every)
        while self._offsets and self._offsets[0] <= self.sent:
            self._offsets.pop(0)
        if self._offsets:
            size = min(size, self._offsets[0] - self.sent)
        if self._most is not None:
            size = min(size, self._most)
        if self._cut_at is not None:
            size = min(size, self._cut_at - self.sent)
        return size
