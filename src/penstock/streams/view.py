"""Views: one stream as one kind of client sees it.

Readers that speak the same dialect and asked for the same facts share a view, and get the same bytes. In the dialect of
the log itself (`SourceView`) those are the log's bytes, untouched. In any other (`TranslatedView`) they are rendered from
the log by a cursor; rendering is deterministic, so a cursor that starts from the log's beginning again makes the same
blocks with the same ids.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Protocol

from penstock.dialects import DIALECTS
from penstock.dialects.base import Decoder, Encoder, Ending
from penstock.streams.delivery import Packer
from penstock.streams.framing import MARK, UNSEEN, Format, Group, blocks_seen, frame
from penstock.wire.events import Done, Error, Start, Terminal, Usage

if TYPE_CHECKING:
    from penstock.streams.reader import Reader
    from penstock.streams.stream import Stream


STEPS = 512
"""Entries that are rendered at a time, at most."""


class View(Protocol):
    """Readers of one format that are level with the log (`level`), and the way to render for those that are not."""

    format: Format
    level: list[Reader]

    def read(self, reader: Reader, most: int) -> bytes:
        """About `most` bytes from where `reader` stands, moving it. Empty = nothing to say, though it may have moved."""
        ...

    def ready(self, reader: Reader) -> bool:
        """`reader` has nothing to read; False = it has, if only to find its place."""
        ...

    def last(self, reader: Reader) -> bytes:
        """The rendering of the terminal entry, less what `reader` has seen of it."""
        ...

    def position(self, reader: Reader) -> str:
        """Where `reader`, which is not level, would resume."""
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

    def ready(self, reader: Reader) -> bool:
        return reader.offset - (reader.part > 0) >= self._stream.log.last

    def last(self, reader: Reader) -> bytes:
        if self._last is None:
            self._last = self._render_last()
        return _frame_last(self._stream, self.format, self._last, Group(self._stream.end_offset - 1, 0), reader, 0)

    def position(self, reader: Reader) -> str:
        return f"{self._stream.epoch}:{reader.offset}"

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


class UnseenView:
    """Nothing at all, for who only wants to know when it is over."""

    __slots__ = ("_stream", "format", "level")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.format = UNSEEN
        self.level: list[Reader] = []

    def read(self, reader: Reader, most: int) -> bytes:
        reader.offset, reader.part = self._stream.log.last, 0
        return b""

    def ready(self, reader: Reader) -> bool:
        return reader.offset >= self._stream.log.last

    def last(self, reader: Reader) -> bytes:
        return b""

    def position(self, reader: Reader) -> str:
        return f"{self._stream.epoch}:{reader.offset}"

    def forget(self, first: int) -> None:
        pass

    def rise(self, reader: Reader) -> None:
        self.level = [*self.level, reader]

    def fall(self, reader: Reader) -> None:
        self.level = [other for other in self.level if other is not reader]


class Cursor:
    """A decoder and an encoder, at one offset of a log."""

    __slots__ = (
        "_head",
        "_mark",
        "_opened",
        "_packer",
        "_untold",
        "decoder",
        "encoder",
        "offset",
        "seen",
        "told",
        "whole",
    )

    def __init__(self, stream: Stream, format: Format) -> None:
        self.offset = 0
        self.whole = self.told = 0  # the group: as numbers, for they change with every entry
        self.seen = 0
        """Blocks of the group that need not be sent."""
        self._head = b"id: %b:" % stream.epoch.encode()
        self._mark = stream.mark(format)
        self._opened = False
        self._untold: Error | None = None
        """What the log holds and can't be told here: the end, if it would be a good one."""
        self._packer = None if format.delivery == "stream" else Packer(format.delivery)
        self.decoder: Decoder = DIALECTS[stream.dialect].decoder(stream.about)
        self.encoder: Encoder = DIALECTS[format.dialect].encoder(stream.about, include_usage=format.include_usage)

    def render(self, block: bytes) -> bytes:
        """The next entry, in the target dialect and with its ids."""
        self.offset = offset = self.offset + 1
        events = self.decoder.decode(block)
        if events and isinstance(last := events[-1], Error):
            self._untold = last
            events.pop()
        if self._opened:
            events = [event for event in events if not isinstance(event, Start)]
        packer = self._packer
        blocks = self.encoder.encode(events if packer is None else packer.feed(events))
        held = self.encoder.holds or (packer is not None and packer.holds)
        if len(blocks) == 1 and not held and not self.told:
            framed = b"%b%d\n%b" % (self._head, offset, blocks[0])
        else:
            framed = frame(self._head, self.group, offset, blocks, self._mark, self.seen, held=held)
        if held:
            self.told += len(blocks)
        else:
            self.whole, self.told, self.seen = offset, 0, 0
        return framed

    @property
    def group(self) -> Group:
        """Where it stands."""
        return Group(self.whole, self.told)

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        """The terminal entry, in the target dialect."""
        blocks: list[bytes] = []
        good = isinstance(last, Done) and last.outcome != "cancelled"
        if good and self._untold is not None:
            last, good = self._untold, False
        if self._packer is not None:
            blocks = self.encoder.encode(self._packer.end(good=good))
        return [*blocks, *self.encoder.end(usage, last)]

    def open_at(self, offset: int, start: Start) -> None:
        """Go on after `offset`, as if the answer's beginning had been rendered."""
        self.encoder.encode([start])
        self.offset = self.whole = offset
        self._opened = True

    def __str__(self) -> str:
        """The position after what was rendered, without its epoch."""
        return f"{self.whole + 1}.{self._mark + self.told}" if self.told else str(self.whole)


