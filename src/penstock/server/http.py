"""The direct write: uvicorn's HTTP protocol, with the transport lent to a stream's sink.

ASGI's `send` costs an await and several dictionaries per event. Once a response's head was sent the ordinary way, its
chunks can be written by the callback that has them; `Direct` is how. It also knows at once when the client is gone, which
plain ASGI tells only to those who ask. The bytes on the wire are the same as on any ASGI server.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.policy.capacity import Capacity

EXTENSION = "penstock.direct"
"""The key in the ASGI scope's `extensions`."""

WRITE_HIGH_WATER = 16 * 1024
"""Bytes in the transport's own buffer above which a client counts as full."""

MAX_HEAD_BYTES = 64 * 1024
"""A request head larger than this is refused."""

HEAD_SECONDS = 20.0
"""A connection that has not sent a whole request head by then is closed."""


class Listener(Protocol):
    """A sink that has taken the connection over."""

    def filled(self) -> None: ...
    def drained(self) -> None: ...
    def gone(self) -> None: ...


class DirectProtocol(HttpToolsProtocol):
    """See the module. Set `capacity` on a subclass (see `penstock.server.listen`)."""

    capacity: Capacity | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listener: Listener | None = None
        self._counted = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    # -- what a sink uses --------------------------------------------------------------------------------------------

    def listen(self, listener: Listener | None) -> bool:
        """Lend the connection to `listener`, or take it back. False = the client is gone already."""
        self._listener = listener
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write one chunk of the response's body now."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    @property
    def full(self) -> bool:
        """The transport holds more than it should."""
        return self.flow.write_paused

    # -- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        if self.capacity is not None:
            self._counted = self.capacity.take()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted and self.capacity is not None:
            self.capacity.give()
        self._head_in_time()
        listener, self._listener = self._listener, None
        super().connection_lost(exc)
        if listener is not None:
            listener.gone()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + len(data):
                self.send_400_response("Request head too large.")
                return
        super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._listener is not None:
            self._listener.filled()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._listener is not None:
            self._listener.drained()

    # -- httptools' side ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {EXTENSION: self}
        if self.capacity is not None and not self._counted:
            # More connections than fit: it was accepted only to be told so.
            extensions["penstock.full"] = {}
        self.scope["extensions"] = extensions
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def on_headers_complete(self) -> None:
        self._head_in_time()
        super().on_headers_complete()

    def _head_in_time(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()
