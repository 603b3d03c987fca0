"""The log of one stream: its blocks, ids included, in one run of bytes.

A log is one `bytearray` and one array of end marks, so an event costs its own bytes and eight more, and a reader that was
away gets any stretch of it by one copy. The oldest entries can be forgotten; nothing is ever renumbered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right


class Log:
    """Entries `first + 1 .. last`, contiguous. Offsets count from 1; `first` is the last offset that was forgotten."""

    __slots__ = ("_base", "_ends", "data", "first", "last")

    def __init__(self) -> None:
        self.first = 0
        self.last = 0
        self.data = bytearray()
        self._ends = array("Q")
        self._base = 0  # bytes forgotten: end marks count from the very beginning

    def append(self, framed: bytes) -> None:
        """Add one entry at offset `last + 1`."""
        self.last += 1
        self.data += framed
        self._ends.append(self._base + len(self.data))

    @property
    def size(self) -> int:
        """Bytes kept."""
        return len(self.data)

    @property
    def total(self) -> int:
        """Bytes ever appended."""
        return self._base + len(self.data)

    def read(self, after: int, most: int) -> tuple[bytes, int]:
        """Entries after offset `after`: about `most` bytes of them, whole and at least one, and the offset of the last.

        Raises IndexError if some of them were forgotten. Nothing new gives `(b"", after)`.
        """
        if after < self.first:
            raise IndexError(after)
        if after >= self.last:
            return b"", after
        ends, base = self._ends, self._base
        start = self._end_of(after)
        index = max(bisect_right(ends, start + most) - 1, after - self.first)
        return bytes(self.data[start - base : ends[index] - base]), self.first + index + 1

    def entry(self, offset: int) -> bytes:
        """One entry, id included. Raises IndexError if it was forgotten or is not there yet."""
        if not self.first < offset <= self.last:
            raise IndexError(offset)
        start = self._end_of(offset - 1) - self._base
        return bytes(self.data[start : self._ends[offset - self.first - 1] - self._base])

    def bytes_after(self, offset: int) -> int:
        """How many bytes a reader at `offset` has before it."""
        return self.total - self._end_of(min(max(offset, self.first), self.last))

    def first_after(self, size: int, keep_after: int) -> int:
        """What `first` would be if the oldest entries were forgotten until at most `size` bytes are kept.

        None after offset `keep_after` is given up for it.
        """
        surplus = len(self.data) - size
        if surplus <= 0:
            return self.first
        count = bisect_left(self._ends, self._base + surplus) + 1
        return self.first + min(count, len(self._ends), max(keep_after - self.first, 0))

    def forget(self, size: int, keep_after: int) -> None:
        """Forget the oldest entries, as `first_after` says."""
        count = self.first_after(size, keep_after) - self.first
        if count:
            cut = self._ends[count - 1] - self._base
            del self.data[:cut]
            del self._ends[:count]
            self._base += cut
            self.first += count

    def drop_after(self, offset: int) -> None:
        """Drop the text of the entries after `offset`; their numbers stay used. Later reads end at `offset`.

        If entry `offset` itself was forgotten, nothing is left.
        """
        offset = max(offset, self.first)
        if offset < self.last:
            del self.data[self._end_of(offset) - self._base :]
            del self._ends[offset - self.first :]
            self.last = offset

    def _end_of(self, offset: int) -> int:
        return self._ends[offset - self.first - 1] if offset > self.first else self._base
