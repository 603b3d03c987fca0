"""Recordings: what is kept of an answer is what its readers were told, however it came and however it ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conversations.recording import Recording
from penstock.conversations.records import Call, Message
from penstock.conversations.store import Place
from penstock.dialects.base import Description
from penstock.dialects.native import encode_event
from penstock.streams.framing import Format
from penstock.streams.stream import Stream
from penstock.streams.timing import Timing
from penstock.streams.wheel import Wheel
from penstock.wire.events import Done, Error, Event, Reasoning, Refusal, Start, Token, ToolCall, Usage
from penstock.wire.position import Position

pytestmark = pytest.mark.anyio
PLACE = Place("t", "talk-one", "a")


def recorded(stream: Stream) -> tuple[Recording, list[Recording]]:
    told: list[Recording] = []
    answer = Message(id="a", parent="q", role="assistant", created=1.0, model="m", stream=stream.id, state="streaming")
    recording = Recording(PLACE, answer, stream, told.append)
    stream.attach(recording, Format("native", True, "stream"), Position(stream.epoch, 0)).pump()
    return recording, told


def stream() -> Stream:
    made = Stream(Description("s", "m", 0), tenant="t", dialect="native", epoch="e", wheel=Wheel())
    made.append(encode_event(Start("s", "m")))
    return made


async def test_what_is_said_is_news_once() -> None:
    there = stream()
    recording, told = recorded(there)
    there.append(encode_event(Token("Be")))
    there.append(encode_event(Token("cause")))
    assert told == [recording], "the writer is woken once, however much is said until it comes"
    growth = recording.news()
    assert growth == (PLACE, "Because", "")
    assert recording.news() == growth, "until it is kept"
    recording.kept(growth)
    there.append(encode_event(Reasoning("Hm.")))
    assert recording.news() == (PLACE, "", "Hm.")


async def test_a_whole_answer() -> None:
    there = stream()
    there.timing = Timing(0.0)
    recording, told = recorded(there)
    for event in (
        Reasoning("Hm."),
        Token("a"),
        Token("other", index=1),
        Refusal("b"),
        ToolCall(1, "two", "g", ""),
        ToolCall(0, "one", "f", '{"q":'),
        ToolCall(0, arguments=" 1}"),
        ToolCall(0, "three", "h", choice=1),
    ):
        there.append(encode_event(event))
    recording.kept(recording.news())
    there.finish(3.0, Usage(5, 9), None, Done("tool_calls"))
    assert recording.ended
    whole = recording.message()
    assert (whole.text, whole.reasoning, whole.state, whole.outcome, whole.error) == (
        "ab",
        "Hm.",
        "ended",
        "tool_calls",
        None,
    )
    assert whole.tool_calls == [Call("one", "f", '{"q": 1}'), Call("two", "g", "")]
    assert (whole.usage or {})["output_tokens"] == 9
    assert whole.timing is not None
    assert whole.timing.total == 3.0
    assert told


async def test_an_answer_that_broke_off_keeps_what_was_said() -> None:
    there = stream()
    recording, _ = recorded(there)
    there.append(encode_event(Token("half")))
    there.finish(1.0, None, None, Error("stalled", "silent", True, "stalled"))
    whole = recording.message()
    assert (whole.text, whole.outcome) == ("half", "stalled")
    assert whole.error is not None
    assert (whole.error.code, whole.error.retryable) == ("stalled", True)


pieces = st.tuples(st.sampled_from([Token, Reasoning]), st.text(min_size=1, max_size=3), st.booleans())


@given(st.lists(pieces, max_size=30), st.integers(0, 31))
async def test_stopped_the_kept_text_is_the_seen_text(
    said: list[tuple[type[Token | Reasoning], str, bool]], seen: int
) -> None:
    there = stream()
    recording, _ = recorded(there)
    for kind, text, written in said:
        if written:
            recording.kept(recording.news())
        there.append(encode_event(kind(text)))
    seen = min(seen, len(said) + 1)
    there.finish(1.0, None, None, Done("cancelled", seen))
    whole = recording.message()
    kept: list[Event] = [kind(text) for kind, text, _ in said[: max(seen - 1, 0)]]
    assert whole.text == "".join(event.text for event in kept if isinstance(event, Token))
    assert whole.reasoning == "".join(event.text for event in kept if isinstance(event, Reasoning))
    assert whole.outcome == "cancelled"


steps = st.lists(st.one_of(st.text(min_size=1, max_size=3), st.sampled_from([1, 2, 3])), max_size=40)
LOOK, WRITE, WRITTEN = 1, 2, 3


@given(steps)
async def test_whoever_looks_while_it_is_being_written_down_takes_no_word_from_it(steps: list[str | int]) -> None:
    """The writer waits for the disk between `news` and `kept`; meanwhile words come, and somebody reads them."""
    there = stream()
    recording, _ = recorded(there)
    said, written, writing = "", "", None
    for step in steps:
        if isinstance(step, str):
            there.append(encode_event(Token(step)))
            said += step
        elif step == LOOK:
            assert recording.so_far().text == said
        elif step == WRITE:
            writing = recording.news()  # once more, if the first time failed
        elif writing is not None:
            recording.kept(writing)
            written, writing = written + writing.text, None
        assert said.startswith(written)
    assert written + recording.news().text == said
    there.finish(1.0, None, None, Done("completed"))
    assert recording.message().text == said
