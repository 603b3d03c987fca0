"""One connection to the sim: an asyncio protocol over httptools, without a task."""

import asyncio
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from penstock.sim.http import Request
from penstock.sim.performance import Performance

if TYPE_CHECKING:
    from penstock.sim.server import Server

MOST_BODY = 64 * 1024 * 1024
_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close sends RST
_FLUSH_TICK = 0.002  # seconds between looks at whether the last bytes have left


class Connection(asyncio.Protocol):
    """Reads requests, one at a time, and is the stage of the performances that answer them."""

    def __init__(self, server: "Server", number: int) -> None:
        self.number = number
        self.clogged = False
        self.performance: Performance | None = None
        """The answer under way; still set after it was cut short."""
        self._server = server
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._file = -1
        self._gone = False
        self._ours = False  # we are the one who closes
        self._reset_next = False
        self._answers = 0
        self._waiting: deque[Request] = deque()
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    # The socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's derive from no class of asyncio's
        if transport.get_extra_info("sslcontext") is None:
            # Written to directly, so that every piece is a write of its own and "sent" means: is with the kernel.
            self._file = transport.get_extra_info("socket").fileno()
            transport.set_write_buffer_limits(high=0)
        self._server.opened(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._gone = True
        during = self.performance.number if self.performance else None
        if self.performance is not None:
            self.performance.abandon("closed_by_peer")
        self._server.closed(self, "sim" if self._ours else "peer", during)
        self.performance = None

    def data_received(self, data: bytes) -> None:
        if self._reset_next:
            self.cut("reset")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(b"501 Not Implemented")
        except httptools.HttpParserCallbackError:
            # A defect of ours, not of the peer's: shown, and never passed off as an answer.
            self.cut("reset")
            raise
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request")

    def eof_received(self) -> bool:
        # Whoever stops sending is taken to be gone, as by nginx. Not close(): that waits for a peer who may never read.
        self._transport.abort()
        return False

    def pause_writing(self) -> None:
        self.clogged = True

    def resume_writing(self) -> None:
        self.clogged = False
        if self.performance is not None:
            self.performance.resume()

    # The parser's side

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MOST_BODY:
            self._refuse(b"413 Content Too Large")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=b"".join(self._body),
            keep_alive=self._parser.should_keep_alive(),
            http10=self._parser.get_http_version() == "1.0",
        )
        self._target, self._headers, self._body, self._size = b"", {}, [], 0
        if self._ours:
            return
        if self.performance is not None:
            self._waiting.append(request)
        else:
            self._answer(request)

    # The performance's side

    def write(self, data: bytes) -> None:
        """Gives bytes to the kernel, or, when it takes no more, to the transport."""
        if self._gone or not data:
            return
        if self._file >= 0 and not self._transport.get_write_buffer_size():
            try:
                written = os.write(self._file, data)
            except BlockingIOError:
                written = 0
            except OSError:
                return  # the peer is gone: connection_lost is on its way
            if written == len(data):
                return
            data = data[written:]
        self._transport.write(data)

    def finished(self, keep_alive: bool) -> None:
        """The answer is complete: the connection is free for the next."""
        assert self.performance is not None
        cue = self.performance.cue
        self.performance = None
        self._answers += 1
        if not keep_alive or (cue.close_idle_after is not None and self._answers >= cue.close_idle_after):
            self._close()
        elif cue.close_next_request:
            self._reset_next = True
        if self._waiting and not self._ours:
            if self._reset_next:
                self.cut("reset")
            else:
                self._answer(self._waiting.popleft())

    def cut(self, kind: str) -> None:
        """Ends the connection as a cue's `cut` says."""
        if self._gone:
            return
        if kind == "half_close" and self._transport.can_write_eof():
            self._transport.write_eof()
        elif kind != "reset":
            self._close()
        elif self._transport.get_write_buffer_size():
            # RST throws away what is not sent yet, and the truth has said that it was.
            asyncio.get_running_loop().call_later(_FLUSH_TICK, self.cut, kind)
        else:
            self._ours = True
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            self._transport.abort()

    def _answer(self, request: Request) -> None:
        self.performance = self._server.perform(request, self)
        self.performance.begin()

    def _refuse(self, status: bytes) -> None:
        """Answers what is no request; nothing that follows can be understood."""
        if self._ours:
            return
        if self.performance is None:
            self.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._close()

    def _close(self) -> None:
        self._ours = True
        self._transport.close()
