"""One HTTP/1.1 connection to a model endpoint, as an asyncio protocol.

The bytes of a response body go straight to the generation, in the callback that received them: no stream reader, queue or
task stands between. One socket read is one `feed`, however many chunks it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import httptools

if TYPE_CHECKING:
    from penstock.upstreams.pool import Pool

MAX_HEAD_BYTES = 64 * 1024
"""A response head larger than this is no response head."""

MAX_ERROR_BYTES = 64 * 1024
"""How much of an error's body is read."""


class Exchange(Protocol):
    """The one request that a connection is serving."""

    def head(self, status: int, headers: dict[bytes, bytes]) -> Callable[[bytes], None]:
        """The response head came. Returns where the body is to go, piece by piece."""
        ...

    def complete(self) -> None:
        """The response ended in good order."""

    def broken(self, *, answered: bool, reason: str) -> None:
        """The connection is gone before the response was complete. `answered`: some bytes of it had come."""


def _nowhere(_data: bytes) -> None:
    """Where bodies go that nobody waits for."""


class Connection(asyncio.Protocol):
    """See the module. Belongs to a `Pool`, which is told when it is idle and when it is gone."""

    __slots__ = (
        "_after_chunk",
        "_answered",
        "_between_chunks",
        "_body",
        "_complete",
        "_deliver",
        "_exchange",
        "_feed_parser",
        "_head_bytes",
        "_headers",
        "_in_head",
        "_keep",
        "_more",
        "_parser",
        "_paused",
        "_pool",
        "_releasing",
        "_surplus",
        "counted",
        "reused",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._exchange: Exchange | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._more: list[bytes] = []
        self._deliver: Callable[[bytes], None] = _nowhere
        self._in_head = True
        self._after_chunk = False
        self._between_chunks = False
        self._head_bytes = 0
        self._answered = False
        self._complete = False
        self._keep = False
        self._paused = False
        self._releasing = False
        self._surplus = False  # bytes came that belong to no answer
        self.counted = False
        """It has a place in the pool's capacity, to be given back when it closes."""
        self.reused = False
        """It has served before: it may have died in the meantime without saying so."""
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._feed_parser = self._parser.feed_data

    # -- the exchange's side -----------------------------------------------------------------------------------------

    def send(self, exchange: Exchange, request: bytes) -> None:
        """Send a request; its response goes to `exchange`."""
        assert self.transport is not None
        assert self._exchange is None
        self._exchange = exchange
        self._answered = self._complete = self._releasing = False
        self._in_head = True
        self._headers.clear()
        self._head_bytes = 0
        self.transport.write(request)

    def close(self) -> None:
        """Close at once."""
        self._exchange = None
        self._deliver = _nowhere
        if self.transport is not None:
            self.transport.abort()

    def release(self) -> None:
        """The exchange needs no more. The connection serves again once the response is complete, or closes soon."""
        self._exchange = None
        self._deliver = _nowhere
        self._releasing = True
        self.resume()
        if not self._complete:
            self._pool.close_later(self)

    def pause(self) -> None:
        """Read no more for now: the upstream will feel it."""
        if self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and self._paused:
            self._paused = False
            self.transport.resume_reading()

    @property
    def lingering(self) -> bool:
        """The answer was complete, but the response is not."""
        return self._releasing

    # -- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream connection has a full transport

    def data_received(self, data: bytes) -> None:
        if self._in_head and not self._expect_head(data):
            return
        if self._between_chunks:
            # One whole chunk, as nearly every read of a live stream is: the parser need not see it.
            size = data.find(b"\r\n", 1, 6)
            length = len(data) - size - 4
            if size > 0 and length > 0 and data.startswith(b"%x\r\n" % length) and data.endswith(b"\r\n"):
                deliver = self._deliver
                deliver(data[size + 2 : -2])
                return
        feed, broken = self._feed_parser, ""
        try:
            feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            broken = f"the upstream sent what is not HTTP ({type(error).__name__})"
        # What the same read held before that is part of the answer, and may be the rest of it.
        body = self._body
        if body:
            self._body = b""
            if self._more:
                body += b"".join(self._more)
                self._more.clear()
            if self._exchange is not None:
                deliver = self._deliver
                deliver(body)
        # The parser tells where a chunk ended, but not that the next one's size has begun to come.
        self._between_chunks = self._after_chunk and data.endswith(b"\r\n")
        if self._complete:
            self._surplus = self._surplus or bool(broken)
            self._finish()
        elif broken:
            self._give_up(broken)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.gone(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            reason = "the upstream reset the connection" if exc else "the upstream closed the connection"
            exchange.broken(answered=self._answered, reason=reason)
        del self._parser, self._feed_parser  # each holds the other: free them now, not at the next collection

    # -- httptools' side ---------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers say nothing that is needed, and must not be taken for the next head
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._complete:
            self._surplus = True  # a second response, which nobody asked for
            return
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}
        if status < 200:
            return  # 100 Continue, 103 Early Hints: the real head is yet to come
        self._in_head = False
        if self._exchange is not None:
            self._deliver = self._exchange.head(status, headers)

    def on_body(self, body: bytes) -> None:
        # Nearly always one chunk a read, and then no copy is made.
        if self._complete:
            return
        if self._body:
            self._more.append(body)
        else:
            self._body = body

    def on_chunk_header(self) -> None:
        self._after_chunk = False

    def on_chunk_complete(self) -> None:
        self._after_chunk = True

    def on_message_complete(self) -> None:
        self._after_chunk = False
        if not self._in_head:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _expect_head(self, data: bytes) -> bool:
        if self._exchange is None and not self._releasing:
            self.close()  # bytes that nobody asked for, or a close_notify: this connection serves no more
            return False
        self._answered = True
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES + len(data):
            self._give_up("the upstream's response head is too large")
            return False
        return True

    def _give_up(self, reason: str) -> None:
        self._body = b""
        self._more.clear()
        exchange, self._exchange = self._exchange, None
        if self.transport is not None:
            self.transport.abort()
        if exchange is not None:
            exchange.broken(answered=True, reason=reason)

    def _finish(self) -> None:
        """The response is complete. Its exchange hears of it last, for it may send the next request in that call."""
        exchange, self._exchange = self._exchange, None
        self._deliver = _nowhere
        self._releasing = False
        self._complete = False
        self._in_head = True
        self.reused = True
        self.resume()  # the last read may have filled the log: the next exchange must not inherit that
        if self._keep and not self._surplus and self.transport is not None and not self.transport.is_closing():
            self._pool.put(self)
        else:
            self.close()
        if exchange is not None:
            exchange.complete()
