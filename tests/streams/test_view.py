"""Views: every block is a resume point, in every dialect and across them."""

from __future__ import annotations

import math

import pytest

from penstock.streams.view import Format
from penstock.wire.events import Done, Error, Event, Terminal, Token, ToolCall, Usage
from tests.streams.river import (
    CHAT,
    CHAT_PLAIN,
    EPOCH,
    FORMATS,
    NATIVE,
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


@pytest.fixture
def time() -> Time:
    return Time()


EVENTS: list[Event] = [Token("a"), ToolCall(0, "c", "f", "{}"), Token("b", 1), Token("c")]


@pytest.mark.parametrize("dialect", ["native", "openai-chat"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("ended", [False, True])
async def test_every_block_is_a_resume_point(time: Time, dialect: str, format: Format, ended: bool) -> None:
    stream = new_stream(time.wheel, dialect)
    entries = entries_of(dialect, EVENTS)
    for entry in entries:
        stream.append(entry)
    if ended:
        stream.finish(1.0, USAGE, None, LASTS[0])
    told = rendered(dialect, entries, format, USAGE, LASTS[0] if ended else None)
    whole = Bowl()
    follow(stream, whole, format)
    assert bytes(whole.data) == on_the_wire(told)
    for seen, (id, _) in enumerate(told, 1):
        if stream.all_seen(stream.position(id), format):
            assert ended
            assert seen == len(told)
            continue
        rest = Bowl()
        follow(stream, rest, format, id)
        assert bytes(rest.data) == on_the_wire(told[seen:])


def whole_last(id: str) -> tuple[int, float]:
    """Where an id stands among those of all dialects: a whole entry is past every part of it."""
    offset, part = order(id)
    return offset, part or math.inf


@pytest.mark.parametrize("dialect", ["native", "openai-chat"])
@pytest.mark.parametrize("ended", [False, True])
async def test_a_position_of_one_dialect_loses_nothing_in_another(time: Time, dialect: str, ended: bool) -> None:
    """A part of an entry was seen in one dialect: in one where it is a single block, it comes whole."""
    stream = new_stream(time.wheel, dialect)
    entries = entries_of(dialect, EVENTS)
    for entry in entries:
        stream.append(entry)
    if ended:
        stream.finish(1.0, USAGE, None, LASTS[0])
    last = LASTS[0] if ended else None
    for taken, resumed in ((NATIVE, CHAT), (CHAT, NATIVE), (CHAT, CHAT_PLAIN), (CHAT_PLAIN, CHAT)):
        told = rendered(dialect, entries, resumed, USAGE, last)
        for id, _ in rendered(dialect, entries, taken, USAGE, last):
            if stream.all_seen(stream.position(id), resumed):
                continue
            bowl = Bowl()
            follow(stream, bowl, resumed, id)
            must = [other for other, _ in told if whole_last(other) > whole_last(id)]
            assert [other for other in bowl.ids if other in must] == must
            assert all(int(other.split(":")[1].split(".")[0]) >= order(id)[0] for other in bowl.ids)


@pytest.mark.parametrize("dialect", ["native", "openai-chat"])
@pytest.mark.parametrize("taken", FORMATS)
@pytest.mark.parametrize("resumed", FORMATS)
async def test_who_has_seen_the_end_has_seen_all_in_any_dialect(
    time: Time, dialect: str, taken: Format, resumed: Format
) -> None:
    stream = new_stream(time.wheel, dialect)
    entries = entries_of(dialect, EVENTS)
    for entry in entries:
        stream.append(entry)
    stream.finish(1.0, USAGE, None, LASTS[0])
    *before, (end, _) = rendered(dialect, entries, taken, USAGE, LASTS[0])
    assert stream.all_seen(stream.position(end), resumed)
    assert not any(stream.all_seen(stream.position(id), resumed) for id, _ in before)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("dialect", ["native", "openai-chat"])
@pytest.mark.parametrize("format", FORMATS)
async def test_a_part_that_is_none_does_no_harm(time: Time, dialect: str, format: Format) -> None:
    """Anybody can send any position: this one names a part of an entry that has none."""
    stream = new_stream(time.wheel, dialect)
    for entry in entries_of(dialect, EVENTS):
        stream.append(entry)
    for offset in range(1, stream.produced + 1):
        bowl = Bowl()
        follow(stream, bowl, format, f"{EPOCH}:{offset}.999")
        assert bowl.reader is not None
        assert bowl.reader.is_level
        # An entry that is one block here comes whole; the parts of one that is several were all seen.
        assert not bowl.ids or int(bowl.ids[0].split(":")[1].split(".")[0]) in (offset, offset + 1)


@pytest.mark.parametrize(("dialect", "format"), [("openai-chat", NATIVE), ("native", CHAT_PLAIN)])
async def test_when_the_oldest_are_forgotten_a_translation_goes_on_as_before(
    time: Time, dialect: str, format: Format
) -> None:
    stream, level = new_stream(time.wheel, dialect, retain=2000), Bowl()
    follow(stream, level, format)
    for entry in entries_of(dialect, [Token("x" * 50, index) for index in (0, 1) * 40]):
        stream.append(entry)
    stream.finish(1.0, None, None, LASTS[0])
    assert stream.log.first > 0
    for number, id in enumerate(level.ids[:-1]):
        if order(id)[0] >= stream.log.first:
            rest = Bowl()
            follow(stream, rest, format, id)
            assert rest.messages == level.messages[number + 1 :]
