"""Views: every block is a resume point, in every dialect and across them."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.dialects import DIALECTS
from penstock.dialects.native import encode_event
from penstock.streams.framing import UNSEEN, Format, part_mark
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Terminal, Token, ToolCall, Usage
from tests.streams.river import (
    ABOUT,
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


# -- from one rendering into another ---------------------------------------------------------------------------------------

CALLS: dict[str, list[Event]] = {
    "0": [ToolCall(0, "c0", "look"), ToolCall(0, arguments='{"x"'), ToolCall(0, arguments=":1}")],
    "1": [ToolCall(1, "c1", "see"), ToolCall(1, arguments='{"y":2}')],
}
WORDS: dict[str, Event] = {"a": Token("a"), "b": Token("b"), "r": Reasoning("r")}


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Words, and two calls whose pieces come in turns or not, each to its end."""
    turns = draw(st.lists(st.sampled_from([*WORDS, *CALLS]), max_size=12))
    left = {name: list(pieces) for name, pieces in CALLS.items() if name in turns}
    told = []
    for turn in [*turns, *(name for name, pieces in left.items() for _ in pieces)]:
        if turn in WORDS:
            told.append(WORDS[turn])
        elif left[turn]:
            told.append(left[turn].pop(0))
    return [*told, Finish("completed")]


ANYHOW = [Format(dialect, True, delivery) for dialect in DIALECTS for delivery in ("stream", "tools", "buffer")]


class Said(NamedTuple):
    text: str
    reasoning: str
    calls: dict[int, tuple[str, str, str]]
    """Number -> id, name, arguments."""


def said(data: bytes, dialect: str) -> Said:
    decoder = DIALECTS[dialect].decoder(ABOUT)
    text, reasoning, calls = "", "", dict[int, tuple[str, str, str]]()
    for message in sse.Decoder().feed(data):
        if message.data == "[DONE]":
            continue
        for event in decoder.decode(sse.encode(message.data, message.event)):
            match event:
                case Token(more):
                    text += more
                case Reasoning(more):
                    reasoning += more
                case ToolCall(index, id, name, more):
                    before = calls.get(index, ("", "", ""))
                    calls[index] = (before[0] or id or "", before[1] or name or "", before[2] + more)
                case _:
                    pass
    return Said(text, reasoning, calls)


def covered(whole: str, before: str, after: str) -> bool:
    """`before` and then `after` tell all of `whole`, perhaps some of it twice."""
    if not whole.startswith(before) or not whole.endswith(after):
        # A call that came whole after its beginning had come already.
        return after == whole
    return len(before) + len(after) >= len(whole)


@settings(deadline=None, max_examples=400)
@given(
    log=answers(),
    taken=st.sampled_from(ANYHOW),
    resumed=st.sampled_from([format for format in ANYHOW if format.dialect in ("native", "openai-chat")]),
    home=st.sampled_from(ANYHOW),
    ended=st.booleans(),
)
async def test_a_position_of_any_rendering_loses_nothing_in_another(
    log: list[Event], taken: Format, resumed: Format, home: Format, ended: bool
) -> None:
    stream, first = new_stream(Time().wheel), Bowl()
    stream.home = home
    for entry in entries_of("native", log):
        stream.append(entry)
    if ended:
        stream.finish(1.0, USAGE, None, LASTS[0])
    follow(stream, first, taken)
    whole = Bowl()
    follow(stream, whole, NATIVE)
    all_of_it = said(bytes(whole.data), "native")
    blocks = [block + b"\n\n" for block in bytes(first.data).split(b"\n\n")[:-1]]
    for count, id in enumerate(first.ids, 1):
        before = said(b"".join(blocks[:count]), taken.dialect)
        bowl = Bowl()
        if not stream.all_seen(stream.position(id), resumed):
            follow(stream, bowl, resumed, id)
        if not ended and (taken.delivery, resumed.delivery) != ("stream", "stream"):
            continue  # what is held back has yet to come
        after = said(bytes(bowl.data), resumed.dialect)
        assert covered(all_of_it.text, before.text, after.text), id
        assert covered(all_of_it.reasoning, before.reasoning, after.reasoning), id
        for index, call in all_of_it.calls.items():
            # Some dialects number calls in their own way.
            known = next((other for other in before.calls.values() if other[1] == call[1]), ("", "", ""))
            more = after.calls.get(index, ("", "", ""))
            assert known[0] or more[0], id
            assert call[1] in (known[1], more[1]), id
            assert covered(call[2], known[2], more[2]), id


