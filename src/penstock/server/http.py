"""The direct write: uvicorn's HTTP protocol, with the transport lent to a stream's sink.

ASGI's `send` costs an await and several dictionaries per event. Once a response's head was sent the ordinary way, its
chunks can be written by the callback that has them; `Direct` is how. It also knows at once when the client is gone, which
plain ASGI tells only to those who ask. The bytes on the wire are the same as on any ASGI server.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from penstock.dialects import DIALECTS
from penstock.exceptions import Refused
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
        self._chunked = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_body = False
        self._beside_body = 0
        """Bytes since the last one of a body that is still coming: trailers, or the framing of chunks."""
        self._plain_left = 0
        """Bytes of a body that is read without the parser (see `_go_on_without_upgrade`)."""
        self._answering: RequestResponseCycle | None = None

    # -- what a sink uses --------------------------------------------------------------------------------------------

    def listen(self, listener: Listener | None) -> bool:
        """Lend the connection to `listener`, or take it back. False = the client is gone already."""
        self._listener = listener
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write one chunk of the response's body now."""
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.transport.write(data)

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
        if self._is_answering and self._answering is not self.cycle:
            # uvicorn tells the newest request only, and this one waits in a pipeline behind the one that runs.
            assert self._answering is not None
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)
        if listener is not None:
            listener.gone()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + len(data):
                self.send_400_response("Request head too large.")
                return
        if self._plain_left:
            data = self._read_plain(data)
            if not data:
                return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._in_body:
            self._beside_body += len(data)
            if self._beside_body > MAX_HEAD_BYTES + len(data):
                self.send_400_response("Request trailers too large.")

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

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # trailers are no headers: nobody asked for them, and they could pose as any
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_in_time()
        self._in_body = True
        self._beside_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so, as JSON; in the middle of an answer nothing can be told any more."""
        if self._is_answering:
            self.transport.abort()
            return
        if not self.transport.is_closing():
            body = DIALECTS["openai-chat"].error_body(Refused(400, "invalid_http", msg))
            head = (
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: "
            )
            self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            self.transport.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        self._chunked = cycle.scope["http_version"] != "1.0"
        super()._start_asgi_task(cycle, app if self._chunked else _without_chunks(cycle, app))

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """The request asks for a protocol that is not spoken here, most often h2c: it is answered as it is (RFC 9110, 7.8).

        The parser takes such a request for complete at the end of its head. A body of known length is read without it.
        """
        said = [value for name, value in self.headers if name == b"content-length"]
        if any(name == b"transfer-encoding" for name, _ in self.headers) or not all(map(bytes.isdigit, said)):
            self.send_400_response("A body of unknown length can't follow an Upgrade that is not known here.")
            return
        self._plain_left = int(said[0][:18]) if said else 0
        if self._plain_left:
            self.cycle.more_body = True
            rest = self._read_plain(rest)
        if rest:
            self.data_received(rest)

    def _read_plain(self, data: bytes) -> bytes:
        """Take what belongs to the body; returns the rest."""
        body, rest = data[: self._plain_left], data[self._plain_left :]
        self._plain_left -= len(body)
        if body:
            self.on_body(body)
        if not self._plain_left:
            super().on_message_complete()
        return rest

    def _head_in_time(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._is_answering:
            # The next request may take as long as this answer does.
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)
        elif not self.transport.is_closing():
            self.transport.close()


def _without_chunks(cycle: RequestResponseCycle, app: Any) -> Any:
    """`app` for a client of HTTP/1.0, which knows no chunks (RFC 9112, section 6.1).

    A body whose length is not said ends with the connection; uvicorn can't say that by itself.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        to_the_end = False

        async def send_plain(message: Any) -> None:
            nonlocal to_the_end
            if message["type"] == "http.response.start":
                to_the_end = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if to_the_end:
                    cycle.chunked_encoding = False
            elif to_the_end:
                # uvicorn counts down what is still to come: never more than this message.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_plain)

    return answer
