"""Readers: every schedule of full and empty sinks gives every reader the same answer."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from penstock.dialects import DIALECTS
from penstock.dialects.native import encode_event
from penstock.streams.framing import Format
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Start, Terminal, Usage
from tests.dialects.answers import pieces
from tests.streams.river import (
    FORMATS,
    Bowl,
    Time,
    entries_of,
    follow,
    new_stream,
    on_the_wire,
    order,
    rendered,
)

pytestmark = pytest.mark.anyio

LASTS: tuple[Terminal, ...] = (
    Done("completed"),
    Done("length"),
    Done("cancelled"),
    Error("stalled", "silent", True, "stalled"),
)
USAGE = Usage(1, 2)


class Following(RuleBasedStateMachine):
    """Any number of readers, each at its own pace: what each has seen is what stands in the log, from where it began."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.dialect = "native"
        self.stream = new_stream(self.time.wheel, self.dialect)
        self.entries: list[bytes] = []
        self.last: Terminal | None = None
        self.bowls: list[tuple[Bowl, Format, str | None]] = []
        self.add([Start("s1", "m")])

    def add(self, events: list[Event]) -> None:
        for event in events:
            self.entries.append(encode_event(event))
            self.stream.append(self.entries[-1])

    @precondition(lambda self: self.last is None)
    @rule(events=st.lists(pieces, min_size=1, max_size=3))
    def append(self, events: list[Event]) -> None:
        self.add(events)

    @precondition(lambda self: self.last is None)
    @rule()
    def comment(self) -> None:
        self.stream.comment(sse.KEEPALIVE)

    @precondition(lambda self: len(self.entries) > 2)
    @rule(last=st.sampled_from(LASTS))
    def finish(self, last: Terminal) -> None:
        self.stream.finish(self.time.clock(), USAGE, None, last)
        self.last = self.last or last

    @rule(data=st.data(), format=st.sampled_from(FORMATS), room=st.integers(-100, 400))
    def attach(self, data: st.DataObject, format: Format, room: int) -> None:
        told = rendered(self.dialect, self.entries, format, USAGE, self.last)
        after = data.draw(st.none() | st.sampled_from([id for id, _ in told]))
        if after is not None and self.stream.all_seen(self.stream.position(after), format):
            return
        bowl = Bowl(room, shut=room <= 0)
        self.bowls.append((bowl, format, after))
        follow(self.stream, bowl, format, after)

    @precondition(lambda self: self.bowls)
    @rule(data=st.data(), room=st.integers(0, 400))
    def drain(self, data: st.DataObject, room: int) -> None:
        bowl, *_ = data.draw(st.sampled_from(self.bowls))
        if not bowl.ended and bowl in (reader.sink for reader in self.stream.readers):
            bowl.drain(room)

    @precondition(lambda self: self.bowls)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """The network fails; the client comes back with the last id it saw."""
        number = data.draw(st.integers(0, len(self.bowls) - 1))
        bowl, format, after = self.bowls[number]
        assert bowl.reader is not None
        if not bowl.ended:  # who has seen all is told so by a 204, and does not come back
            bowl.reader.lost()
            again = Bowl()
            again.data = copy.copy(bowl.data)
            self.bowls[number] = (again, format, after)
            follow(self.stream, again, format, bowl.ids[-1] if bowl.messages else after)

    @invariant()
    def everybody_has_seen_the_same(self) -> None:
        for bowl, format, after in self.bowls:
            told = rendered(self.dialect, self.entries, format, USAGE, self.last)
            if after is not None:
                told = told[[id for id, _ in told].index(after) + 1 :]
            seen = bytes(bowl.data).replace(sse.KEEPALIVE, b"")
            expected = on_the_wire(told)
            assert expected.startswith(seen)
            if not bowl.full:
                assert seen == expected
            assert bowl.ended <= (self.last is not None and seen == expected)

    @invariant()
    def ids_only_rise(self) -> None:
        for bowl, *_ in self.bowls:
            ids = [order(id) for id in bowl.ids]
            assert all(a < b for a, b in itertools.pairwise(ids))

    def teardown(self) -> None:
        if self.last is None:
            self.finish(LASTS[0])
        for bowl, *_ in self.bowls:
            while not bowl.ended:
                bowl.drain(50)
        self.everybody_has_seen_the_same()
        assert not self.stream.readers


class FollowingChat(Following):
    def __init__(self) -> None:
        super().__init__()
        self.dialect = "openai-chat"
        self.stream = new_stream(self.time.wheel, self.dialect)
        self.entries.clear()
        self.bowls.clear()
        for block in entries_of("openai-chat", []):
            self.entries.append(block)
            self.stream.append(block)

    def add(self, events: list[Event]) -> None:
        for event in events:
            encoder = DIALECTS["openai-chat"].encoder(self.stream.about, include_usage=False)
            for block in encoder.encode([event]):
                self.entries.append(block)
                self.stream.append(block)


@pytest.mark.parametrize("machine", [Following, FollowingChat])
async def test_every_reader_sees_the_same_answer(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))
