"""Gates: nothing is shown that was not passed."""

from __future__ import annotations

import asyncio

import pytest

from penstock.dialects.native import encode_event
from penstock.streams.gate import GateRule, Passage
from penstock.streams.plan import Plan
from penstock.wire.events import Done, Error, Reasoning, Token, ToolCall
from tests.streams.river import NATIVE, Bowl, follow
from tests.streams.scene import Scene

pytestmark = pytest.mark.anyio


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
    def __init__(self, window: int | None = None, timeout: float = 10.0) -> None:
        self.guard = Guard()
        self.scene = Scene("native", Plan(gate=GateRule(self.guard, window, timeout)))
        self.bowl = Bowl()
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
    for event in (Reasoning("think"), Token("say"), ToolCall(0, "c", "f", '{"do": 1}')):
        gated.scene.attempt.feed(encode_event(event))
    await gated.ends()
    assert gated.guard.seen[0].text == 'thinksay{"do": 1}'
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
