"""Views: one stream as one kind of client sees it.

Readers that speak the same dialect and asked for the same facts share a view, and get the same bytes. In the dialect of
the log itself (`SourceView`) those are the log's bytes, untouched. In any other (`TranslatedView`) they are rendered from
the log by a cursor; rendering is deterministic, so a cursor that starts from the log's beginning again makes the same
blocks with the same ids.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple, Protocol

from penstock.dialects import DIALECTS
from penstock.dialects.base import Decoder, Encoder, Ending
from penstock.streams.delivery import Delivery, Packer
from penstock.wire.events import Done, Start, Terminal, Usage

if TYPE_CHECKING:
    from penstock.streams.reader import Reader
    from penstock.streams.stream import Stream


class Format(NamedTuple):
    """What a client sees: a dialect, with or without the usage, in pieces or in whole parts."""

    dialect: str
    include_usage: bool = False
    delivery: Delivery = "stream"


def frame(epoch: str, offset: int, blocks: list[bytes], seen: int = 0) -> bytes:
    """Blocks of one entry with their ids, less the first `seen` of them. Several blocks are its parts, from 1.

    An only block has no part. Whoever has seen a part of such an entry saw it in another dialect, where it was several:
    the block is sent whole, for a word twice is better than a word lost.
    """
    head = f"id: {epoch}:{offset}".encode()
    if len(blocks) == 1:
        return b"%b\n%b" % (head, blocks[0])
    return b"".join(b"%b.%d\n%b" % (head, part, block) for part, block in enumerate(blocks, 1) if part > seen)


def frame_last(epoch: str, offset: int, blocks: list[bytes], seen: int) -> bytes:
    """The same for the terminal entry: the usage, where it is shown, and then the end.

    A second part was the end in any dialect. So who has seen it has seen all, also where the end is the only block.
    """
    return b"" if len(blocks) == 1 and seen > 1 else frame(epoch, offset, blocks, seen)


class View(Protocol):
    """Readers of one format that are level with the log (`level`), and the way to render for those that are not."""

    format: Format
    level: list[Reader]

    def read(self, reader: Reader, most: int) -> bytes:
        """About `most` bytes from where `reader` stands, moving it. Empty = nothing to say, though it may have moved."""
        ...

    def last(self, seen: int) -> bytes:
        """The rendering of the terminal entry, less the first `seen` blocks."""
        ...

    def forget(self, first: int) -> None:
        """The log is about to forget every entry up to offset `first`."""
        ...

    def rise(self, reader: Reader) -> None:
        """`reader` has seen the whole log: from now on it gets what is pushed."""
        ...

    def fall(self, reader: Reader) -> None:
        """`reader` no longer follows the pushes."""
        ...


class SourceView:
    """The log's own bytes. The stream itself writes each entry to the level readers."""

    __slots__ = ("_last", "_stream", "format", "level")

    def __init__(self, stream: Stream, format: Format) -> None:
        self._stream = stream
        self._last: list[bytes] | None = None
        self.format = format
        self.level: list[Reader] = []

    def read(self, reader: Reader, most: int) -> bytes:
        # An entry is one block here: of one that was seen in part, in another dialect, the whole comes.
        data, reader.offset = self._stream.log.read(reader.offset - (reader.part > 0), most)
        reader.part = 0
        return data

    def last(self, seen: int) -> bytes:
        if self._last is None:
            self._last = self._render_last()
        return frame_last(self._stream.epoch, self._stream.end_offset, self._last, seen)

    def _render_last(self) -> list[bytes]:
        stream = self._stream
        assert stream.end is not None
        usage, held, last = stream.end
        dialect, include_usage = DIALECTS[self.format.dialect], self.format.include_usage
        if stream.end_offset == 1:  # there is no log: nobody but us says even the beginning
            encoder = dialect.encoder(stream.about, include_usage=include_usage)
            return [*encoder.encode([Start(stream.id, stream.about.model)]), *encoder.end(usage, last)]
        end = Ending(usage, held, last, stream.end_offset - 1)
        return dialect.ending(stream.about, end, include_usage=include_usage)

    def forget(self, first: int) -> None:
        pass

    def rise(self, reader: Reader) -> None:
        self.level = [*self.level, reader]
        self._stream.level_changed()

    def fall(self, reader: Reader) -> None:
        self.level = [other for other in self.level if other is not reader]
        self._stream.level_changed()