class TranslatedView:
    """The log, rendered in another dialect."""

    __slots__ = ("_base", "_cursor", "_last", "_stream", "format", "level")

    def __init__(self, stream: Stream, format: Format) -> None:
        self._stream = stream
        self._last: tuple[list[bytes], Group] | None = None
        self._base: Cursor | None = None  # where the log begins, once it has forgotten its beginning
        self._cursor: Cursor | None = None  # at the log's end, while there are level readers
        self.format = format
        self.level: list[Reader] = []

    def push(self, offset: int, block: bytes) -> None:
        """Send entry `offset` to the level readers."""
        cursor = self._cursor
        if cursor is None:
            return
        data = cursor.render(block)
        if data:
            for reader in self.level:
                reader.write(data)

    def read(self, reader: Reader, most: int) -> bytes:
        stream, log = self._stream, self._stream.log
        cursor = reader.cursor
        if cursor is None or cursor.offset < log.first:  # it may be overtaken on its way to where the reader stands
            cursor = reader.cursor = self._beginning()
        parts: list[bytes] = []
        size = steps = 0
        # Bounded in steps too: entries that say nothing in this dialect must not hold the event loop.
        while size < most and steps < STEPS and cursor.offset < log.last:
            steps += 1
            if cursor.offset < reader.offset - (reader.part > 0):
                cursor.render(_without_id(log.entry(cursor.offset + 1)))  # on the way to where the reader stands
                continue
            if reader.part:
                cursor.seen = blocks_seen(reader.part, stream.mark(self.format))
            data = cursor.render(_without_id(log.entry(cursor.offset + 1)))
            reader.offset, reader.part = cursor.offset, 0
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def ready(self, reader: Reader) -> bool:
        last = self._stream.log.last
        if reader.offset - (reader.part > 0) < last:
            return False
        if reader.cursor is not None:
            return reader.cursor.offset >= last
        # Nobody has rendered so far: the reader does, a stretch at a time.
        return self._cursor is not None or self._last is not None or not last

    def last(self, reader: Reader) -> bytes:
        stream = self._stream
        if self._last is None:
            self._last = self._render_last(reader)
        blocks, group = self._last
        cursor = reader.cursor
        seen = cursor.seen if cursor is not None and cursor.whole == group.whole else 0
        return _frame_last(stream, self.format, blocks, group, reader, seen)

    def position(self, reader: Reader) -> str:
        return f"{self._stream.epoch}:{reader.cursor or reader.offset}"

    def _render_last(self, reader: Reader) -> tuple[list[bytes], Group]:
        stream = self._stream
        assert stream.end is not None
        usage, _, last = stream.end
        cursor = self._cursor or copy.deepcopy(reader.cursor)
        if cursor is None or cursor.offset != stream.log.last:
            cursor = self._replayed(stream.log.last)
        blocks = cursor.encoder.encode([Start(stream.id, stream.about.model)]) if stream.end_offset == 1 else []
        blocks += cursor.end(usage, last)
        if isinstance(last, Done) and last.kept is not None:
            # Some have seen more than what is kept: the end comes after all of it.
            return blocks, Group(stream.end_offset - 1, 0)
        return blocks, cursor.group

    def forget(self, first: int) -> None:
        self._base = self._replayed(first)

    def rise(self, reader: Reader) -> None:
        if self._cursor is None:
            self._cursor = reader.cursor or self._replayed(self._stream.log.last)
            self._cursor.seen = 0  # what this reader may still claim to have seen, the others have not
        reader.cursor = None
        # A new list, for a push may be walking the old one.
        self.level = [*self.level, reader]

    def fall(self, reader: Reader) -> None:
        if reader in self.level:
            self.level = [other for other in self.level if other is not reader]
            reader.cursor = copy.deepcopy(self._cursor) if self.level else self._cursor
            if not self.level:
                self._cursor = None

    def _beginning(self) -> Cursor:
        """A cursor that has rendered what is forgotten, as every other cursor has."""
        stream, log = self._stream, self._stream.log
        if self._base is not None:
            return copy.deepcopy(self._base)
        cursor = Cursor(stream, self.format)
        if log.first:
            # The first reader of this dialect comes when the beginning is forgotten: the answer was opened long ago.
            cursor.open_at(log.first, Start(stream.id, stream.about.model))
        return cursor

    def _replayed(self, offset: int) -> Cursor:
        """A cursor that has rendered everything up to `offset`."""
        log, cursor = self._stream.log, self._beginning()
        while cursor.offset < offset:
            cursor.render(_without_id(log.entry(cursor.offset + 1)))
        return cursor


def _frame_last(stream: Stream, format: Format, blocks: list[bytes], group: Group, reader: Reader, seen: int) -> bytes:
    """The terminal entry for `reader`, which has `seen` so many of its group's blocks.

    A second part of it was the end in any rendering: who has seen that has seen all.
    """
    mark = stream.mark(format)
    if reader.offset >= stream.end_offset:
        seen = blocks_seen(reader.part, mark)
        if not reader.part or (reader.part % MARK > 1 and (not seen or len(blocks) == 1)):
            return b""
    return frame(b"id: %b:" % stream.epoch.encode(), group, stream.end_offset, blocks, mark, seen, held=False)


def _without_id(framed: bytes) -> bytes:
    return framed[framed.index(b"\n") + 1 :]
