"""The log, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.streams.log import Log

entries = st.binary(min_size=1, max_size=12)


class LogMachine(RuleBasedStateMachine):
    """Whatever is done to a log, it reads as a list of entries from which the oldest, or newest, were taken."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.kept: list[bytes] = []
        self.first = 0
        self.forgotten = 0
        self.dropped = False

    @property
    def last(self) -> int:
        return self.first + len(self.kept)

    @rule(entry=entries)
    def append(self, entry: bytes) -> None:
        if not self.dropped:  # a log whose end was dropped is a closed one
            self.log.append(entry)
            self.kept.append(entry)

    @rule(size=st.integers(0, 60), keep_after=st.integers(0, 30))
    def forget(self, size: int, keep_after: int) -> None:
        self.log.forget(size, keep_after)
        while sum(map(len, self.kept)) > size and self.first < keep_after and self.kept:
            self.forgotten += len(self.kept.pop(0))
            self.first += 1

    @rule(offset=st.integers(0, 30))
    def drop_after(self, offset: int) -> None:
        self.log.drop_after(offset)
        if offset < self.last:
            del self.kept[max(offset - self.first, 0) :]
            self.dropped = True

    @rule(after=st.integers(0, 30), most=st.integers(-1, 40))
    def read(self, after: int, most: int) -> None:
        if after < self.first:
            with pytest.raises(IndexError):
                self.log.read(after, most)
            return
        data, offset = self.log.read(after, most)
        if after >= self.last:
            assert (data, offset) == (b"", after)
            return
        run = self.kept[after - self.first : offset - self.first]
        assert data == b"".join(run)
        assert len(run) == 1 or (run and len(data) <= most)
        if offset < self.last:
            assert len(data) + len(self.kept[offset - self.first]) > most

    @rule(offset=st.integers(-1, 30))
    def entry(self, offset: int) -> None:
        if self.first < offset <= self.last:
            assert self.log.entry(offset) == self.kept[offset - self.first - 1]
        else:
            with pytest.raises(IndexError):
                self.log.entry(offset)

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @invariant()
    def agrees(self) -> None:
        assert (self.log.first, self.log.last) == (self.first, self.last)
        assert self.log.size == sum(map(len, self.kept))
        assert self.log.total == self.log.size + self.forgotten


TestLog = LogMachine.TestCase


def test_an_entry_is_never_cut() -> None:
    log = Log()
    log.append(b"large" * 100)
    log.append(b"small")
    assert log.read(0, 10) == (b"large" * 100, 1)
    assert log.read(1, 10) == log.read(1, 2) == log.read(1, 0) == (b"small", 2)
    assert log.read(2, 10) == (b"", 2)


def test_nothing_is_renumbered() -> None:
    log = Log()
    for letter in b"abcdef":
        log.append(bytes([letter]))
    log.forget(2, 6)
    log.append(b"g")
    assert (log.first, log.last) == (4, 7)
    assert log.read(4, 100) == (b"efg", 7)
    assert log.total == 7


def test_dropping_what_was_forgotten_leaves_nothing() -> None:
    log = Log()
    for letter in b"abcd":
        log.append(bytes([letter]))
    log.forget(2, 4)
    log.drop_after(1)
    assert (log.first, log.last, log.size) == (2, 2, 0)
    assert log.read(2, 10) == (b"", 2)
