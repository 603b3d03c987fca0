"""Gates: nothing is shown that was not passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from penstock.dialects.native import encode_event
from penstock.streams.gate import AHEAD_BYTES, TURN_BYTES, Check, GateRule, Passage
from penstock.streams.plan import Plan
from penstock.streams.stream import End
from penstock.wire.events import Done, Error, Reasoning, Token, ToolCall
from tests.streams.river import NATIVE, Bowl, follow
from tests.streams.scene import Scene

pytestmark = pytest.mark.anyio
MUCH = ["y" * 10_000] * (AHEAD_BYTES // 10_000 + 1)
"""More than may wait for a check."""


class Guard:
    """A check that answers when it is told to."""

    def __init__(self) -> None:
        self.seen: list[Passage] = []
        self.answers: asyncio.Queue[str | Exception | None] = asyncio.Queue()

    async def __call__(self, passage: Passage) -> str | None:
        self.seen.append(passage)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Gated:
    def __init__(
        self,
        window: int | None = None,
        timeout: float = 10.0,
        *,
        check: Check | None = None,
        bowl: Bowl | None = None,
        retain: int = 4_000_000,
        dialect: str = "native",
    ) -> None:
        self.guard = Guard()
        self.scene = Scene(dialect, Plan(gate=GateRule(check or self.guard, window, timeout)), retain=retain)
        self.scene.attempt.call = self.scene.upstream.call
        self.bowl = bowl or Bowl()
        follow(self.scene.stream, self.bowl, NATIVE)

    async def says(self, *texts: str) -> None:
        for text in texts:
            self.scene.attempt.feed(encode_event(Token(text)))
        await turns()

    async def ends(self) -> None:
        self.scene.attempt.feed(encode_event(Done("completed")))
        await turns()

    async def answers(self, answer: str | Exception | None) -> None:
        self.guard.answers.put_nowait(answer)
        await turns()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.scene.stream.events() if isinstance(event, Token))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_whole_answer_waits() -> None:
    gated = Gated()
    await gated.says("one ", "two")
    assert gated.bowl.data == b""
    assert not gated.scene.generation.ready.done()
    await gated.ends()
    assert gated.guard.seen == [Passage("s1", "m", gated.scene.stream.tenant, "one two", "one two", True)]
    assert gated.bowl.data == b""
    await gated.answers(None)
    assert gated.bowl.names == ["start", "token", "token", "usage", "done"]
    assert gated.scene.generation.ready.done()


async def test_what_no_check_can_read_is_no_good_end() -> None:
    """An image is not in the log, which holds what was checked: without it, it is another answer."""
    gated = Gated(dialect="gemini")
    image = b'{"inlineData":{"mimeType":"image/png","data":"AA=="}}'
    chunk = b'data: {"candidates":[{"content":{"parts":[%b]},"finishReason":"STOP"}]}\n\n'
    gated.scene.attempt.feed(chunk % (b'{"text":"look"},' + image))
    gated.scene.attempt.ended()
    await turns()
    await gated.answers(None)
    assert gated.bowl.names == ["start", "token", "usage", "error"]
    assert gated.scene.stream.end is not None
    assert isinstance(last := gated.scene.stream.end.last, Error)
    assert last.code == "unsupported_translation"


async def test_half_a_character_in_a_reason_does_not_break_the_end() -> None:
    gated = Gated()
    await gated.says("something")
    await gated.ends()
    await gated.answers("no \ud800 way")
    assert isinstance(gated.scene.stream.end, End)
    assert isinstance(last := gated.scene.stream.end.last, Error)
    assert (last.code, last.message) == ("refused", "no ? way")
    assert gated.bowl.ended


async def test_what_is_held_back_is_metered_and_timed_as_it_comes() -> None:
    gated = Gated()
    gated.scene.attempt.feed(b"".join(encode_event(Token(word)) for word in ("one ", "two ", "three")))
    assert gated.scene.attempt.tokens == 3
    assert gated.scene.stream.timing is not None
    assert gated.scene.stream.timing.time_to_first_token is not None
    assert gated.bowl.data == b""


async def test_a_refusal_before_anything_was_shown_is_told_as_a_status() -> None:
    gated = Gated()
    await gated.says("something bad")
    await gated.ends()
    await gated.answers("not in this house")
    refusal = gated.scene.stream.refusal
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.message, refusal.retryable) == (
        403,
        "refused",
        "not in this house",
        False,
    )
    assert gated.scene.stream.end is not None
    assert gated.scene.stream.end.last.outcome == "refused"
    assert "something bad" not in gated.bowl.data.decode()


async def test_a_window_lets_the_beginning_go() -> None:
    gated = Gated(window=6)
    await gated.says("one ")
    assert gated.guard.seen == []
    await gated.says("two ")
    await gated.says("three ")
    assert gated.text == ""
    await gated.answers(None)
    assert gated.text == "one two "
    assert [(passage.text, passage.new) for passage in gated.guard.seen] == [
        ("one two ", "one two "),
        ("one two three ", "three "),
    ]
    await gated.answers("no threes")
    assert gated.text == "one two "
    last = gated.scene.stream.end
    assert last is not None
    assert last.last == Error("refused", "no threes", retryable=False, outcome="refused")
    assert gated.scene.heard == ["close"], "the upstream is let go of"


async def test_the_rest_is_checked_at_the_end() -> None:
    gated = Gated(window=6)
    await gated.says("one two ")
    await gated.says("end")
    await gated.answers(None)
    await gated.ends()
    assert gated.guard.seen[-1].final
    assert gated.guard.seen[-1].new == "end"
    await gated.answers(None)
    assert gated.text == "one two end"
    assert gated.scene.heard == ["release"]


async def test_everything_that_is_said_is_seen() -> None:
    gated = Gated()
    for event in (Reasoning("think\r"), Token("say\r\n"), ToolCall(0, "c", "f", '{"do": 1}')):
        gated.scene.attempt.feed(encode_event(event))
    await gated.ends()
    assert gated.guard.seen[0].text == 'think\r\nsay\r\n\nf\n{"do": 1}'
    await gated.answers(None)
    gated.scene.ends("completed")


@pytest.mark.parametrize("trouble", [RuntimeError("broken"), TimeoutError()])
async def test_a_gate_that_fails_lets_nothing_pass(trouble: Exception) -> None:
    gated = Gated()
    await gated.says("text")
    await gated.ends()
    await gated.answers(trouble)
    assert gated.scene.stream.refusal is not None
    assert (gated.scene.stream.refusal.status, gated.scene.stream.refusal.code) == (503, "gate_failed")
    assert "broken" not in gated.scene.stream.refusal.message
    assert gated.text == ""


async def test_a_gate_that_does_not_answer() -> None:
    gated = Gated(timeout=0.01)
    await gated.says("text")
    await gated.ends()
    await asyncio.sleep(0.05)
    assert gated.scene.stream.refusal is not None
    assert gated.scene.stream.refusal.code == "gate_failed"


async def test_waiting_for_the_gate_is_not_the_upstreams_silence() -> None:
    gated = Gated()
    await gated.says("text")
    await gated.ends()
    gated.scene.time.passes(100)
    assert gated.scene.stream.end is None
    await gated.answers(None)
    gated.scene.ends("completed")


@pytest.mark.parametrize("how", ["cancel", "cut"])
async def test_what_waits_when_the_answer_ends_otherwise_is_never_shown(how: str) -> None:
    gated = Gated(window=3)
    await gated.says("held back")
    if how == "cancel":
        gated.scene.generation.cancel()
    else:
        gated.scene.attempt.ended()
    await gated.answers(None)
    assert gated.text == ""
    assert "held" not in gated.bowl.data.decode()


# -- checks that are the user's code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raised", [asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException()], ids=repr
)
async def test_whatever_a_check_raises_nothing_passes_and_nothing_else_ends(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(passage: Passage) -> str | None:
        raise raised

    gated = Gated(check=check)
    await gated.says("text")
    with caplog.at_level(logging.ERROR):
        await gated.ends()
    refusal = gated.scene.stream.refusal
    assert refusal is not None
    assert (refusal.status, refusal.code, gated.text) == (503, "gate_failed", "")
    assert "the gate of m failed" in caplog.text


@pytest.mark.parametrize("how", ["late", "cancelled"])
async def test_a_check_that_does_not_let_go_holds_nobody(how: str) -> None:
    released = asyncio.Event()
    cancelled = 0

    async def check(passage: Passage) -> str | None:
        nonlocal cancelled
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                cancelled += 1
        raise RuntimeError("long after anybody wanted to know")

    gated = Gated(timeout=0.01 if how == "late" else 1000, check=check)
    await gated.says("text")
    await gated.ends()
    if how == "cancelled":
        gated.scene.generation.cancel()
    await until(lambda: gated.scene.stream.end is not None)
    await until(lambda: cancelled > 0)
    gated.scene.ends("refused" if how == "late" else "cancelled", "gate_failed" if how == "late" else None)
    released.set()
    await turns()


# -- how much is held back -------------------------------------------------------------------------------------------------


async def test_what_is_held_back_is_bounded() -> None:
    gated = Gated()
    piece = "x" * 1_000_000
    for _ in range(80):
        gated.scene.attempt.feed(encode_event(Token(piece)))
    gated.scene.ends("limit_exceeded", "limit_exceeded")
    assert gated.guard.seen == []
    assert gated.text == ""


@pytest.mark.parametrize("window", [3, 1_000_000])
async def test_the_upstream_waits_for_a_slow_check(window: int) -> None:
    gated = Gated(window=window, retain=20_000_000)
    await gated.says("x" * window)
    assert (len(gated.guard.seen), gated.scene.heard) == (1, [])
    much = ["y" * 10_000] * ((AHEAD_BYTES + 4 * window) // 10_000 + 1)
    await gated.says("end ")
    assert gated.scene.heard == []
    await gated.says(*much)
    assert set(gated.scene.heard) == {"pause"}
    gated.scene.time.passes(100)
    assert gated.scene.stream.end is None, "it waits for us: that is not its silence"
    await gated.answers(None)
    assert gated.scene.heard == ["pause", "resume"], "the rest is being checked, and there is room again"
    await gated.answers(None)
    await until(lambda: gated.text == "x" * window + "end " + "".join(much))


async def test_a_window_that_is_not_full_never_stops_the_upstream() -> None:
    """Nobody would let it go on: there is no check whose end could."""
    gated = Gated(window=3)
    await gated.says("x")
    for _ in range(40):
        await gated.says(*[""] * 1000)
    assert len(gated.guard.seen) == 0
    assert gated.scene.heard == []


async def test_readers_that_are_full_keep_the_upstream_waiting() -> None:
    gated = Gated(window=3, bowl=Bowl(shut=True), retain=10_000)
    await gated.says("x" * 20_000)
    await gated.answers(None)
    assert gated.scene.heard == ["pause"], "the log is full"
    await gated.says(*MUCH)
    await gated.says(*MUCH)
    await gated.answers(None)
    assert gated.scene.heard == ["pause"], "the check is over, but the log is as full as it was"
    await gated.answers(None)
    gated.bowl.drain()
    await turns()
    assert gated.scene.heard == ["pause", "resume"]


async def test_readers_that_move_on_do_not_end_the_wait_for_a_check() -> None:
    gated = Gated(window=3, bowl=Bowl(shut=True), retain=10_000)
    await gated.says("x" * 20_000)
    await gated.answers(None)
    await gated.says("yyy")
    await gated.says(*MUCH)
    gated.bowl.drain()
    await turns()
    await gated.says("z")
    assert gated.scene.heard == ["pause", "resume", "pause"]
    await gated.answers(None)
    assert gated.scene.heard == ["pause", "resume", "pause", "resume"], "what waited is being checked"


async def test_a_long_answer_is_let_through_in_turns_and_its_reader_misses_nothing() -> None:
    gated = Gated(retain=3 * TURN_BYTES)
    assert gated.bowl.reader is not None
    gated.bowl.reader.lost()
    late = Bowl()

    async def attends() -> None:
        await gated.scene.generation.ready
        follow(gated.scene.stream, late, NATIVE)

    attending = asyncio.create_task(attends())
    texts = [f"{number:05} " * 100 for number in range(2000)]
    await gated.says(*texts)
    await gated.ends()
    gated.guard.answers.put_nowait(None)
    looks = 0
    while not late.ended:
        await asyncio.sleep(0)
        looks += 1
        assert looks < 100_000
    await attending
    assert late.text == "".join(texts)
    assert looks > 10, "others had their turns"
