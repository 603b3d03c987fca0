"""The bytes of one answer, taken apart: HTTP, compression, server-sent events. No socket, no clock: both are given."""

from __future__ import annotations

import re
import zlib
from typing import Any, Protocol

import httptools
import msgspec

from penstock.doctor.observation import Arrival, Ended, Observation, Start
from penstock.exceptions import ProtocolError
from penstock.wire import sse

MAX_HEAD_BYTES = 64 * 1024
MAX_SHOWN_BYTES = 4 * 1024
"""How much is kept of a body that is no stream of ours."""

_DURATION = re.compile(r"""(?:^|,)\s*penstock\s*(?:;[^,]*?)?;\s*dur\s*=\s*"?([0-9]+(?:\.[0-9]+)?)""", re.IGNORECASE)


class _Probe(msgspec.Struct):
    n: int
    at: float


class _Inflater(Protocol):
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, most: int, /) -> bytes: ...


class Answer:
    """Fill an `Observation` from what arrives. `over` is True once nothing more is expected.

    `now` is always seconds since the request was sent.
    """

    def __init__(self, seen: Observation, most: int) -> None:
        self._seen = seen
        self._most = most
        self._parser: Any = httptools.HttpResponseParser(self)
        self._inflater: _Inflater | None = None
        self._decoder = sse.Decoder()
        self._last_byte = b"\n"
        self._reads = 0
        self._size = 0
        self._now = 0.0
        self._body = bytearray()
        self._in_head = True
        self.over = False

    def feed(self, data: bytes, now: float) -> None:
        """What one read from the socket gave."""
        if self.over:
            return
        self._now = now
        self._reads += 1
        self._size += len(data)
        if self._seen.times.first_byte is None:
            self._seen.times.first_byte = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("it switches to another protocol")
        except httptools.HttpParserError as error:
            # What a callback raised is the cause of what the parser raises.
            inner = error.__context__
            self._break(str(inner) if isinstance(inner, ProtocolError) else "it is no HTTP")
        if self._size > (MAX_HEAD_BYTES if self._in_head else self._most) and not self.over:
            self.end("flood", now)

    def end(self, how: Ended, now: float) -> None:
        """The connection is gone, or nobody waits any more."""
        if not self.over:
            self.over = True
            seen = self._seen
            unframed = not seen.chunked and not seen.header("content-length")
            # Without a length and without chunks, the end of the connection is the end of the answer (RFC 9112, 6.3).
            seen.ended = "complete" if how == "closed" and unframed and seen.status and not self._in_head else how
            seen.ended_at = now
            seen.body = bytes(self._body).decode("utf-8", "replace")

    def _break(self, why: str) -> None:
        self._seen.why = why
        self.end("broken", self._now)

    # -- httptools' side ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._seen.headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # later ones are trailers
            self._seen.headers.append((name.decode("latin-1").lower(), value.decode("latin-1").strip()))

    def on_headers_complete(self) -> None:
        seen = self._seen
        seen.http = self._parser.get_http_version()
        status = self._parser.get_status_code()
        if status < 200:  # early hints: the answer follows
            return
        seen.status = status
        self._in_head = False
        self._size = 0
        seen.chunked = "chunked" in seen.header("transfer-encoding").lower()
        if said := _DURATION.search(seen.header("server-timing")):
            seen.times.server = float(said[1]) / 1000
        coding = seen.header("content-encoding").lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif coding not in ("", "identity"):
            raise ProtocolError(f"it is compressed as {coding}, which was not asked for")

    def on_body(self, data: bytes) -> None:
        if self._inflater is not None:
            try:
                data = self._inflater.decompress(data, self._most)
            except zlib.error:
                raise ProtocolError("its compression is broken") from None
            if self._inflater.unconsumed_tail:
                raise ProtocolError("its compression hides far more than was asked for")
        if len(self._body) < MAX_SHOWN_BYTES and not self._seen.begun:
            self._body += data[: MAX_SHOWN_BYTES - len(self._body)]
        if data and self._seen.status == 200:
            # Our data is JSON: an LF before a colon begins a comment and nothing else.
            self._seen.comments += (self._last_byte + data).count(b"\n:")
            self._last_byte = data[-1:]
            for message in self._decoder.feed(data):
                self._event(message)
        if len(self._body) == MAX_SHOWN_BYTES:
            self.end("flood", self._now)  # no stream of ours: the rest says no more

    def on_message_complete(self) -> None:
        if not self._in_head:
            self.end("complete", self._now)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _event(self, message: sse.Message) -> None:
        seen = self._seen
        try:
            match message.event:
                case "start" if seen.start is None:
                    seen.start = msgspec.json.decode(message.data, type=Start)
                    seen.start_id = message.id
                    self._body.clear()
                case "probe" if seen.begun:
                    probe = msgspec.json.decode(message.data, type=_Probe)
                    seen.arrivals.append(Arrival(probe.n, probe.at, self._now, message.id, self._reads))
                case "done" if seen.begun:
                    seen.done = True
                case _:
                    pass
        except msgspec.MsgspecError:
            raise ProtocolError("its events are not the doctor's") from None
