"""Server-sent events: bytes <-> blocks, by the WHATWG rules.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

Two readers over one grammar:

- `Splitter` cuts a byte stream into *canonical blocks*: LF line ends, one `event` line if the event has a name, then its
  `data` lines, then an empty line. The hot path runs it: a read of whole plain blocks is searched, not taken apart.
- `Decoder` gives full messages (`event`, `data`, `id`, `retry`) as text, as an EventSource would dispatch them.

Both accept a leading byte order mark, CR, LF and CRLF line ends, comments, fields split anywhere, and turn bytes that are
not UTF-8 into U+FFFD. Neither dispatches a block that has no data, nor one that the end of the stream cut short.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from penstock.exceptions import ProtocolError

MAX_EVENT_BYTES = 1024 * 1024
"""Largest block that is accepted (1 MiB): a line without end must not fill the memory."""

_BOM = codecs.BOM_UTF8
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MILLISECONDS = re.compile(rb"[0-9]{1,18}")


class Message(NamedTuple):
    """One dispatched event. `id` is the last event id at that point (it persists between events)."""

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None
    """Reconnection time in milliseconds, if this block set it."""


class _Lines:
    """Bytes -> complete lines, for any of the three line ends, split anywhere."""

    __slots__ = ("_buffer", "_limit", "_scanned", "_skip_lf", "_started")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._scanned = 0
        self._skip_lf = False
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        if not self._started:
            # The mark itself may be split over reads: wait until it is known not to be one.
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                return
            self._started = True
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
        start = 0
        if self._skip_lf and buffer:
            # A CR ended the last line at once; an LF right after it belongs to the same line end.
            start = 1 if buffer[0] == 0x0A else 0
            self._skip_lf = False
        for match in _LINE_END.finditer(buffer, max(start, self._scanned)):
            line = bytes(buffer[start : match.start()])
            if len(line) > self._limit:
                raise self._too_long()
            start = match.end()
            # A CR as the last byte ends the line now (a reader must not wait for more), and a coming LF is its other half.
            self._skip_lf = start == len(buffer) and buffer[start - 1] == 0x0D
            yield line
        del buffer[:start]
        self._scanned = len(buffer)
        if len(buffer) > self._limit:
            raise self._too_long()

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"an event line is longer than {self._limit} bytes")

    @property
    def clean(self) -> bool:
        """At the start of a line, with nothing kept back."""
        return self._started and not self._buffer and not self._skip_lf


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value[1:] if value.startswith(b" ") else value


class Splitter:
    """Cut a byte stream into canonical blocks (see the module)."""

    __slots__ = ("_data", "_event", "_limit", "_lines", "_plain", "_size")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._lines = _Lines(limit)
        self._limit = limit
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0  # of the open block's `event` and `data` lines; 0 = no block is open
        self._plain = False  # at the start of a block, past the place of a byte order mark

    def feed(self, data: bytes) -> list[bytes]:
        """The blocks that `data` completes, in order. Raises ProtocolError for a block over the limit.

        >>> Splitter().feed(b'data: {"a":1}\\n\\n')
        [b'data: {"a":1}\\n\\n']
        """
        # Whole plain blocks, most often one, are what nearly every read of a live model stream holds.
        if self._plain and data.startswith(b"data: ") and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            if data.find(b"\n") == len(data) - 2:
                blocks = [data]
            else:
                parts = data[:-2].split(b"\n\n")
                if data.count(b"\n") != 2 * len(parts) or not all(part.startswith(b"data: ") for part in parts):
                    return self._feed_lines(data)
                blocks = [part + b"\n\n" for part in parts]
            if (data.isascii() or _is_utf8(data)) and len(data) <= self._limit:
                return blocks
        return self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> list[bytes]:
        blocks: list[bytes] = []
        try:
            for line in self._lines.feed(data):
                self._read_line(line, blocks)
        except ProtocolError as error:
            error.before = blocks
            raise
        self._plain = not self._size and self._lines.clean
        return blocks

    def _read_line(self, line: bytes, blocks: list[bytes]) -> None:
        if line:
            name, value = _field(line)
            # Upstream ids and retry times mean nothing to our readers, whose ids are positions in our own log.
            if name == b"data":
                self._data.append(b"data: %b\n" % value)
            elif name == b"event":
                self._event = b"event: %b\n" % value if value else b""
            else:
                return
            self._size += len(line)
            if self._size > self._limit:
                raise ProtocolError(f"an event is longer than {self._limit} bytes")
        else:
            if self._data:
                block = b"%b%b\n" % (self._event, b"".join(self._data))
                blocks.append(block if block.isascii() or _is_utf8(block) else _repair(block))
                self._data.clear()
            self._event = b""
            self._size = 0


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _repair(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


class Decoder:
    """Decode a byte stream into messages, as an EventSource dispatches them."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._lines = _Lines(limit)
        self._limit = limit
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Raises ProtocolError for an event over the limit."""
        messages: list[Message] = []
        for line in self._lines.feed(data):
            if line:
                self._read_field(line)
                continue
            if self._data:
                messages.append(Message("\n".join(self._data), self._event or "message", self._id, self._retry))
            self._data.clear()
            self._event = ""
            self._retry = None
            self._size = 0
        return messages

    def _read_field(self, line: bytes) -> None:
        raw_name, raw_value = _field(line)
        value = raw_value.decode("utf-8", "replace")
        match raw_name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value
            case b"id" if "\0" not in value:
                self._id = value
            case b"retry" if _MILLISECONDS.fullmatch(raw_value):
                self._retry = int(raw_value)
            case _:
                pass  # a comment (empty name) or an unknown field: ignored by the standard
        if raw_name in (b"data", b"event"):
            self._size += len(line)
            if self._size > self._limit:
                raise ProtocolError(f"an event is longer than {self._limit} bytes")


def encode(data: str | bytes, event: str = "", id: str = "") -> bytes:
    """One block: `event` and `id` lines if given, then one `data` line per line of `data`, then an empty line.

    Raises ValueError if `event` or `id` holds a line end, which would forge a field, or a NUL.
    """
    payload = data.encode() if isinstance(data, str) else data
    head = ""
    for name, value in (("id", id), ("event", event)):
        if value:
            if any(c in value for c in "\r\n\0"):
                raise ValueError(f"{name} holds a line end or a NUL")
            head += f"{name}: {value}\n"
    lines = b"".join(b"data: %b\n" % line for line in _LINE_END.split(payload))
    return head.encode() + lines + b"\n"


def payload(block: bytes) -> bytes:
    """The data of a canonical block, its lines joined by LF."""
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2:
        return block[6:-2]
    return b"\n".join(line[6:] for line in block.split(b"\n") if line.startswith(b"data: "))


def event_name(block: bytes) -> str:
    """The `event` of a canonical block, or an empty string."""
    if not block.startswith(b"event: "):
        return ""
    return block[7 : block.index(b"\n")].decode("utf-8", "replace")


KEEPALIVE = b": keepalive\n\n"
"""A comment: ignored by every client, and a sign of life to everything in between."""
