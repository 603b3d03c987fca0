"""Continuation: an answer that broke off goes on at another upstream, and nobody gets a word twice."""

from __future__ import annotations

import pytest

from penstock.dialects.native import encode_event
from penstock.dialects.openai_chat import DONE
from penstock.streams.framing import Format
from penstock.streams.plan import Plan, Timeouts
from penstock.wire.events import Done, Error, Segment, Start, Token, Usage
from tests.streams.river import CHAT, Bowl, follow
from tests.streams.scene import FAILED, HELLO, ROLE, STOP, USED, chunk
from tests.streams.test_attempt import Stage

pytestmark = pytest.mark.anyio
TIMEOUTS = Timeouts(connect=1, first_token=10, silence=5, total=100)
PLAN = Plan(TIMEOUTS, continuation=True)
WORLD = chunk(content=" world")


def names(stage: Stage) -> list[str]:
    return stage.bowl.names


async def test_the_next_upstream_goes_on_where_one_broke_off() -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    stage.answers("a", ROLE, HELLO)
    stage.attempt("a").ended()
    assert stage.stream.end is None
    stage.answers("b", ROLE, WORLD, STOP, DONE)
    assert stage.text == "hello world"
    assert stage.last == Done("completed")
    assert names(stage) == ["start", "token", "segment", "token", "finish", "usage", "done"]
    assert stage.course.heard == ["a won", "a failed: upstream_truncated", "b won", "b completed"]
    assert stage.heard("a") == ["close"]
    assert stage.heard("b") == ["release"]


@pytest.mark.parametrize("how", ["an error in the stream", "garbage", "silence", "too slow"])
async def test_however_it_breaks_off(how: str) -> None:
    slow = PLAN._replace(timeouts=TIMEOUTS._replace(min_tokens_per_second=2))
    stage = Stage("openai-chat", "openai-chat", plan=slow if how == "too slow" else PLAN)
    stage.answers("a", HELLO)
    match how:
        case "an error in the stream":
            stage.attempt("a").feed(FAILED)
        case "garbage":
            stage.attempt("a").feed(b"data: <html>\n\n")
        case "silence":
            stage.time.passes(TIMEOUTS.silence + 0.5)
        case _:
            for _ in range(3):
                stage.time.passes(2)
                stage.attempt("a").feed(chunk(content="."))
    stage.answers("b", WORLD, STOP, DONE)
    assert stage.text.startswith("hello")
    assert stage.text.endswith(" world")
    assert stage.last == Done("completed")


async def test_an_upstream_of_another_dialect_goes_on() -> None:
    stage = Stage("openai-chat", "native", plan=PLAN)
    chat = Bowl()
    follow(stage.stream, chat, CHAT)
    stage.answers("a", ROLE, HELLO)
    stage.attempt("a").ended()
    stage.answers("b", encode_event(Token(" world")), encode_event(Done("completed")))
    assert list(stage.stream.events())[:-2] == [Start("s1", "m"), Token("hello"), Segment(2), Token(" world")]
    assert chat.data.count(b"[DONE]") == 1
    assert b"segment" not in chat.data


async def test_the_last_upstream_s_own_usage_block_stays_out_of_the_native_log() -> None:
    stage = Stage("openai-chat", plan=PLAN)
    chat = Bowl()
    follow(stage.stream, chat, CHAT)
    stage.answers("a", HELLO, STOP, USED, DONE)
    assert names(stage) == ["start", "token", "finish", "usage", "done"]
    assert chat.data.count(b"prompt_tokens") == 1
    assert stage.last == Done("completed")


async def test_an_upstream_s_own_segments_are_its_own_affair() -> None:
    """A Penstock behind a Penstock may continue answers too."""
    stage = Stage("native", "native", plan=PLAN)
    stage.answers("a", encode_event(Token("one")), encode_event(Segment(2)), encode_event(Token(" two")))
    stage.attempt("a").ended()
    stage.answers("b", encode_event(Token(" three")), encode_event(Done("completed")))
    assert stage.text == "one two three"
    assert [event for event in stage.stream.events() if isinstance(event, Segment)] == [Segment(2)]


