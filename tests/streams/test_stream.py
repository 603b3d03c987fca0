"""Streams: where a client may resume, how an answer ends, and how much of it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.native import encode_event
from penstock.exceptions import InvalidPosition, Refused
from penstock.wire.events import Done, Error, Start, Terminal, Token, Usage
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


class Producer:
    """Who writes the stream, and what it was asked for."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def deserted(self) -> None:
        self.heard.append("deserted")

    def pause(self) -> None:
        self.heard.append("pause")

    def resume(self) -> None:
        self.heard.append("resume")

    def overflow(self) -> None:
        self.heard.append("overflow")


async def test_positions(time: Time) -> None:
    stream = new_stream(time.wheel)
    for entry in entries_of("native", [Token(letter) for letter in "abcd"]):
        stream.append(entry)
    assert stream.position(None) == stream.position("") == (EPOCH, 0, 0)
    assert stream.position(f"{EPOCH}:3") == (EPOCH, 3, 0)
    for wrong in ("x", f"{EPOCH}:99", f"{EPOCH}:6"):
        with pytest.raises(InvalidPosition):
            stream.position(wrong)
    with pytest.raises(Refused) as refused:
        stream.position("other:3")
    assert (refused.value.status, refused.value.code) == (410, "resume_expired")


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_only_the_first_end_counts(time: Time) -> None:
    stream, bowl = new_stream(time.wheel), Bowl()
    heard: list[str] = []
    stream.on_end.append(lambda stream: heard.append("end"))
    follow(stream, bowl)
    stream.append(encode_event(Token("a")))
    for last in LASTS:
        stream.finish(1.0, None, None, last)
    assert bowl.names == ["token", "done"]
    assert stream.end_offset == stream.produced == 2
    assert heard == ["end"]


async def test_an_answer_without_a_word_still_starts(time: Time) -> None:
    for format, names in ((NATIVE, ["start", "usage", "done"]), (CHAT_PLAIN, ["message", "message"])):
        stream, bowl = new_stream(time.wheel), Bowl()
        follow(stream, bowl, format)
        stream.finish(1.0, USAGE, None, LASTS[0])
        assert bowl.names == names
        assert bowl.ended
        assert list(stream.events()) == [Start("s1", "m"), USAGE, LASTS[0]]


async def test_the_upstream_s_own_usage_block_goes_to_clients_of_its_dialect(time: Time) -> None:
    held = b'data: {"choices":[],"usage":{"prompt_tokens":1,"x_vendor":true}}\n\n'
    stream = new_stream(time.wheel, "openai-chat")
    bowls = {format: Bowl() for format in FORMATS}
    for format, bowl in bowls.items():
        follow(stream, bowl, format)
    for entry in entries_of("openai-chat", []):
        stream.append(entry)
    stream.finish(1.0, Usage(1), held, LASTS[0])
    assert held in bowls[CHAT].data
    assert b"usage" not in bowls[CHAT_PLAIN].data
    assert bowls[NATIVE].names == ["start", "usage", "done"]


@pytest.mark.parametrize("kept", [0, 1, 3, 5])
async def test_after_a_cancel_the_text_kept_is_the_text_seen(time: Time, kept: int) -> None:
    stream, level, behind = new_stream(time.wheel), Bowl(), Bowl(10)
    follow(stream, level)
    follow(stream, behind)
    entries = entries_of("native", [Token(letter) for letter in "abcdef"])
    for entry in entries:
        stream.append(entry)
    stream.finish(1.0, None, None, Done("cancelled", kept))
    assert level.text == "abcdef"  # it was sent already, and stays on the screen of whoever did not stop
    behind.drain()
    late = Bowl()
    follow(stream, late)
    shown = [Token(letter) for letter in "abcdef"][: max(kept - 1, 0)]
    assert late.text == behind.text == "".join(token.text for token in shown)
    assert [event for event in stream.events() if isinstance(event, Token)] == shown
    for bowl in (level, behind, late):
        assert bowl.ended
        assert bowl.ids[-1] == f"{EPOCH}:8"
        assert bowl.names.count("done") == 1
    resumed = Bowl()
    follow(stream, resumed, after=f"{EPOCH}:7")
    assert resumed.names == ["done"]


# -- its size ---------------------------------------------------------------------------------------------------------


def token(size: int = 100) -> bytes:
    return encode_event(Token("x" * size))


