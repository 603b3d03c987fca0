"""Streams: the durable, ordered, resumable record of one answer.

One producer appends, any number of readers follow. Appending writes to every level reader in the same call; there is no
queue, task or await between the upstream's bytes and the clients'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from penstock.dialects import DIALECTS
from penstock.dialects.base import Description
from penstock.exceptions import InvalidPosition, Refused
from penstock.streams.delivery import Delivery
from penstock.streams.framing import UNSEEN, Format, part_mark
from penstock.streams.log import Log
from penstock.streams.reader import NOWHERE, STUCK_AFTER, Reader, Sink
from penstock.streams.timing import Timing
from penstock.streams.trace import Trace
from penstock.streams.view import SourceView, TranslatedView, UnseenView, View
from penstock.streams.wheel import Wheel
from penstock.wire.events import Done, Event, Start, Terminal, Usage
from penstock.wire.position import Position, parse_position

log = logging.getLogger("penstock.streams")

RETAIN_BYTES = 4 * 1024 * 1024
"""How much of a stream is kept, by default (4 MiB)."""

SEGMENT_ENTRIES = 64
"""After this many entries, or one of `LARGE_BYTES`, the log is sealed and its size looked at ..."""

LARGE_BYTES = 4096

SMALL_LOG_BYTES = 256 * 1024
"""... but at every entry where less than this is retained."""

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An answer longer than this (64 MiB) is ended as `limit_exceeded`."""


class End(NamedTuple):
    """How a stream ended. `held` is the upstream's own usage block, for clients of its dialect."""

    usage: Usage | None
    held: bytes | None
    last: Terminal


class Producer(Protocol):
    """Who writes a stream, and hears of what it needs."""

    def deserted(self) -> None:
        """The last reader has left while the stream is live."""

    def pause(self) -> None:
        """The log is full and every reader is behind: produce no more for now."""

    def resume(self) -> None:
        """There is room again."""

    def overflow(self) -> None:
        """The answer is larger than an answer may be."""


