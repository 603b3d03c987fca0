"""Sinks: a client's connection, as a place where a reader's bytes go.

`DirectSink` writes to the transport from the very callback that has the bytes. `AsgiSink` goes through ASGI's `send`, under
any server; the two put the same bytes on the wire.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from penstock.streams.reader import Reader

Send = Any
Receive = Any
Scope = Any

ASGI_HIGH_WATER = 16 * 1024
"""Bytes that wait for one `send` above which an ASGI client counts as full."""


class Direct(Protocol):
    """What the server lends to a sink (see `penstock.server.http`)."""

    @property
    def full(self) -> bool: ...
    def listen(self, listener: Any) -> bool: ...
    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...


class DirectSink:
    """Over our own protocol. It is full until `open`: the response's head must go first."""

    __slots__ = ("_direct", "_reader", "closed", "full", "is_gone", "write")

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self._reader: Reader | None = None
        self.full = True
        self.is_gone = not direct.listen(self)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write = direct.write

    def bind(self, reader: Reader) -> None:
        self._reader = reader
        if self.is_gone:
            reader.lost()

    async def run(self, send: Send) -> None:  # the other sink sends
        """Let the bytes flow, until all is said or the client is gone."""
        assert self._reader is not None
        if not self.is_gone:
            self.full = self._direct.full
            self._reader.pump()
            try:
                await self.closed
            finally:
                self._direct.listen(None)

    def end(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self) -> None:
        self._direct.abort()
        self.end()

    def stop(self) -> None:
        """The face is done with the client, one way or another."""
        self._direct.listen(None)
        if self._reader is not None:
            self._reader.lost()

    # -- the protocol's side -----------------------------------------------------------------------------------------

    def filled(self) -> None:
        if not self.full and self._reader is not None:
            self.full = True
            self._reader.filled()

    def drained(self) -> None:
        if self.full and not self.closed.done() and self._reader is not None:
            self.full = False
            self._reader.drained()

    def gone(self) -> None:
        self.is_gone = self.full = True
        if self._reader is not None:
            self._reader.lost()
        self.end()


class AsgiSink:
    """Over plain ASGI. A second task waits for the disconnect, since `send` does not tell."""

    __slots__ = ("_ended", "_pending", "_reader", "_size", "_wake", "_watcher", "full", "is_gone")

    def __init__(self, receive: Receive) -> None:
        self._reader: Reader | None = None
        self._pending: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._ended = False
        self.full = True
        self.is_gone = False
        self._watcher = asyncio.get_running_loop().create_task(self._watch(receive))

    def bind(self, reader: Reader) -> None:
        self._reader = reader

    async def run(self, send: Send) -> None:
        assert self._reader is not None
        # A server may keep the response's head back until there is a body: a client must see it now.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        self.full = False
        self._reader.pump()
        while not self.is_gone:
            if self._pending:
                data = b"".join(self._pending)
                self._pending.clear()
                self._size = 0
                await send({"type": "http.response.body", "body": data, "more_body": True})
                if self.full and not self._ended and not self.is_gone:
                    self.full = False
                    self._reader.drained()
            elif self._ended:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        self._wake.set()
        if self._size > ASGI_HIGH_WATER and not self.full:
            self.full = True
            assert self._reader is not None
            self._reader.filled()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def abort(self) -> None:
        self.is_gone = True
        self._wake.set()

    def stop(self) -> None:
        self._watcher.cancel()
        if self._reader is not None:
            self._reader.lost()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.is_gone = self.full = True
        if self._reader is not None:
            self._reader.lost()
        self._wake.set()


class WholeSink:
    """Takes nothing: it only keeps a place among the readers for a client that waits for the whole answer."""

    __slots__ = ("_direct", "_reader", "_watcher", "closed", "full", "is_gone")

    def __init__(self, direct: Direct | None, receive: Receive) -> None:
        self._direct = direct
        self._reader: Reader | None = None
        self._watcher = None if direct else asyncio.get_running_loop().create_task(self._watch(receive))
        self.full = False
        self.is_gone = direct is not None and not direct.listen(self)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def bind(self, reader: Reader) -> None:
        self._reader = reader
        if self.is_gone:
            self.gone()

    async def run(self) -> None:
        """Wait until the answer has ended, or the client is gone."""
        assert self._reader is not None
        self._reader.pump()
        await self.closed

    def write(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def abort(self) -> None:
        self.end()

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self._direct is not None:
            self._direct.listen(None)
        if self._reader is not None:
            self._reader.lost()

    def filled(self) -> None:
        pass

    def drained(self) -> None:
        pass

    def gone(self) -> None:
        self.is_gone = True
        if self._reader is not None:
            self._reader.lost()
        self.end()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone()
