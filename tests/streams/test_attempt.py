"""Attempts: until the first token another may take one's place, and nobody notices."""

from __future__ import annotations

import asyncio

import pytest

from penstock.dialects.base import Request
from penstock.dialects.native import encode_event
from penstock.dialects.openai_chat import DONE
from penstock.exceptions import Refused, UpstreamFailed
from penstock.streams.attempt import Attempt
from penstock.streams.deadlines import KEEPALIVE_SECONDS
from penstock.streams.framing import Format
from penstock.streams.gate import GateRule, Passage
from penstock.streams.generation import Generation
from penstock.streams.plan import Plan, Step, Timeouts
from penstock.wire.events import Done, Error, Start, Token, Usage
from penstock.wire.sse import MAX_EVENT_BYTES
from tests.streams.river import CHAT, NATIVE, Bowl, Time, follow, new_stream
from tests.streams.scene import FAILED, HELLO, REQUEST, ROLE, STOP, USED, Call, Course, Upstream

pytestmark = pytest.mark.anyio
TIMEOUTS = Timeouts(connect=1, first_token=10, silence=5, total=100)
DOWN = UpstreamFailed(502, "upstream_unreachable", "refused")


class Stage:
    """A stream, and upstreams `a`, `b` ... that are asked one after the other; `beside` the last when the first is late."""

    def __init__(
        self, *dialects: str, delays: tuple[float, ...] = (), hedge: float | None = None, plan: Plan | None = None
    ) -> None:
        self.time = Time()
        self.upstreams = [Upstream(dialect, name) for name, dialect in zip("abcd", dialects, strict=False)]
        steps = [
            Step(upstream, "m", delay)
            for upstream, delay in zip(self.upstreams, [*delays, *[0.0] * len(dialects)], strict=False)
        ]
        beside = steps.pop() if hedge is not None else None
        self.course = Course(*steps, beside=beside)
        self.stream = new_stream(self.time.wheel, dialects[0])
        self.bowl = Bowl()
        follow(self.stream, self.bowl, NATIVE)
        self.ended: list[Generation] = []
        plan = plan or Plan(TIMEOUTS, hedge=hedge)
        self.generation = Generation(self.stream, self.time.wheel, plan, request_bytes=400, on_end=self.ended.append)
        self.generation.start(self.course, REQUEST)

    def attempt(self, name: str) -> Attempt:
        attempt = next(upstream.attempt for upstream in self.upstreams if upstream.name == name)
        assert attempt is not None, f"{name} was not asked"
        return attempt

    def asked(self, name: str) -> bool:
        return next(upstream for upstream in self.upstreams if upstream.name == name).attempt is not None

    def answers(self, name: str, *reads: bytes) -> None:
        self.attempt(name).connected()
        self.attempt(name).began()
        for read in reads:
            self.attempt(name).feed(read)

    def heard(self, name: str) -> list[str]:
        return next(upstream for upstream in self.upstreams if upstream.name == name).call.heard

    @property
    def last(self) -> Done | Error:
        assert self.stream.end is not None
        return self.stream.end.last

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.stream.events() if isinstance(event, Token))


# -- before the first token --------------------------------------------------------------------------------------------


async def test_the_next_one_takes_over() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.attempt("a").failed(DOWN)
    stage.answers("b", ROLE, HELLO, STOP, DONE)
    assert (stage.text, stage.last) == ("hello", Done("completed"))
    assert stage.course.heard == ["a failed: upstream_unreachable", "b won", "b completed"]
    assert stage.heard("a") == ["close"]
    assert stage.heard("b") == ["release"]
    assert stage.stream.refusal is None


@pytest.mark.parametrize("how", ["an error in the stream", "garbage", "the end"])
async def test_what_an_attempt_said_before_its_first_token_is_forgotten_with_it(how: str) -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.answers("a", ROLE)
    assert stage.bowl.data == b""
    assert not stage.generation.ready.done()
    match how:
        case "an error in the stream":
            stage.attempt("a").feed(FAILED)
        case "garbage":
            stage.attempt("a").feed(b"data: <html>\n\n")
        case _:
            stage.attempt("a").ended()
    stage.answers("b", HELLO, DONE)
    assert stage.bowl.names == ["start", "token", "usage", "done"]
    assert stage.heard("a") == ["close"]


async def test_too_late_for_the_first_token() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.answers("a", ROLE)
    stage.time.passes(TIMEOUTS.first_token + 0.2)
    stage.answers("b", HELLO, DONE)
    assert stage.course.heard[0] == "a failed: upstream_timeout"
    assert stage.text == "hello"
    stage.attempt("a").feed(HELLO)
    assert stage.text == "hello", "what the first one says now comes too late"
    assert stage.attempt("a").ignored == len(HELLO)


async def test_every_attempt_has_its_own_deadline() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.time.passes(TIMEOUTS.first_token + 0.2)
    stage.time.passes(TIMEOUTS.first_token - 1)
    assert stage.stream.end is None
    stage.time.passes(1.2)
    assert isinstance(stage.last, Error)
    assert (stage.last.code, stage.last.outcome) == ("upstream_timeout", "stalled")


