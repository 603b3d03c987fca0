"""Generations: whatever an upstream does, the stream gets exactly one last event, and the upstream is let go of."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects.base import Request
from penstock.dialects.openai_chat import DONE
from penstock.exceptions import UpstreamFailed
from penstock.streams import stream as streams
from penstock.streams.attempt import Attempt
from penstock.streams.generation import Generation
from penstock.streams.plan import Plan, Step
from penstock.wire.events import Done, Error, Finish, Start, Token, ToolCall, Usage
from tests.streams.river import NATIVE, Bowl, Time, follow, new_stream
from tests.streams.scene import COMMENT, FAILED, HELLO, REQUEST, ROLE, STOP, USED, Call, Course, Scene, Upstream

pytestmark = pytest.mark.anyio


# -- how an answer ends ------------------------------------------------------------------------------------------------


async def test_a_good_answer() -> None:
    scene = Scene().answers(ROLE, HELLO, STOP, USED, DONE)
    scene.ends("completed")
    assert scene.heard == ["release"]
    used = Usage(7, 0)
    assert scene.events == [Start("s1", "m"), Token("hello"), Finish("completed"), used, Done("completed")]
    assert scene.stream.refusal is None


async def test_all_in_one_read() -> None:
    scene = Scene().answers(ROLE + HELLO + STOP + USED + DONE + HELLO)
    scene.ends("completed")
    assert scene.stream.produced == 4


async def test_byte_by_byte() -> None:
    body = ROLE + HELLO + STOP + USED + DONE
    scene = Scene().answers(*(bytes([byte]) for byte in body))
    scene.ends("completed")
    assert Token("hello") in scene.events


async def test_cut_without_the_end_marker() -> None:
    scene = Scene().answers(ROLE, HELLO, STOP)
    scene.attempt.ended()
    scene.ends("upstream_truncated", "upstream_truncated")
    assert scene.heard == ["close"]
    assert scene.stream.refusal is None
    assert Token("hello") in scene.events


async def test_an_error_in_the_stream() -> None:
    scene = Scene().answers(HELLO, FAILED, HELLO, DONE)
    scene.ends("upstream_error", "upstream_error")
    assert [event for event in scene.events if isinstance(event, Token)] == [Token("hello")]


@pytest.mark.parametrize(
    "garbage",
    [b"data: <html>\n\n", b"data: " + b"x" * 2_000_000, b'data: {"choices":[{"delta":{"content":7}}]}\n\n'],
    ids=["no JSON", "too large", "wrong type"],
)
async def test_garbage(garbage: bytes) -> None:
    scene = Scene().answers(HELLO, garbage, HELLO, DONE)
    scene.ends("upstream_error", "upstream_protocol_error")
    assert [event for event in scene.events if isinstance(event, Token)] == [Token("hello")]


async def test_what_came_before_garbage_in_the_same_read_is_kept() -> None:
    scene = Scene().answers(HELLO + HELLO + b"data: <html>\n\n")
    scene.ends("upstream_error", "upstream_protocol_error")
    assert [event for event in scene.events if isinstance(event, Token)] == [Token("hello")] * 2


@pytest.mark.parametrize("late", [HELLO, DONE, FAILED, b"data: <html>\n\n"])
async def test_what_comes_late_is_ignored(late: bytes) -> None:
    scene = Scene().answers(HELLO, DONE)
    told = scene.events
    scene.attempt.feed(late)
    scene.attempt.emit(Token("late"))
    scene.attempt.ended()
    scene.attempt.completed()
    scene.attempt.failed(UpstreamFailed(500, "upstream_error", "late"))
    scene.generation.cancel(0)
    scene.generation.fail("interrupted", "late")
    scene.time.passes(1000)
    scene.ends("completed")
    assert scene.events == told


async def test_an_answer_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_ANSWER_BYTES", 5000)
    scene = Scene(retain=1000)
    follow(scene.stream, bowl := Bowl(), NATIVE)
    scene.answers()
    for _ in range(200):
        scene.attempt.feed(HELLO)
    scene.ends("limit_exceeded", "limit_exceeded")
    assert bowl.names.count("error") == 1


async def test_an_answer_that_is_too_large_ends_in_the_middle_of_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_ANSWER_BYTES", 5000)
    scene = Scene(retain=1000)
    scene.answers(HELLO * 200 + DONE)
    scene.ends("limit_exceeded", "limit_exceeded")
    assert scene.stream.produced == scene.stream.end_offset


# -- before the first byte ---------------------------------------------------------------------------------------------


async def test_ready_with_the_first_entry() -> None:
    scene = Scene().answers()
    assert not scene.generation.ready.done()
    scene.attempt.feed(COMMENT)
    assert not scene.generation.ready.done()
    scene.attempt.feed(HELLO)
    assert scene.generation.ready.done()
    assert scene.stream.refusal is None


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (UpstreamFailed(429, "upstream_rate_limited", "slow down", retry_after=3), "upstream_error"),
        (UpstreamFailed(400, "context_length", "too long"), "upstream_error"),
        (UpstreamFailed(504, "upstream_timeout", "no connection"), "stalled"),
        (UpstreamFailed(502, "upstream_unreachable", "refused"), "upstream_error"),
    ],
)
async def test_refused_by_the_upstream(failure: UpstreamFailed, outcome: Any) -> None:
    scene = Scene()
    scene.attempt.failed(failure)
    scene.ends(outcome, failure.code)
    assert scene.stream.refusal is failure
    assert scene.usage == Usage(source="unknown")


@pytest.mark.parametrize(
    ("read", "status", "code"),
    [
        (FAILED, 502, "upstream_error"),
        (b"data: <html>\n\n", 502, "upstream_protocol_error"),
        (None, 502, "upstream_truncated"),
    ],
)
async def test_failed_before_the_first_entry_is_a_refusal(read: bytes | None, status: int, code: str) -> None:
    scene = Scene().answers(COMMENT)
    if read is None:
        scene.attempt.ended()
    else:
        scene.attempt.feed(read)
    refusal = scene.stream.refusal
    assert refusal is not None
    assert (refusal.status, refusal.code) == (status, code)


async def test_an_upstream_that_fails_while_it_starts_is_closed() -> None:
    class Hasty(Upstream):
        def start(self, request: Request, model: str, attempt: Attempt) -> Call:
            attempt.failed(UpstreamFailed(502, "upstream_unreachable", "at once"))
            return self.call

    time = Time()
    stream = new_stream(time.wheel, "openai-chat")
    generation, upstream = Generation(stream, time.wheel, Plan(), request_bytes=1), Hasty("openai-chat")
    generation.start(Course(Step(upstream, "m")), REQUEST)
    assert upstream.call.heard == ["close"]
    time.passes(1000)
    assert upstream.call.heard == ["close"]


# -- cancelled, abandoned ----------------------------------------------------------------------------------------------


async def test_cancel_closes_the_upstream_at_once() -> None:
    scene = Scene().answers(ROLE, HELLO, HELLO, HELLO)
    scene.generation.cancel()
    scene.ends("cancelled")
    assert scene.heard == ["close"]
    assert scene.events[-1] == Done("cancelled")


@pytest.mark.parametrize(("seen", "kept"), [(2, 2), (0, 0), (4, None), (99, None), (None, None)])
async def test_the_text_kept_is_the_text_seen(seen: int | None, kept: int | None) -> None:
    scene = Scene().answers(ROLE, HELLO, HELLO, HELLO)
    scene.generation.cancel(seen)
    assert scene.events[-1] == Done("cancelled", kept)
    tokens = [event for event in scene.events if isinstance(event, Token)]
    assert len(tokens) == max((4 if kept is None else kept) - 1, 0)


async def test_cancel_before_anything_came() -> None:
    scene = Scene()
    scene.generation.cancel(0)
    scene.ends("cancelled")
    assert scene.stream.refusal is None
    assert scene.usage == Usage(source="unknown")


def leave(scene: Scene) -> None:
    follow(scene.stream, Bowl()).lost()


async def test_nobody_reads_any_more() -> None:
    scene = Scene(plan=Plan(grace=10)).answers(HELLO)
    leave(scene)
    scene.time.passes(9.9)
    assert scene.stream.end is None
    scene.time.passes(0.5)
    scene.ends("abandoned", "abandoned")


async def test_somebody_came_back() -> None:
    scene = Scene(plan=Plan(grace=10)).answers(HELLO)
    leave(scene)
    scene.time.passes(5)
    follow(scene.stream, Bowl())
    scene.time.passes(20)
    assert scene.stream.end is None


async def test_the_grace_begins_when_the_last_one_left() -> None:
    scene = Scene(plan=Plan(grace=10)).answers(HELLO)
    leave(scene)
    scene.time.passes(9)
    leave(scene)
    scene.time.passes(5)
    assert scene.stream.end is None
    scene.time.passes(6)
    scene.ends("abandoned", "abandoned")


async def test_a_route_that_finishes_does_not_mind() -> None:
    scene = Scene(plan=Plan(on_abandon="finish", grace=10)).answers(HELLO)
    leave(scene)
    scene.time.passes(25)
    scene.attempt.feed(DONE)
    scene.ends("completed")


async def test_interrupted() -> None:
    scene = Scene().answers(HELLO)
    scene.generation.fail("interrupted", "shutting down")
    scene.ends("interrupted", "interrupted")


# -- usage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "usage"),
    [
        ([HELLO, USED, DONE], Usage(7, 0)),
        ([HELLO, b'data: {"choices":[],"usage":null}\n\n', DONE], Usage(100, 2, None, None, "estimated")),
        ([HELLO, HELLO, DONE], Usage(100, 2, None, None, "estimated")),
        ([HELLO, FAILED], Usage(100, 1, None, None, "estimated")),
        ([ROLE, FAILED], Usage(source="unknown")),
        ([USED, FAILED], Usage(7, 0)),
    ],
)
async def test_usage(reads: list[bytes], usage: Usage) -> None:
    assert Scene().answers(*reads).usage == usage


# -- an upstream that speaks in events ---------------------------------------------------------------------------------


async def test_events() -> None:
    scene = Scene("native")
    for event in (Start("x", "y"), Token("a"), ToolCall(0, "c", "f"), Usage(1, 2), Finish("tool_calls")):
        scene.attempt.emit(event)
    scene.attempt.completed()
    scene.ends("tool_calls")
    assert scene.events == [
        Start("s1", "m"),
        Token("a"),
        ToolCall(0, "c", "f"),
        Finish("tool_calls"),
        Usage(1, 2),
        Done("tool_calls"),
    ]


async def test_a_generator_that_says_nothing_has_answered() -> None:
    scene = Scene("native")
    scene.attempt.began()
    scene.attempt.completed()
    scene.ends("completed")
    assert scene.events[0] == Start("s1", "m")


@pytest.mark.parametrize("last", [Done("length"), Error("mine", "no", False, "refused")])
async def test_its_own_last_word_counts(last: Done | Error) -> None:
    scene = Scene("native")
    scene.attempt.began()
    for event in (Token("a"), last, Token("b"), Done("completed")):
        scene.attempt.emit(event)
    scene.attempt.completed()
    scene.ends(last.outcome, last.code if isinstance(last, Error) else None)
