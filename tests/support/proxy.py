"""A fault proxy: TCP between two parties that behaves, or not, as a script says for each connection.

    async with FaultProxy(sim.port, [Fault(down=Leg(cut_at=500, cut="reset"))]) as proxy:
        ...  # the first connection to proxy.port is reset after 500 bytes of answers; all others pass

*Up* is from who connects to who listens, *down* the way back. It knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple

_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close sends RST

Cut = Literal["reset", "eof", "half_close", "silence"]


class Leg(NamedTuple):
    """What happens to the bytes of one direction."""

    delay: float = 0.0
    """Seconds that every read waits before it goes on."""
    drip: float | None = None
    """Bytes per second; None = as fast as they come."""
    cut_at: int | None = None
    """After so many bytes, `cut`."""
    cut: Cut = "reset"
    """`reset`: RST to both sides. `eof`: both are closed. `half_close`: the receiver is told the end, the way back stays.
    `silence`: nothing more, all stays open."""


class Fault(NamedTuple):
    """What happens to one connection."""

    up: Leg = Leg()
    down: Leg = Leg()
    refuse: bool = False
    """It is reset as soon as it is there."""


PASS = Fault()
"""Nothing happens."""


class Passed(NamedTuple):
    """What went through one connection that is over."""

    up: bytes
    down: bytes


class FaultProxy:
    """See the module. Use with `async with`; whatever is open is closed at the end."""

    def __init__(self, target: int, faults: Iterable[Fault] = (), *, others: Fault = PASS) -> None:
        self.port = 0
        self.accepted = 0
        self.passed: list[Passed] = []
        """In the order in which they ended."""
        self.others = others
        """What happens to the connections that are made next, once `faults` are used up."""
        self._target = target
        self._faults = iter(faults)
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self.accepted += 1
        # A cancelled task would be shown as an error by whoever serves the connection.
        with contextlib.suppress(asyncio.CancelledError):
            await self._connect(next(self._faults, self.others), reader, writer)
        self._running.discard(task)

    async def _connect(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault.refuse:
            _end(writer, "reset")
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _end(writer, "reset")
            return
        up, down = _Way(fault.up, reader, far_writer), _Way(fault.down, far_reader, writer)
        ways = {asyncio.create_task(up.run()), asyncio.create_task(down.run())}
        how: Cut = "eof"
        try:
            while ways:
                done, ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if cuts := [cut for way in done if (cut := way.result()) in ("reset", "eof")]:
                    how = cuts[0]  # type: ignore[assignment]
                    break
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.passed.append(Passed(bytes(up.carried), bytes(down.carried)))
            for side in (writer, far_writer):
                _end(side, how)


class _Way:
    """One direction of one connection."""

    def __init__(self, leg: Leg, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        self._leg = leg
        self._source = source
        self._target = target
        self.carried = bytearray()
        # `drain` then waits for the kernel to have all: what was carried before a reset really left.
        target.transport.set_write_buffer_limits(high=0)

    async def run(self) -> Cut | Literal["ended"]:
        """Carry until the end, or the cut. `ended`: the source has ended, and the target was told so."""
        try:
            return await self._carry()
        except OSError:
            return "reset"  # one side was reset: so is the other

    async def _carry(self) -> Cut | Literal["ended"]:
        leg = self._leg
        while leg.cut_at is None or len(self.carried) < leg.cut_at:
            data = await self._source.read(65536)
            if not data:
                self._target.write_eof()
                return "ended"
            if leg.delay:
                await asyncio.sleep(leg.delay)
            await self._write(data if leg.cut_at is None else data[: leg.cut_at - len(self.carried)])
        if leg.cut == "half_close":
            self._target.write_eof()
        if leg.cut in ("half_close", "silence"):
            while await self._source.read(65536):
                pass  # nobody hears it, but it must not fill up
            return "ended"
        return leg.cut

    async def _write(self, data: bytes) -> None:
        if self._leg.drip is None:
            self._target.write(data)
            await self._target.drain()
            self.carried += data
            return
        step = max(1, int(self._leg.drip / 50))
        for start in range(0, len(data), step):
            part = data[start : start + step]
            self._target.write(part)
            await self._target.drain()
            self.carried += part
            await asyncio.sleep(len(part) / self._leg.drip)


def _end(writer: asyncio.StreamWriter, how: Cut) -> None:
    if how == "reset":
        # The connection may be gone already.
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        writer.transport.abort()
    else:
        writer.close()
