"""Async generators as upstreams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.base import Request
from penstock.gateway import Gateway, Tenant
from penstock.policy.course import Route, Target
from penstock.streams.gate import GateRule, Passage
from penstock.streams.journal import MemoryJournal
from penstock.streams.plan import Plan
from penstock.streams.stream import Stream
from penstock.streams.wheel import Wheel
from penstock.upstreams.python import Answer, PythonUpstream
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Token, ToolCall, Usage

pytestmark = pytest.mark.anyio
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
TENANT = Tenant("local")


async def run(answer: Answer, plan: Plan | None = None) -> tuple[Gateway, Stream]:
    wheel = Wheel()
    there = Gateway(
        MemoryJournal(wheel), {"m": Route("m", (Target(PythonUpstream("p", answer), "inner"),), plan or Plan())}, wheel
    )
    return there, await there.open(DIALECTS["native"].parse_request(BODY), BODY, TENANT)


async def ended(stream: Stream) -> list[Event]:
    async with asyncio.timeout(10):
        while stream.end is None:
            await asyncio.sleep(0.001)
    return list(stream.events())[1:]


async def test_text_and_events_and_the_request() -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield Reasoning(f"asked for {request.model}: ")
        yield request.messages[0].text
        yield ToolCall(0, "c", "look", "{}")
        yield Usage(1, 2)
        yield Finish("tool_calls")

    _, stream = await run(answer)
    assert await ended(stream) == [
        Reasoning("asked for inner: "),
        Token("hello"),
        ToolCall(0, "c", "look", "{}"),
        Finish("tool_calls"),
        Usage(1, 2),
        Done("tool_calls"),
    ]


async def test_nothing_at_all_is_a_complete_answer() -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        return
        yield ""

    assert (await ended((await run(answer))[1]))[-1] == Done("completed")


async def test_cancel_closes_the_generator() -> None:
    closed = asyncio.Event()

    async def answer(request: Request) -> AsyncIterator[str | Event]:
        try:
            while True:
                yield "on"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    there, stream = await run(answer)
    await there.ready(stream)
    await there.cancel(stream.id, TENANT)
    await asyncio.wait_for(closed.wait(), 10)
    assert (await ended(stream))[-1] == Done("cancelled")


async def test_what_it_raises_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        raise RuntimeError("password=hunter2")

    _, stream = await run(answer)
    with caplog.at_level(logging.ERROR):
        events = await ended(stream)
    assert events[0] == Token("one")
    assert isinstance(events[-1], Error)
    assert (events[-1].code, events[-1].outcome) == ("upstream_error", "upstream_error")
    assert "hunter2" not in repr(events)
    assert "hunter2" in caplog.text


async def test_what_it_yields_after_the_end_is_ignored() -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield Done("length")
        yield "two"

    assert await ended((await run(answer))[1]) == [Token("one"), Usage(1, 1, None, None, "estimated"), Done("length")]


@pytest.mark.parametrize("after", ["returns", "yields", "raises"])
async def test_a_whole_answer_is_whole_while_its_gate_thinks(after: str) -> None:
    async def check(passage: Passage) -> None:
        await asyncio.sleep(0.02)

    ran = asyncio.Event()

    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield Done("length")
        ran.set()
        if after == "yields":
            yield "two"
        elif after == "raises":
            raise RuntimeError

    events = await ended((await run(answer, Plan(gate=GateRule(check))))[1])
    assert (events[0], events[-1]) == (Token("one"), Done("length"))
    assert Token("two") not in events
    assert ran.is_set(), "what stands after the last yield is run"


async def test_what_is_no_event_ends_it_as_a_failure_of_the_upstream(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield 42  # type: ignore[misc]

    with caplog.at_level(logging.ERROR):
        assert getattr((await ended((await run(answer))[1]))[-1], "code", None) == "upstream_error"
    assert "yielded int, not str or an event" in caplog.text


async def test_a_function_that_is_no_generator_fails_as_an_upstream() -> None:
    async def answer(request: Request) -> str:
        return "no generator"

    _, stream = await run(answer)  # type: ignore[arg-type]
    assert getattr((await ended(stream))[-1], "code", None) == "upstream_error"


async def test_cancelled_from_within_is_a_failure_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        raise asyncio.CancelledError

    with caplog.at_level(logging.ERROR):
        events = await ended((await run(answer))[1])
    assert isinstance(events[-1], Error)
    assert (events[0], events[-1].code) == (Token("one"), "upstream_error")
    assert "cancelled from within" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [Token(123), Finish("bogus"), ToolCall("x"), Usage("x", -5), Done("bogus"), Error("a", "b", "maybe", "none")],  # type: ignore[arg-type]
    ids=repr,
)
async def test_events_with_wrong_values_are_none(wrong: Event, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield wrong
        yield "two"

    with caplog.at_level(logging.ERROR):
        events = await ended((await run(answer))[1])
    assert events[0] == Token("one")
    assert isinstance(events[-1], Error)
    assert events[-1].code == "upstream_error"
    assert "an event that is none" in caplog.text


@pytest.mark.parametrize("raised", [SystemExit(7), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("closing", [False, True], ids=["running", "closing"])
async def test_what_would_end_the_process_ends_one_answer(
    raised: BaseException, closing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        try:
            yield "one"
            if closing:
                yield 42  # type: ignore[misc]
            raise raised
        finally:
            if closing:
                raise raised

    with caplog.at_level(logging.ERROR):
        events = await ended((await run(answer))[1])
        await asyncio.sleep(0.01)  # the generator is closed by then: nothing came out of the loop
    assert isinstance(events[-1], Error)
    assert (events[0], events[-1].code) == (Token("one"), "upstream_error")
    assert closing or type(raised).__name__ in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        Error("e", "told as good", True, "completed"),
        Token("x", -1),
        ToolCall(-1),
        ToolCall(0, choice=-1),
        Done("cancelled"),
    ],
    ids=["an error with a good outcome", "token -1", "call -1", "choice -1", "a cancel that nobody asked for"],
)
async def test_what_it_may_not_say_is_its_error(wrong: Event) -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield wrong

    *_, last = await ended((await run(answer))[1])
    assert isinstance(last, Error)
    assert (last.code, last.outcome) == ("upstream_error", "upstream_error")


async def test_it_can_not_take_back_what_it_said() -> None:
    async def answer(request: Request) -> AsyncIterator[str | Event]:
        yield "one"
        yield " two"
        yield Done("completed", 2)

    told = await ended((await run(answer))[1])
    assert told[:2] == [Token("one"), Token(" two")]
    assert told[-1] == Done("completed")