async def test_the_caller_is_told_of_the_last_failure() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.attempt("a").failed(DOWN)
    last = UpstreamFailed(429, "upstream_rate_limited", "slow down", retry_after=7)
    stage.attempt("b").failed(last)
    assert stage.stream.refusal is last
    assert len(stage.ended) == 1


async def test_a_pause_before_the_next_attempt() -> None:
    stage = Stage("openai-chat", "openai-chat", delays=(0, 3.0))
    stage.attempt("a").failed(DOWN)
    stage.time.passes(2.8)
    assert not stage.asked("b")
    stage.time.passes(0.3)
    assert stage.asked("b")
    stage.answers("b", HELLO, DONE)
    assert stage.text == "hello"


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
async def test_nobody_is_asked_after_the_end(how: str) -> None:
    stage = Stage("openai-chat", "openai-chat", delays=(0, 3.0))
    stage.attempt("a").failed(DOWN)
    if how == "cancel":
        stage.generation.cancel()
    else:
        stage.generation.fail("interrupted", "shutting down")
    stage.time.passes(50)
    assert not stage.asked("b")
    assert len(stage.ended) == 1


async def test_an_upstream_that_can_not_be_told_the_request_is_passed_by() -> None:
    class Deaf(Upstream):
        def start(self, request: Request, model: str, attempt: Attempt) -> Call:
            raise Refused(400, "unsupported_translation", "n can't be translated")

    time = Time()
    stream = new_stream(time.wheel, "openai-chat")
    able = Upstream("openai-chat", "able")
    generation = Generation(stream, time.wheel, Plan(), request_bytes=1)
    generation.start(Course(Step(Deaf("native"), "m"), Step(able, "m")), REQUEST)
    assert able.attempt is not None
    assert stream.end is None
    alone = new_stream(time.wheel, "openai-chat")
    generation = Generation(alone, time.wheel, Plan(), request_bytes=1)
    generation.start(Course(Step(Deaf("native"), "m")), REQUEST)
    assert alone.refusal is not None
    assert alone.refusal.status == 400