async def test_a_level_reader_lets_the_oldest_go(time: Time) -> None:
    stream, bowl = new_stream(time.wheel, retain=1000), Bowl()
    stream.producer = producer = Producer()
    follow(stream, bowl)
    for _ in range(100):
        stream.append(token())
    assert stream.log.size <= 1000 + 1000 // 8
    assert bowl.ids == [f"{EPOCH}:{offset}" for offset in range(1, 101)]
    assert producer.heard == []
    with pytest.raises(Refused) as refused:
        stream.position(f"{EPOCH}:1")
    assert (refused.value.status, refused.value.code) == (410, "resume_expired")


async def test_a_reader_behind_a_level_one_is_told_that_it_is_too_slow(time: Time) -> None:
    stream, quick, slow = new_stream(time.wheel, retain=1000), Bowl(), Bowl(300)
    follow(stream, quick)
    follow(stream, slow)
    for _ in range(100):
        stream.append(token())
    slow.drain()
    *seen, last = slow.messages
    assert last.event == "error"
    assert '"slow_reader"' in last.data
    assert '"retryable":true' in last.data
    assert slow.ended
    assert last.id == seen[-1].id  # where it stood: resuming there is answered with 410
    stream.finish(1.0, None, None, LASTS[0])
    assert quick.names == ["token"] * 100 + ["done"]


async def test_when_all_are_behind_the_producer_waits(time: Time) -> None:
    stream, bowl = new_stream(time.wheel, retain=1000), Bowl(300)
    stream.producer = producer = Producer()
    follow(stream, bowl)
    appended = 0
    while "pause" not in producer.heard:
        stream.append(token())
        appended += 1
        assert appended < 100
    bowl.drain()
    assert producer.heard == ["pause", "resume"]
    assert bowl.ids == [f"{EPOCH}:{offset}" for offset in range(1, appended + 1)]


async def test_a_producer_that_waited_goes_on_when_the_last_reader_has_gone(time: Time) -> None:
    stream, bowl = new_stream(time.wheel, retain=1000), Bowl(300)
    stream.producer = producer = Producer()
    follow(stream, bowl).stream.producer = producer
    for _ in range(30):
        stream.append(token())
    assert bowl.reader is not None
    bowl.reader.lost()
    assert producer.heard == ["pause", "resume", "deserted"]


async def test_a_producer_that_waited_goes_on_when_a_new_reader_is_level(time: Time) -> None:
    stream, stuck, fresh = new_stream(time.wheel, retain=1000), Bowl(300), Bowl()
    stream.producer = producer = Producer()
    follow(stream, stuck)
    for _ in range(30):
        stream.append(token())
    assert producer.heard == ["pause"]
    follow(stream, fresh, after=f"{EPOCH}:{stream.produced}")
    assert producer.heard == ["pause", "resume"]


async def test_a_producer_that_waited_goes_on_when_the_slowest_has_gone(time: Time) -> None:
    """The one that was in the way is let go of after a while; the other is level and waits for more."""
    stream, stuck, fresh = new_stream(time.wheel, retain=1000), Bowl(300), Bowl()
    stream.producer = producer = Producer()
    follow(stream, stuck)
    for _ in range(30):
        stream.append(token())
    follow(stream, fresh, after=f"{EPOCH}:{stream.produced}")
    time.passes(100)
    assert stuck.aborted
    assert producer.heard == ["pause", "resume"]


async def test_held_forgets_nothing(time: Time) -> None:
    stream, bowl = new_stream(time.wheel, retain=1000), Bowl(100)
    stream.producer = producer = Producer()
    stream.holds += 1
    follow(stream, bowl)
    for _ in range(100):
        stream.append(token())
    assert stream.log.first == 0
    assert producer.heard == []
    assert sum(isinstance(event, Token) for event in stream.events()) == 100


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.lists(st.integers(0, 900), max_size=30))
async def test_what_a_waiting_producer_makes_is_bounded_and_nothing_is_lost(sizes: list[int], rooms: list[int]) -> None:
    """One reader, any schedule: as long as the producer waits when asked, the reader misses nothing."""
    stream, bowl = new_stream(Time().wheel, retain=1000), Bowl(200)
    stream.producer = producer = Producer()
    follow(stream, bowl)
    to_come, schedule = list(sizes), list(rooms)
    while to_come:
        if producer.heard[-1:] == ["pause"]:
            bowl.drain(schedule.pop() if schedule else 1500)
            continue
        stream.append(token(to_come.pop()))
        assert stream.log.size <= 1000 + 1000 // 8 + 400
    bowl.drain()
    stream.finish(1.0, None, None, LASTS[0])
    assert bowl.ids == [f"{EPOCH}:{offset}" for offset in range(1, len(sizes) + 2)]
    assert bowl.names[-1] == "done"