class Stream:
    """See the module. `dialect` is that of the log, `about` what encoders may say of it."""

    __slots__ = (
        "_head",
        "_paused",
        "_roof",
        "_seal_after",
        "_tail",
        "_translated",
        "_views",
        "_wheel",
        "_writes",
        "about",
        "delivery",
        "dialect",
        "dropped",
        "end",
        "end_offset",
        "ended_at",
        "epoch",
        "holds",
        "home",
        "log",
        "on_end",
        "produced",
        "producer",
        "readers",
        "refusal",
        "response_format",
        "retain",
        "tenant",
        "timing",
        "trace",
    )

    def __init__(
        self, about: Description, *, tenant: str, dialect: str, epoch: str, wheel: Wheel, retain: int = RETAIN_BYTES
    ) -> None:
        self.about = about
        self.tenant = tenant
        self.dialect = dialect
        self.dropped: Sequence[str] = ()
        """What of the request its upstream could not be told."""
        self.epoch = epoch
        self.retain = retain
        self.log = Log()
        self.end: End | None = None
        self.end_offset = 0
        self.ended_at = 0.0
        self.refusal: Refused | None = None
        """Why no answer was begun, if so: callers that have not been answered yet are told this instead of a stream."""
        self.produced = 0
        """Entries that were ever appended: the last offset that was given."""
        self.readers: set[Reader] = set()
        self.producer: Producer | None = None
        self.on_end: list[Callable[[Stream], None]] = []
        self.delivery: Delivery = "stream"
        """How the client that began it wants it. Other readers may see it in other ways."""
        self.response_format: dict[str, Any] | None = None
        """What a whole answer must be, if it is delivered as one."""
        self.holds = 0
        """How many want the whole answer: as long as there is one, nothing is forgotten."""
        self.home: Format | None = None
        """The rendering that it was asked for: the parts of its positions have small numbers."""
        self._head = f"id: {epoch}:".encode()
        self._tail = self.log.tail
        self._seal_after = SEGMENT_ENTRIES if retain > SMALL_LOG_BYTES else 1
        self.trace = Trace(wheel.now())
        self.timing: Timing | None = None
        self._views: tuple[View, ...] = ()
        self._translated: tuple[TranslatedView, ...] = ()
        self._writes: tuple[Callable[[bytes], None], ...] = ()
        self._wheel = wheel
        self._paused = False
        self._roof = retain + retain // 8  # forgetting a stretch at a time costs nothing per event

    @property
    def id(self) -> str:
        return self.about.stream

    @property
    def paused(self) -> bool:
        """The log is full: its producer is to wait."""
        return self._paused

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, block: bytes) -> None:
        """Append one canonical block, in the log's dialect. Level readers have it when this returns."""
        self.produced = offset = self.produced + 1
        framed = b"%b%d\n%b" % (self._head, offset, block)
        tail = self._tail
        tail.append(framed)
        for write in self._writes:
            write(framed)
        for view in self._translated:
            view.push(offset, block)
        if len(tail) >= self._seal_after or len(framed) > LARGE_BYTES:
            self.log.seal()
            if self.log.size > self._roof:
                if self.log.total > MAX_ANSWER_BYTES and self.producer is not None:
                    self.producer.overflow()  # here, and not where readers fall behind: that may be within an append
                self._make_room()

    def finish(self, now: float, usage: Usage | None, held: bytes | None, last: Terminal) -> None:
        """Append the terminal entry. Only the first call counts: there is exactly one, whatever happens."""
        if self.end is not None:
            return
        self.end = End(usage, held, last)
        self.produced = self.end_offset = self.produced + 1
        self.ended_at = now
        kept = last.kept if isinstance(last, Done) else None
        level = [reader for reader in self.readers if reader.is_level]
        for reader in level:
            reader.offset = self.end_offset - 1
            reader.part = 0
            self._let_end(reader, reader.finish)
        if kept is not None:
            self.log.drop_after(kept)
        for reader in list(self.readers):
            self._let_end(reader, reader.pump)
        for callback in self.on_end:
            callback(self)
        self.on_end.clear()

    def _let_end(self, reader: Reader, end: Callable[[], None]) -> None:
        try:
            end()
        except Exception:  # a defect of one reader's must not keep the others from the end
            log.exception("stream %s: a reader in %s failed", self.id, reader.view.format.dialect)
            self.readers.discard(reader)
            reader.ended = True
            reader.sink.abort()

    def become(self, dialect: str) -> None:
        """The upstream that answers speaks `dialect`: so does the log, from its first entry on."""
        if dialect == self.dialect:
            return
        assert not self.produced
        self.dialect = dialect
        before, self._views, self._translated = self._views, (), ()
        for old in before:
            view = self._view(old.format)
            for reader in self.readers:
                if reader.view is old:
                    reader.view, reader.cursor = view, None
            for reader in old.level:
                view.rise(reader)
        self.level_changed()

    # -- reading ---------------------------------------------------------------------------------------------------

    def position(self, text: str | None) -> Position:
        """A client's words for where it stands; none = before the first. Raises InvalidPosition or Refused (410)."""
        after = Position(self.epoch, 0) if not text else parse_position(text)
        if after.epoch != self.epoch:
            raise Refused(410, "resume_expired", "the log that this position belongs to is gone", retryable=False)
        if after.offset > self.produced:
            raise InvalidPosition(str(after))
        if after.offset - (after.part > 0) < self.log.first:
            raise Refused(410, "resume_expired", "what follows this position is no longer kept", retryable=False)
        return after

    def all_seen(self, after: Position, format: Format) -> bool:
        """The stream has ended, and nothing at all follows `after`."""
        if self.end is None:
            return False
        if after.offset >= self.end_offset and not after.part:
            return True
        view = self._view(format)
        reader = Reader(self, view, NOWHERE, after.offset, after.part)
        # The log's own last block may be the end: then nothing follows it.
        return (after.offset >= self.end_offset or view.ready(reader)) and not view.last(reader)

    def mark(self, format: Format) -> int:
        """What the parts of positions begin with in `format`."""
        if self.home is None:
            self.home = format
        return part_mark(format, self.home)

    def attach(self, sink: Sink, format: Format, after: Position) -> Reader:
        """Follow the stream from `after` into `sink`. Whatever is there is written before this returns."""
        reader = Reader(self, self._view(format), sink, after.offset, after.part)
        self.readers.add(reader)
        self.trace.note(
            self._wheel.now(), "attached", format=format.dialect, after=str(after) if after.offset else None
        )
        return reader

    def leave(self, reader: Reader) -> None:
        """`reader` follows no more."""
        self.readers.discard(reader)
        if self.end is None:
            self.trace.note(self._wheel.now(), "detached", format=reader.view.format.dialect, readers=len(self.readers))
        if reader.is_level:
            reader.is_level = False
            reader.view.fall(reader)
        reader.cursor = None
        if self.end is None and self.producer is not None:
            self.relieve()
            if not self.readers:
                self.producer.deserted()

    def comment(self, text: bytes, *, translated: bool = False) -> None:
        """Write a comment to every level reader, or to those who see the log translated: it is no event and has no offset."""
        for view in self._translated if translated else self._views:
            for reader in view.level:
                reader.write(text)

    def events(self, more: bytes = b"") -> Iterator[Event]:
        """Every kept event, in order; after the end also the usage and the terminal one. Raises ProtocolError.

        `more` is a block that may follow those that are kept.
        """
        decoder = DIALECTS[self.dialect].decoder(self.about)
        if self.log.last == 0 and self.end is not None:
            yield Start(self.id, self.about.model)
        for block in self.blocks():
            yield from decoder.decode(block)
        if more:
            yield from decoder.decode(more)
        if self.end is not None:
            if self.end.usage is not None:
                yield self.end.usage
            yield self.end.last

    def blocks(self) -> Iterator[bytes]:
        """Every kept block, as its upstream wrote it."""
        for offset in range(self.log.first + 1, self.log.last + 1):
            entry = self.log.entry(offset)
            yield entry[entry.index(b"\n") + 1 :]

    # -- keeping its size --------------------------------------------------------------------------------------------

    def crowd(self) -> None:
        """A reader fell behind."""
        if self.log.size > self._roof:
            self._make_room()

    def relieve(self) -> None:
        """A reader moved on, or left: is there room again?"""
        if self._paused:
            self._make_room()
            if self.log.size <= self.retain and self.producer is not None:
                self._paused = False
                self.producer.resume()

    def release(self) -> None:
        """Somebody who wanted the whole answer has it, or wants it no more."""
        self.holds -= 1
        if not self.holds and self.log.size > self._roof:
            self._make_room()

    def watch_stuck(self, reader: Reader) -> None:
        """Let go of `reader` if its sink takes nothing for a long time."""
        if reader.watched:
            return
        reader.watched = True
        before = reader.progress

        def due(now: float) -> float | None:
            nonlocal before
            if reader.ended or not reader.sink.full:
                reader.watched = False
                return None
            if reader.progress == before:
                reader.lost()
                reader.sink.abort()
                return None
            before = reader.progress
            return now + STUCK_AFTER

        self._wheel.at(self._wheel.now() + STUCK_AFTER, due)

    def _make_room(self) -> None:
        """Forget the oldest, but nothing that the foremost reader has yet to see: rather produce no more for a while."""
        if self.holds:
            return
        foremost = self.log.last
        if self.readers and not any(reader.is_level for reader in self.readers):
            foremost = max(reader.offset - (reader.part > 0) for reader in self.readers)
        first = self.log.first_after(self.retain, foremost)
        if first > self.log.first:
            for view in self._views:
                view.forget(first)
            self.log.forget(self.retain, foremost)
        if self.log.size > self._roof and not self._paused and self.end is None and self.producer is not None:
            self._paused = True
            self.producer.pause()

    def _view(self, format: Format) -> View:
        for view in self._views:
            if view.format == format:
                return view
        if format == UNSEEN:
            self._views = (*self._views, unseen := UnseenView(self))
            return unseen
        if format.dialect == self.dialect and format.delivery == "stream":
            view = SourceView(self, format)
        else:
            view = TranslatedView(self, format)
            self._translated = (*self._translated, view)
        self._views = (*self._views, view)
        return view

    def level_changed(self) -> None:
        """A source view has other level readers than before: they all get the same bytes."""
        views = (view for view in self._views if isinstance(view, SourceView))
        self._writes = tuple(reader.write for view in views for reader in view.level)
