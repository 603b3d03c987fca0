"""The log of one stream: its blocks, ids included, in order.

The newest entries are kept one by one: to append is to put one more object into a list. Every so often they are sealed
into a segment, one run of bytes with one array of end marks, so that an entry costs its own bytes and a few more, and a
reader that was away gets any stretch by one copy. The oldest entries can be forgotten; nothing is ever renumbered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple


class Segment(NamedTuple):
    """Entries `first + 1 .. first + len(ends)`."""

    first: int
    data: bytes
    ends: array[int]
    """Where each entry ends within `data`."""

    @property
    def last(self) -> int:
        return self.first + len(self.ends)

    def read(self, after: int, most: int) -> tuple[bytes, int]:
        """As `Log.read`, within this segment."""
        start = self._start(after)
        index = max(bisect_right(self.ends, start + most) - 1, after - self.first)
        return self.data[start : self.ends[index]], self.first + index + 1

    def split(self, offset: int) -> tuple[Segment, Segment]:
        """The entries up to `offset`, and those after it."""
        count, cut = offset - self.first, self._start(offset)
        rest = array("L", (end - cut for end in self.ends[count:]))
        return Segment(self.first, self.data[:cut], self.ends[:count]), Segment(offset, self.data[cut:], rest)

    def fits(self, surplus: int) -> int:
        """The first offset up to which the entries have at least `surplus` bytes; the last one if there is none."""
        return min(self.first + bisect_right(self.ends, surplus - 1) + 1, self.last)

    def _start(self, after: int) -> int:
        return self.ends[after - self.first - 1] if after > self.first else 0


class Log:
    """Entries `first + 1 .. last`, contiguous. Offsets count from 1; `first` is the last offset that was forgotten."""

    __slots__ = ("_forgotten", "_segments", "_size", "first", "tail")

    def __init__(self) -> None:
        self.first = 0
        self.tail: list[bytes] = []
        """The entries that are not sealed yet. The list is the same one for the log's whole life."""
        self._segments: list[Segment] = []
        self._size = 0  # of the segments
        self._forgotten = 0  # bytes

    def append(self, framed: bytes) -> None:
        """Add one entry at offset `last + 1`."""
        self.tail.append(framed)

    def seal(self) -> None:
        """Make one segment of the tail. Whoever appends calls it now and then: `size` counts what was sealed."""
        if self.tail:
            first = self._sealed
            data = b"".join(self.tail)
            self._segments.append(Segment(first, data, array("L", accumulate(map(len, self.tail)))))
            self._size += len(data)
            self.tail.clear()

    @property
    def last(self) -> int:
        """The offset of the newest entry."""
        return self._sealed + len(self.tail)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size + sum(map(len, self.tail))

    @property
    def total(self) -> int:
        """Bytes ever appended."""
        return self._forgotten + self.size

    def read(self, after: int, most: int) -> tuple[bytes, int]:
        """Entries after offset `after`: about `most` bytes of them, whole and at least one, and the offset of the last.

        Raises IndexError if some of them were forgotten. Nothing new gives `(b"", after)`.
        """
        if after < self.first:
            raise IndexError(after)
        if after >= self.last:
            return b"", after
        parts: list[bytes] = []
        offset, room = after, most
        for segment in self._segments[self._index(after) :]:
            if parts and room < segment.ends[0]:
                return b"".join(parts), offset
            data, offset = segment.read(offset, room)
            parts.append(data)
            room -= len(data)
            if offset < segment.last:
                return b"".join(parts), offset
        for framed in self.tail[offset - self._sealed :]:
            if parts and room < len(framed):
                break
            parts.append(framed)
            room -= len(framed)
            offset += 1
        return b"".join(parts), offset

    def entry(self, offset: int) -> bytes:
        """One entry, id included. Raises IndexError if it was forgotten or is not there yet."""
        if not self.first < offset <= self.last:
            raise IndexError(offset)
        sealed = self._sealed
        if offset > sealed:
            return self.tail[offset - sealed - 1]
        return self._segments[self._index(offset - 1)].read(offset - 1, 0)[0]

    def first_after(self, size: int, keep_after: int) -> int:
        """What `first` would be if the oldest entries were forgotten until at most `size` bytes are kept.

        None after offset `keep_after` is given up for it.
        """
        surplus = self.size - size
        first = self.first
        for segment in self._segments:
            if surplus <= 0:
                break
            first = segment.fits(surplus)
            surplus -= len(segment.data)
        else:
            for framed in self.tail:
                if surplus <= 0:
                    break
                first += 1
                surplus -= len(framed)
        return max(min(first, keep_after), self.first)

    def forget(self, size: int, keep_after: int) -> None:
        """Forget the oldest entries, as `first_after` says."""
        first = self.first_after(size, keep_after)
        if first == self.first:
            return
        self.seal()
        index = self._index(first)
        gone = self._segments[:index]
        del self._segments[:index]
        if self._segments and self._segments[0].first < first:
            part, self._segments[0] = self._segments[0].split(first)
            gone.append(part)
        freed = sum(len(segment.data) for segment in gone)
        self._size -= freed
        self._forgotten += freed
        self.first = first

    def drop_after(self, offset: int) -> None:
        """Drop the text of the entries after `offset`; their numbers stay used. Later reads end at `offset`.

        If entry `offset` itself was forgotten, nothing is left.
        """
        offset = max(offset, self.first)
        if offset >= self.last:
            return
        self.seal()
        index = self._index(offset)
        kept, _ = self._segments[index].split(offset)
        self._segments[index:] = [kept] if kept.ends else []
        self._size = sum(len(segment.data) for segment in self._segments)

    @property
    def _sealed(self) -> int:
        """The last offset of the segments."""
        return self._segments[-1].last if self._segments else self.first

    def _index(self, after: int) -> int:
        """Which segment holds entry `after + 1`; their number if none does."""
        return bisect_right(self._segments, after, key=lambda segment: segment.last)
