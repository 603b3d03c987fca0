"""Generations and the clock: every deadline, and then everything at once in any order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from penstock.dialects.openai_chat import DONE
from penstock.exceptions import UpstreamFailed
from penstock.streams import stream as streams
from penstock.streams.deadlines import KEEPALIVE_SECONDS
from penstock.streams.framing import Format
from penstock.streams.gate import GateRule
from penstock.streams.plan import Plan, Timeouts
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Token, Usage
from tests.streams.river import CHAT, Bowl, follow
from tests.streams.scene import COMMENT, FAILED, HELLO, ROLE, STOP, USED, Scene

pytestmark = pytest.mark.anyio


# -- timers ------------------------------------------------------------------------------------------------------------

TIMEOUTS = Timeouts(connect=5, first_token=20, silence=7, total=100)
TIMED = Plan(TIMEOUTS)


async def test_no_first_token() -> None:
    scene = Scene(plan=TIMED).answers(ROLE)
    scene.time.passes(19.9)
    assert scene.stream.end is None
    scene.time.passes(0.5)
    scene.ends("stalled", "upstream_timeout")


async def test_a_role_is_no_token_and_a_comment_neither() -> None:
    scene = Scene(plan=TIMED).answers(ROLE)
    for _ in range(25):
        scene.time.passes(1)
        scene.attempt.feed(COMMENT)
    scene.ends("stalled", "upstream_timeout")


async def test_no_answer_at_all_is_a_refusal_with_504() -> None:
    scene = Scene(plan=TIMED)
    scene.time.passes(21)
    assert scene.stream.refusal is not None
    assert (scene.stream.refusal.status, scene.stream.refusal.code) == (504, "upstream_timeout")


async def test_silence() -> None:
    scene = Scene(plan=TIMED).answers(HELLO)
    for _ in range(4):
        scene.time.passes(6)
        scene.attempt.feed(HELLO)
    scene.time.passes(6.9)
    assert scene.stream.end is None
    scene.time.passes(0.5)
    scene.ends("stalled", "stalled")
    assert isinstance(scene.stream.end, streams.End)
    assert isinstance(scene.stream.end.last, Error)
    assert scene.stream.end.last.retryable


async def test_silence_right_after_the_first_token() -> None:
    scene = Scene(plan=TIMED).answers(HELLO)
    scene.time.passes(7.5)
    scene.ends("stalled", "stalled")


@pytest.mark.parametrize("sign", [COMMENT, b":", HELLO, ROLE])
async def test_any_byte_is_a_sign_of_life(sign: bytes) -> None:
    scene = Scene(plan=TIMED).answers(HELLO)
    for _ in range(15):
        scene.time.passes(6)
        assert scene.stream.end is None
        scene.attempt.feed(sign)


async def test_silence_before_the_first_token_is_not_death() -> None:
    scene = Scene(plan=TIMED).answers(ROLE)
    scene.time.passes(15)
    scene.attempt.feed(HELLO + DONE)
    scene.ends("completed")


async def test_the_whole_answer_takes_too_long() -> None:
    scene = Scene(plan=TIMED).answers(HELLO)
    for _ in range(99):
        scene.time.passes(1)
        scene.attempt.feed(HELLO)
    assert scene.stream.end is None
    scene.time.passes(1.5)
    scene.ends("limit_exceeded", "limit_exceeded")


async def test_our_own_pause_is_not_the_upstream_s_silence() -> None:
    scene = Scene(plan=TIMED).answers(HELLO)
    scene.generation.pause()
    scene.generation.pause()
    scene.time.passes(50)
    assert scene.stream.end is None
    scene.generation.resume()
    scene.generation.resume()
    assert scene.heard == ["pause", "resume"]
    scene.time.passes(6.5)
    assert scene.stream.end is None
    scene.time.passes(8)
    scene.ends("stalled", "stalled")


async def test_a_long_thought_gets_a_response_head_and_signs_of_life() -> None:
    scene = Scene()
    bowl = Bowl()
    follow(scene.stream, bowl)
    scene.answers()
    scene.time.passes(KEEPALIVE_SECONDS - 0.1)
    assert not scene.generation.ready.done()
    scene.time.passes(0.2)
    assert scene.generation.ready.done()
    bowl.data = b""
    scene.time.passes(0.5)
    assert bowl.data == sse.KEEPALIVE, "once more when the head is with the client, who may have missed the first"
    scene.time.passes(2 * KEEPALIVE_SECONDS + 1)
    assert bowl.data == sse.KEEPALIVE * 3


async def test_no_sign_of_life_while_events_come() -> None:
    scene = Scene()
    bowl = Bowl()
    follow(scene.stream, bowl, CHAT)
    scene.answers(HELLO)
    for _ in range(40):
        scene.time.passes(1)
        scene.attempt.feed(HELLO)
    assert sse.KEEPALIVE not in bowl.data


@pytest.mark.parametrize(
    "format",
    [Format("native", delivery="buffer"), Format("openai-chat", delivery="buffer"), Format("anthropic")],
    ids=str,
)
async def test_who_hears_nothing_of_what_comes_has_signs_of_life(format: Format) -> None:
    """Words are gathered for a whole part, or could be: in another dialect they may be held back."""
    scene = Scene()
    plain, other = Bowl(), Bowl()
    follow(scene.stream, plain, CHAT)
    follow(scene.stream, other, format)
    for _ in range(50):
        scene.attempt.feed(HELLO)
        scene.time.passes(1)
    assert other.data.count(sse.KEEPALIVE) == 3
    assert sse.KEEPALIVE not in plain.data


async def test_who_waits_for_a_gate_has_signs_of_life() -> None:
    async def check(_passage: object) -> None:
        raise AssertionError("there is not enough for it yet")

    scene = Scene(plan=Plan(gate=GateRule(check, window=10_000)))
    bowl = Bowl()
    follow(scene.stream, bowl)
    scene.answers()
    for _ in range(50):
        scene.attempt.feed(HELLO)
        scene.time.passes(1)
    assert bowl.data.count(sse.KEEPALIVE) >= 3
    scene.generation.cancel()


async def test_an_upstream_that_has_not_answered_is_not_vouched_for() -> None:
    scene = Scene()
    scene.attempt.connected()
    scene.time.passes(40)
    assert not scene.generation.ready.done()


# -- by any sequence ---------------------------------------------------------------------------------------------------


class Anything(RuleBasedStateMachine):
    """The upstream and the clients do what they like, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(plan=Plan(TIMEOUTS, grace=10), retain=2000)
        self.bowls: list[Bowl] = []
        self.told: list[Event] | None = None

    @rule(reads=st.lists(st.sampled_from([ROLE, HELLO, STOP, USED, DONE, FAILED, COMMENT, b"data: <html>\n\n", b"da"])))
    def feed(self, reads: list[bytes]) -> None:
        self.scene.attempt.feed(b"".join(reads))

    @rule(what=st.sampled_from(["connected", "began", "ended", "completed", "pause", "resume", "deserted", "overflow"]))
    def call(self, what: str) -> None:
        upstream = what in ("connected", "began", "ended", "completed")
        getattr(self.scene.attempt if upstream else self.scene.generation, what)()

    @rule(event=st.sampled_from([Token("a"), Usage(1, 2), Finish("length"), Done("completed")]))
    @precondition(lambda self: self.scene.generation.over)
    def emit_late(self, event: Event) -> None:
        self.scene.attempt.emit(event)

    @rule(status=st.sampled_from([400, 429, 500]))
    def failed(self, status: int) -> None:
        self.scene.attempt.failed(UpstreamFailed(status, "upstream_error", "no"))

    @rule(seen=st.none() | st.integers(0, 9))
    def cancel(self, seen: int | None) -> None:
        self.scene.generation.cancel(seen)

    @rule(seconds=st.floats(0, 12))
    def time_passes(self, seconds: float) -> None:
        self.scene.time.passes(seconds)

    @rule(room=st.integers(1, 500))
    def attach(self, room: int) -> None:
        if self.scene.stream.log.first == 0:
            self.bowls.append(bowl := Bowl(room))
            follow(self.scene.stream, bowl)

    @precondition(lambda self: self.bowls)
    @rule(data=st.data(), room=st.integers(1, 500))
    def drain(self, data: st.DataObject, room: int) -> None:
        bowl = data.draw(st.sampled_from(self.bowls))
        if not bowl.ended and not bowl.aborted:
            bowl.drain(room)

    @precondition(lambda self: self.bowls)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        bowl = data.draw(st.sampled_from(self.bowls))
        assert bowl.reader is not None
        bowl.reader.lost()

    @invariant()
    def over_is_over(self) -> None:
        scene = self.scene
        assert scene.generation.over is (scene.stream.end is not None)
        assert len(scene.ended) == scene.generation.over
        assert scene.heard.count("close") + scene.heard.count("release") == scene.generation.over
        if scene.generation.over:
            self.told = self.told or scene.events
            assert scene.events == self.told
            assert scene.stream.produced == scene.stream.end_offset
            assert scene.generation.ready.done()

    @invariant()
    def one_last_word(self) -> None:
        for bowl in self.bowls:
            last = [name for name in bowl.names if name in ("done", "error")]
            assert len(last) == bowl.ended

    def teardown(self) -> None:
        self.scene.time.passes(TIMEOUTS.total + 1)
        self.over_is_over()
        assert self.scene.generation.over


async def test_whatever_happens_there_is_one_end() -> None:
    run_state_machine_as_test(Anything, settings=settings(max_examples=80, stateful_step_count=25, deadline=None))