class Cursor:
    """A decoder and an encoder, at one offset of a log."""

    __slots__ = ("_opened", "_packer", "decoder", "encoder", "offset")

    def __init__(self, stream: Stream, format: Format) -> None:
        self.offset = 0
        self._opened = False
        self._packer = None if format.delivery == "stream" else Packer(format.delivery)
        self.decoder: Decoder = DIALECTS[stream.dialect].decoder(stream.about)
        self.encoder: Encoder = DIALECTS[format.dialect].encoder(stream.about, include_usage=format.include_usage)

    def render(self, block: bytes) -> list[bytes]:
        """The next entry's block, in the target dialect."""
        self.offset += 1
        events = self.decoder.decode(block)
        if self._opened:
            events = [event for event in events if not isinstance(event, Start)]
        return self.encoder.encode(events if self._packer is None else self._packer.feed(events))

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        """The terminal entry, in the target dialect."""
        blocks: list[bytes] = []
        if self._packer is not None:
            good = isinstance(last, Done) and last.outcome != "cancelled"
            blocks = self.encoder.encode(self._packer.end(good=good))
        return [*blocks, *self.encoder.end(usage, last)]

    def open_at(self, offset: int, start: Start) -> None:
        """Go on after `offset`, as if the answer's beginning had been rendered."""
        self.encoder.encode([start])
        self.offset = offset
        self._opened = True


class TranslatedView:
    """The log, rendered in another dialect."""

    __slots__ = ("_base", "_cursor", "_last", "_stream", "format", "level")

    def __init__(self, stream: Stream, format: Format) -> None:
        self._stream = stream
        self._last: list[bytes] | None = None
        self._base: Cursor | None = None  # where the log begins, once it has forgotten its beginning
        self._cursor: Cursor | None = None  # at the log's end, while there are level readers
        self.format = format
        self.level: list[Reader] = []

    def push(self, offset: int, block: bytes) -> None:
        """Send entry `offset` to the level readers."""
        cursor = self._cursor
        if cursor is None:
            return
        data = frame(self._stream.epoch, offset, cursor.render(block))
        if data:
            for reader in self.level:
                reader.write(data)

    def read(self, reader: Reader, most: int) -> bytes:
        stream, log = self._stream, self._stream.log
        cursor = reader.cursor
        if cursor is None:
            cursor = reader.cursor = self._cursor_before(reader)
        parts: list[bytes] = []
        size = steps = 0
        # Bounded in steps too: entries that say nothing in this dialect must not hold the event loop.
        while size < most and steps < 512 and cursor.offset < log.last:
            data = frame(
                stream.epoch, cursor.offset + 1, cursor.render(_without_id(log.entry(cursor.offset + 1))), reader.part
            )
            reader.offset, reader.part = cursor.offset, 0
            parts.append(data)
            size += len(data)
            steps += 1
        return b"".join(parts)

    def last(self, seen: int) -> bytes:
        if self._last is None:
            self._last = self._render_last()
        return frame_last(self._stream.epoch, self._stream.end_offset, self._last, seen)

    def _render_last(self) -> list[bytes]:
        stream = self._stream
        assert stream.end is not None
        usage, _, last = stream.end
        cursor = self._cursor or self._replayed(stream.log.last)
        blocks = cursor.encoder.encode([Start(stream.id, stream.about.model)]) if stream.end_offset == 1 else []
        return [*blocks, *cursor.end(usage, last)]

    def forget(self, first: int) -> None:
        self._base = self._replayed(first)

    def rise(self, reader: Reader) -> None:
        if self._cursor is None:
            self._cursor = reader.cursor or self._replayed(self._stream.log.last)
        reader.cursor = None
        # A new list, for a push may be walking the old one.
        self.level = [*self.level, reader]

    def fall(self, reader: Reader) -> None:
        if reader in self.level:
            self.level = [other for other in self.level if other is not reader]
            reader.cursor = copy.deepcopy(self._cursor) if self.level else self._cursor
            if not self.level:
                self._cursor = None

    def _cursor_before(self, reader: Reader) -> Cursor:
        """A cursor that renders next what `reader` has not seen whole."""
        return self._replayed(reader.offset - 1 if reader.part else reader.offset)

    def _replayed(self, offset: int) -> Cursor:
        """A cursor that has rendered everything up to `offset`, as every other cursor has."""
        stream, log = self._stream, self._stream.log
        if self._base is not None:
            cursor = copy.deepcopy(self._base)
        else:
            cursor = Cursor(stream, self.format)
            if log.first:
                # The first reader of this dialect comes when the beginning is forgotten: the answer was opened long ago.
                cursor.open_at(log.first, Start(stream.id, stream.about.model))
        while cursor.offset < offset:
            cursor.render(_without_id(log.entry(cursor.offset + 1)))
        return cursor


def _without_id(framed: bytes) -> bytes:
    return framed[framed.index(b"\n") + 1 :]