async def test_delivered_whole_it_has_no_seams() -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    whole = Bowl()
    follow(stage.stream, whole, Format("native", True, "buffer"))
    stage.answers("a", HELLO)
    stage.attempt("a").ended()
    stage.answers("b", WORLD, STOP, DONE)
    assert whole.names == ["start", "token", "finish", "usage", "done"]
    assert whole.text == "hello world"


async def test_both_are_metered() -> None:
    stage = Stage("openai-chat", "native", plan=PLAN)
    stage.answers("a", HELLO, WORLD)
    stage.attempt("a").ended()
    stage.answers("b", encode_event(Token("!")), encode_event(Usage(10, 4)), encode_event(Done("completed")))
    assert stage.stream.end is not None
    # 400 bytes were asked and two chunks came: nobody had counted the first attempt.
    assert stage.stream.end.usage == Usage(110, 6, None, None, "estimated")


async def test_white_space_that_a_prefill_may_not_end_with_is_shown_once() -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    stage.answers("a", chunk(content="one \n"))
    stage.attempt("a").ended()
    stage.answers("b", chunk(content=" "), chunk(content="\ntwo"), STOP, DONE)
    assert stage.text == "one \ntwo"


async def test_other_white_space_than_was_shown_is_the_next_one_s_own() -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    stage.answers("a", chunk(content="one "))
    stage.attempt("a").ended()
    stage.answers("b", chunk(content="two "), chunk(content=" three"), STOP, DONE)
    assert stage.text == "one two  three"


@pytest.mark.parametrize(
    "said",
    [
        chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]),
        chunk(refusal="no"),
        chunk(reasoning_content="hm"),
        HELLO + STOP,
    ],
    ids=["half a tool call", "a refusal", "only reasoning", "a finish"],
)
async def test_what_is_not_plain_text_is_not_continued(said: bytes) -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    stage.answers("a", said)
    stage.attempt("a").ended()
    assert isinstance(stage.last, Error)
    assert stage.last.code == "upstream_truncated"
    assert not stage.asked("b")


async def test_when_nobody_can_go_on_the_cut_is_told() -> None:
    stage = Stage("openai-chat", plan=PLAN)
    stage.answers("a", HELLO)
    stage.attempt("a").ended()
    assert isinstance(stage.last, Error)
    assert stage.last.code == "upstream_truncated"
    assert stage.text == "hello"


async def test_when_the_next_one_fails_too_the_text_stays() -> None:
    stage = Stage("openai-chat", "openai-chat", plan=PLAN)
    stage.answers("a", HELLO)
    stage.attempt("a").ended()
    stage.attempt("b").ended()
    assert isinstance(stage.last, Error)
    assert stage.text == "hello"
    assert names(stage) == ["start", "token", "usage", "error"]
    assert len(stage.ended) == 1


async def test_a_cancel_while_nobody_answers() -> None:
    stage = Stage("openai-chat", "openai-chat", delays=(0, 3.0), plan=PLAN)
    stage.answers("a", HELLO)
    stage.attempt("a").ended()
    stage.generation.cancel()
    stage.time.passes(10)
    assert stage.last == Done("cancelled")
    assert not stage.asked("b")


async def test_without_continuation_a_cut_is_the_end() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.answers("a", HELLO, USED)
    stage.attempt("a").ended()
    assert isinstance(stage.last, Error)
    assert not stage.asked("b")


async def test_what_events_can_not_tell_is_no_good_end() -> None:
    stage = Stage("gemini", plan=PLAN)
    image = b'data: {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}]}\n\n'
    stopped = b'data: {"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}\n\n'
    stage.answers("a", image, stopped)
    stage.attempt("a").ended()
    assert isinstance(stage.last, Error)
    assert stage.last.code == "unsupported_translation"
    assert names(stage)[-1] == "error"
    assert stage.course.heard == ["a won", "a completed"]