async def test_much_talk_without_a_token_is_no_answer() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.answers("a", *[ROLE] * (2 * MAX_EVENT_BYTES // len(ROLE) + 2))
    assert stage.course.heard == ["a failed: upstream_protocol_error"]


@pytest.mark.parametrize("wrong", [b"data: {broken\n\n", b"data: " + b"x" * (MAX_EVENT_BYTES + 1)])
async def test_what_came_before_broken_bytes_in_the_same_read_is_told_and_metered(wrong: bytes) -> None:
    stage = Stage("openai-chat")
    stage.answers("a", ROLE + HELLO + HELLO + wrong)
    assert stage.text == "hellohello"
    assert isinstance(stage.last, Error)
    assert stage.last.code == "upstream_protocol_error"
    assert stage.stream.end is not None
    assert stage.stream.end.usage is not None
    assert stage.stream.end.usage.output_tokens == 3


@pytest.mark.parametrize("wrong", [b"data: {broken\n\n", b"data: " + b"x" * (MAX_EVENT_BYTES + 1)])
async def test_an_answer_that_ended_before_the_bytes_broke_is_whole(wrong: bytes) -> None:
    stage = Stage("openai-chat")
    stage.answers("a", HELLO + STOP + DONE + wrong)
    assert stage.last == Done("completed")


async def test_an_upstream_can_not_cancel_and_keeps_nothing_back() -> None:
    stage = Stage("native")
    stage.answers("a", encode_event(Token("a")), encode_event(Done("cancelled")))
    assert isinstance(stage.last, Error)
    assert stage.last.code == "upstream_error"
    stage = Stage("native")
    stage.answers("a", encode_event(Token("a")), encode_event(Token("b")), encode_event(Done("completed", 2)))
    assert (stage.text, stage.last) == ("ab", Done("completed"))


# -- another dialect ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", [NATIVE, CHAT, Format("openai-chat")])
async def test_the_log_is_in_the_dialect_of_the_one_that_answers(format: Format) -> None:
    stage = Stage("openai-chat", "native")
    follow(stage.stream, late := Bowl(), format)
    stage.attempt("a").failed(DOWN)
    for event in (Token("hel"), Token("lo")):
        stage.answers("b", encode_event(event))
    stage.attempt("b").feed(encode_event(Done("completed")))
    assert stage.stream.dialect == "native"
    assert stage.bowl.names == ["start", "token", "token", "usage", "done"]
    again = Bowl()
    follow(stage.stream, again, format)
    assert again.data == late.data
    assert b"hel" in late.data


# -- hedging -----------------------------------------------------------------------------------------------------------


async def test_when_the_first_is_late_another_is_asked_as_well() -> None:
    stage = Stage("openai-chat", "openai-chat", hedge=2.0)
    stage.answers("a", ROLE)
    stage.time.passes(1.8)
    assert not stage.asked("b")
    stage.time.passes(0.3)
    stage.answers("b", ROLE, HELLO)
    assert stage.heard("a") == ["close"], "the loser is let go of at once"
    stage.attempt("a").feed(HELLO)
    stage.answers("b", DONE)
    assert stage.text == "hello"
    assert stage.course.heard == ["a stopped", "b won", "b completed"]


async def test_the_first_may_still_win() -> None:
    stage = Stage("openai-chat", "openai-chat", hedge=2.0)
    stage.time.passes(2.2)
    stage.answers("a", HELLO, DONE)
    assert stage.heard("b") == ["close"]
    assert stage.text == "hello"


async def test_one_of_two_that_fails_leaves_it_to_the_other() -> None:
    stage = Stage("openai-chat", "openai-chat", hedge=2.0)
    stage.time.passes(2.2)
    stage.attempt("a").failed(DOWN)
    assert stage.stream.end is None
    stage.answers("b", HELLO, USED, DONE)
    assert stage.stream.end is not None
    assert stage.stream.end.usage == Usage(7, 0)


async def test_nothing_is_asked_beside_one_that_answers() -> None:
    stage = Stage("openai-chat", "openai-chat", hedge=2.0)
    stage.answers("a", HELLO)
    stage.time.passes(4)
    assert not stage.asked("b")


# -- after the first token ---------------------------------------------------------------------------------------------


async def test_after_the_first_token_there_is_no_other() -> None:
    stage = Stage("openai-chat", "openai-chat")
    stage.answers("a", HELLO)
    stage.attempt("a").ended()
    assert isinstance(stage.last, Error)
    assert (stage.last.code, stage.last.retryable, stage.text) == ("upstream_truncated", True, "hello")
    assert not stage.asked("b")
    assert stage.course.heard == ["a won", "a failed: upstream_truncated"]


@pytest.mark.parametrize("by", ["an inspection", "a gate"])
async def test_an_answer_that_is_whole_is_not_cut_while_it_is_looked_at(by: str) -> None:
    """Where nothing but the end of the body says that this is all, it may come as a cut: HTTP/1.0 has no other end."""
    looked = asyncio.Event()

    async def check(_passage: Passage) -> None:
        await looked.wait()

    stage = Stage("gemini", "gemini", plan=Plan(TIMEOUTS, gate=GateRule(check) if by == "a gate" else None))
    stage.stream.delivery = "buffer" if by == "an inspection" else "stream"
    stage.answers("a", b'data: {"candidates":[{"content":{"parts":[{"text":"hello"}]},"finishReason":"STOP"}]}\n\n')
    stage.attempt("a").fail("upstream_truncated", "the upstream closed the connection")
    assert stage.stream.end is None
    looked.set()
    async with asyncio.timeout(5):
        while stage.stream.end is None:
            await asyncio.sleep(0.001)
    assert (stage.last, stage.text) == (Done("completed"), "hello")
    assert stage.course.heard == ["a won", "a completed"]


async def test_what_is_found_wrong_with_a_whole_answer_is_its_only_end() -> None:
    """The upstream's own end is a block of its dialect: it must not stand in the log before the answer was looked at."""
    stage = Stage("openai-responses")
    stage.stream.delivery = "buffer"
    raw = Bowl()
    follow(stage.stream, raw, Format("openai-responses"))
    call = '"item":{"type":"function_call","id":"i","call_id":"c","name":"f","arguments":"no json"}'
    stage.answers(
        "a",
        b'data: {"type":"response.created","response":{"id":"r"}}\n\n',
        f'data: {{"type":"response.output_item.done","output_index":0,{call}}}\n\n'.encode(),
        b'data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}\n\n',
    )
    async with asyncio.timeout(5):
        while stage.stream.end is None:
            await asyncio.sleep(0.001)
    assert isinstance(stage.last, Error)
    assert stage.last.code == "invalid_output"
    assert b"response.completed" not in raw.data
    assert raw.data.count(b"event: error") == 1


async def test_a_long_thought_keeps_the_client_and_the_next_upstream_possible() -> None:
    """The head is sent after 15 s, for the upstream has begun to answer; without a token, another may still take over."""
    patient = Plan(Timeouts(first_token=40, silence=30, total=100))
    stage = Stage("openai-chat", "openai-chat", plan=patient)
    stage.answers("a", ROLE)
    stage.time.passes(KEEPALIVE_SECONDS + 1)
    assert stage.generation.ready.done()
    assert stage.bowl.data.count(b": keepalive") == 2
    stage.time.passes(40)
    stage.answers("b", HELLO, DONE)
    assert stage.text == "hello"


async def test_the_trace_tells_all_of_it() -> None:
    stage = Stage("openai-chat", "openai-chat", delays=(0, 1.0))
    stage.attempt("a").failed(DOWN)
    stage.time.passes(1.2)
    stage.answers("b", HELLO, DONE)
    told = [(mark.what, mark.facts.get("upstream")) for mark in stage.stream.trace.marks]
    assert told == [
        ("attached", None),
        ("attempt", "a"),
        ("lost", "a"),
        ("waiting", "b"),
        ("attempt", "b"),
        ("connected", "b"),
        ("first_byte", "b"),
        ("first_token", "b"),
        ("ended", None),
    ]
    assert isinstance(next(iter(stage.stream.events())), Start)
