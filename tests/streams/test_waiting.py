"""What stands between a step and its attempt, as transcripts: pauses and the queue, and every way out of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from penstock.exceptions import Refused
from penstock.streams.generation import Generation
from penstock.streams.plan import Plan, Queued, Step
from penstock.wire.events import Error
from tests.streams.river import Time, new_stream
from tests.streams.scene import HELLO, REQUEST, ROLE, STOP, USED, Course, Upstream

pytestmark = pytest.mark.anyio
BUSY = Refused(503, "upstream_busy", "all slots are taken", retry_after=2)
DONE = b"data: [DONE]\n\n"


class Slot:
    def __init__(self) -> None:
        self.given = 0

    def give(self) -> None:
        self.given += 1


class FullCourse(Course):
    """Its steps have to wait until the test gives them a slot; or they are refused."""

    def __init__(self, *steps: Step, refused: Refused | None = None) -> None:
        super().__init__(*steps)
        self.slot: Slot | None = None
        self.refused = refused
        self.turn: Callable[[], None] = lambda: None

    def enter(self, step: Step, now: float, turn: Callable[[], None]) -> Step | None:
        if self.refused is not None:
            raise self.refused
        self.turn = turn
        return None if self.slot is None else step._replace(slot=self.slot)

    def queued(self) -> Queued:
        return Queued(3, 4.56, 7.0)

    def overdue(self) -> Refused:
        self.heard.append("overdue")
        return BUSY


class Queue:
    """A generation whose upstream is full."""

    def __init__(self, delay: float = 0.0, refused: Refused | None = None, plan: Plan = Plan(grace=1)) -> None:  # noqa: B008
        self.time = Time()
        self.stream = new_stream(self.time.wheel, "openai-chat")
        self.upstream = Upstream("openai-chat")
        self.course = FullCourse(Step(self.upstream, "m", delay), refused=refused)
        self.generation = Generation(self.stream, self.time.wheel, plan, request_bytes=40)
        self.generation.start(self.course, REQUEST)

    async def turn(self) -> Slot:
        self.course.slot = Slot()
        self.course.turn()
        await asyncio.sleep(0)
        return self.course.slot

    def says(self, *reads: bytes) -> None:
        assert self.upstream.attempt is not None
        self.upstream.attempt.began()
        for read in reads:
            self.upstream.attempt.feed(read)

    @property
    def marks(self) -> list[str]:
        return [mark.what for mark in self.stream.trace.marks]

    def refused(self) -> str:
        assert self.generation.over
        assert self.generation.ready.done()
        assert self.stream.refusal is not None
        return self.stream.refusal.code


async def test_nobody_is_asked_before_the_turn_has_come() -> None:
    queue = Queue()
    queue.time.passes(6.9)
    assert (queue.upstream.attempt, queue.marks) == (None, ["queued"])
    slot = await queue.turn()
    assert queue.upstream.attempt is not None
    assert queue.marks == ["queued", "attempt"]
    queue.time.passes(1)
    queue.says(ROLE, HELLO)
    assert slot.given == 0
    queue.says(STOP, USED, DONE)
    assert (slot.given > 0, queue.generation.over) == (True, True)


async def test_where_it_stands_is_in_the_trace() -> None:
    (mark,) = Queue().stream.trace.marks
    assert (mark.what, mark.facts) == ("queued", {"position": 3, "expected_seconds": 4.6})


async def test_the_time_in_the_queue_is_not_the_upstreams() -> None:
    queue = Queue()
    queue.time.passes(6)
    await queue.turn()
    queue.time.passes(59)
    assert not queue.generation.over
    queue.time.passes(2)
    assert queue.refused() == "upstream_timeout"


async def test_who_waits_for_too_long_is_refused() -> None:
    queue = Queue()
    queue.time.passes(7.2)
    assert (queue.refused(), queue.course.heard) == ("upstream_busy", ["overdue"])
    await queue.turn()
    assert queue.upstream.attempt is None


async def test_who_is_refused_at_once() -> None:
    assert Queue(refused=BUSY).refused() == "upstream_busy"


async def test_who_is_refused_when_its_turn_has_come() -> None:
    queue = Queue()
    queue.course.refused = Refused(503, "upstream_unavailable", "it has failed too often")
    await queue.turn()
    assert queue.refused() == "upstream_unavailable"


async def test_a_turn_that_leads_back_into_the_queue_does_not_begin_the_time_anew() -> None:
    queue = Queue()
    queue.time.passes(6)
    queue.course.turn()
    await asyncio.sleep(0)
    assert queue.marks == ["queued"]
    queue.time.passes(1.2)
    assert queue.refused() == "upstream_busy"


async def test_a_turn_that_comes_in_the_last_moment_counts() -> None:
    queue = Queue()
    queue.time.passes(6.9)
    queue.course.slot = Slot()
    queue.course.turn()
    queue.time.passes(1)
    assert (queue.course.heard, queue.generation.over) == ([], False)
    await asyncio.sleep(0)
    assert queue.upstream.attempt is not None
    queue.time.passes(1)
    assert not queue.generation.over


async def test_a_turn_in_the_last_moment_that_leads_back_into_the_queue_does_not() -> None:
    queue = Queue()
    queue.time.passes(6.9)
    queue.course.turn()
    queue.time.passes(1)
    await asyncio.sleep(0)
    queue.time.passes(0.2)
    assert queue.refused() == "upstream_busy"


async def test_who_waits_looks_around_now_and_then() -> None:
    """Nobody calls when an upstream that was left alone has rested."""
    queue = Queue()
    queue.time.passes(3)
    queue.course.slot = Slot()
    queue.time.passes(1.2)
    assert queue.upstream.attempt is not None
    assert queue.marks == ["queued", "attempt"]


@pytest.mark.parametrize("delay", [0.0, 5.0])
async def test_cancelled_while_it_waits(delay: float) -> None:
    queue = Queue(delay)
    queue.time.passes(1)
    queue.generation.cancel()
    assert queue.course.heard == ["left"]
    await queue.turn()
    queue.time.passes(20)
    assert queue.upstream.attempt is None


async def test_cancelled_between_its_turn_and_its_attempt() -> None:
    queue = Queue()
    queue.course.slot = Slot()
    queue.course.turn()
    queue.generation.cancel()
    await asyncio.sleep(0)
    assert (queue.upstream.attempt, queue.course.heard) == (None, ["left"])


async def test_a_pause_first_and_then_the_queue() -> None:
    queue = Queue(delay=2)
    queue.time.passes(1.9)
    assert queue.marks == ["waiting"]
    queue.time.passes(0.3)
    assert queue.marks == ["waiting", "queued"]
    await queue.turn()
    assert queue.upstream.attempt is not None


async def test_the_slot_is_given_back_when_the_attempt_is_lost() -> None:
    queue = Queue()
    slot = await queue.turn()
    assert queue.upstream.attempt is not None
    queue.upstream.attempt.fail("upstream_unreachable", "no")
    assert slot.given > 0


@pytest.mark.parametrize("how", ["cancel", "interrupt", "cut", "gone"])
async def test_the_slot_is_given_back_whatever_ends_the_answer(how: str) -> None:
    queue = Queue()
    slot = await queue.turn()
    queue.says(ROLE, HELLO)
    assert slot.given == 0
    match how:
        case "cancel":
            queue.generation.cancel()
        case "interrupt":
            queue.generation.fail("interrupted", "leaving")
        case "cut":
            assert queue.upstream.attempt is not None
            queue.upstream.attempt.ended()
        case _:
            queue.generation.deserted()
            queue.time.passes(1.2)
    assert queue.stream.end is not None
    assert isinstance(queue.stream.end.last, Error) == (how != "cancel")
    assert slot.given > 0