@settings(deadline=None, max_examples=400)
@given(
    log=answers(),
    format=st.sampled_from(ANYHOW),
    home=st.sampled_from(ANYHOW),
    ended=st.booleans(),
)
async def test_in_one_rendering_what_follows_a_position_is_exact(
    log: list[Event], format: Format, home: Format, ended: bool
) -> None:
    stream, whole = new_stream(Time().wheel), Bowl()
    stream.home = home
    for entry in entries_of("native", log):
        stream.append(entry)
    if ended:
        stream.finish(1.0, USAGE, None, LASTS[0])
    follow(stream, whole, format)
    assert all(a < b for a, b in itertools.pairwise(map(order, whole.ids)))
    blocks = [block + b"\n\n" for block in bytes(whole.data).split(b"\n\n")[:-1]]
    for count, id in enumerate(whole.ids, 1):
        rest = Bowl()
        seen = stream.all_seen(stream.position(id), format)
        assert seen == (ended and count == len(blocks))
        if not seen:
            follow(stream, rest, format, id)
            assert bytes(rest.data) == b"".join(blocks[count:])


async def test_a_reader_that_is_overtaken_on_its_way_to_its_place_gets_there(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It resumes near the end, in a dialect that nobody has rendered, while the log forgets what it goes through."""
    monkeypatch.setattr("penstock.streams.view.STEPS", 2)
    monkeypatch.setattr("penstock.streams.reader.SILENT_READS", 1)
    stream, live, late = new_stream(time.wheel, retain=4000), Bowl(), Bowl()
    follow(stream, live)
    for entry in entries_of("native", [Token("a")] * 60):
        stream.append(entry)
    follow(stream, late, CHAT, f"{EPOCH}:{stream.produced}")
    for _ in range(40):
        for _ in range(3):
            stream.append(encode_event(Token("b")))
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert stream.log.first > 60
    assert late.reader is not None
    assert late.reader.is_level
    stream.finish(1.0, USAGE, None, LASTS[0])
    assert bytes(late.data).count(b'"content":"b"') == 120
    assert late.ended


async def test_one_reader_s_defect_keeps_nobody_from_the_end(time: Time) -> None:
    stream, broken, others = new_stream(time.wheel), Bowl(room=1), [Bowl(room=1) for _ in range(5)]
    stream.append(encode_event(Token("a")))
    for bowl in (broken, *others):
        follow(stream, bowl)
    ended: list[str] = []
    stream.on_end.append(lambda stream: ended.append(stream.id))
    assert broken.reader is not None

    def fails() -> None:
        raise RuntimeError("a defect")

    broken.full = False
    for bowl in others:
        bowl.full = False
    object.__setattr__(broken, "write", lambda data: fails())
    broken.reader.write = broken.write
    stream.finish(1.0, USAGE, None, LASTS[0])
    assert broken.aborted
    assert all(bowl.ended for bowl in others)
    assert ended == [stream.id]


@pytest.mark.parametrize("format", ANYHOW)
async def test_who_saw_more_than_a_cancel_keeps_gets_an_end_that_comes_after_it(time: Time, format: Format) -> None:
    stream, ahead = new_stream(time.wheel), Bowl()
    follow(stream, ahead, format)
    for entry in entries_of("native", [Token("a"), *CALLS["0"], *CALLS["1"], Token("b")]):
        stream.append(entry)
    seen = ahead.ids[-1] if ahead.ids else None
    assert ahead.reader is not None
    ahead.reader.lost()
    stream.finish(1.0, USAGE, None, Done("cancelled", 3))
    again = Bowl()
    follow(stream, again, format, seen)
    ids = [*ahead.ids, *again.ids]
    assert all(a < b for a, b in itertools.pairwise(map(order, ids)))
    late = Bowl()
    follow(stream, late, format)
    assert again.names == late.names[-len(again.names) :]
    assert len(again.names) >= 1


async def test_what_one_reader_claims_to_have_seen_is_kept_from_nobody_else(time: Time) -> None:
    """Anybody can send any position: `e1:2.<mark>900` of a rendering in which nothing was told yet."""
    stream, liar, other = new_stream(time.wheel), Bowl(), Bowl()
    gemini = Format("gemini", True)
    for entry in entries_of("native", [ToolCall(0, "c0", "look")]):
        stream.append(entry)
    follow(stream, liar, gemini, f"{EPOCH}:2.{part_mark(gemini, NATIVE) + 900}")
    follow(stream, other, gemini)
    for event in (ToolCall(0, arguments="{}"), Token("two"), Token("three")):
        stream.append(encode_event(event))
    assert said(bytes(other.data), "gemini") == Said("twothree", "", {0: ("c0", "look", "{}")})


@pytest.mark.parametrize("dialect", ["native", "openai-chat"])
async def test_who_waits_for_the_whole_is_shown_nothing_and_told_the_end(time: Time, dialect: str) -> None:
    stream, early, late = new_stream(time.wheel), Bowl(), Bowl()
    follow(stream, early, UNSEEN)
    stream.become(dialect)
    for entry in entries_of(dialect, EVENTS):
        stream.append(entry)
    follow(stream, late, UNSEEN)
    assert not early.ended
    stream.finish(1.0, USAGE, None, LASTS[0])
    assert (early.ended, early.data, late.ended, late.data) == (True, b"", True, b"")
    assert not stream.readers
