"""The wheel: one timer for all deadlines, turned by hand here."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.streams.wheel import Wheel
from tests.streams.river import TICK, Clock, Time

pytestmark = pytest.mark.anyio


@pytest.fixture
def time() -> Time:
    return Time()


class Note:
    """A deadline that writes down when it was called."""

    def __init__(self, time: Time, *again: float | None) -> None:
        self.called: list[float] = []
        self._time = time
        self._again = list(again)

    def __call__(self, now: float) -> float | None:
        assert now == self._time.clock()
        self.called.append(now)
        return self._again.pop(0) if self._again else None


async def test_due_is_called_once_and_not_early(time: Time) -> None:
    note = Note(time)
    time.wheel.at(1001.0, note)
    time.passes(0.99)
    assert note.called == []
    time.passes(5)
    assert note.called == [pytest.approx(1001.0, abs=2 * TICK + 0.01)]
    assert note.called[0] >= 1001.0


async def test_due_says_when_to_look_again(time: Time) -> None:
    note = Note(time, 1002.0, 1004.0)
    time.wheel.at(1001.0, note)
    time.passes(10)
    assert [round(at) for at in note.called] == [1001, 1002, 1004]


async def test_a_time_that_has_passed_is_the_next_turn(time: Time) -> None:
    note = Note(time, 5.0)
    time.wheel.at(1.0, note)
    time.passes(2 * TICK)
    assert len(note.called) == 2


async def test_a_time_that_has_passed_is_not_lost_after_a_rest() -> None:
    """The wheel did not turn for a long time, and is then given much to do at once."""
    time = Time()
    time.clock.time = 5000.0
    late, others = Note(time), [Note(time) for _ in range(50)]
    time.wheel.at(2.0, late)
    for number, other in enumerate(others):
        time.wheel.at(6000.0 + number, other)
    time.passes(1)
    assert len(late.called) == 1


async def test_a_long_sleep_calls_all_that_was_due_in_order(time: Time) -> None:
    notes = [Note(time) for _ in range(4)]
    order: list[int] = []
    for number, when in ((2, 1030.0), (0, 1001.0), (3, 1031.0), (1, 1002.0)):
        time.wheel.at(when, lambda now, number=number: order.append(number))
        time.wheel.at(when, notes[number])
    time.clock.time = 2000.0
    time.wheel.turn(2000.0)
    assert order == [0, 1, 2, 3]
    assert all(note.called == [2000.0] for note in notes)


async def test_one_that_raises_does_not_take_others_with_it(time: Time) -> None:
    def bad(now: float) -> None:
        raise ZeroDivisionError

    before, after, later = Note(time), Note(time), Note(time)
    time.wheel.at(1001.0, before)
    time.wheel.at(1001.0, bad)
    time.wheel.at(1001.0, after)
    time.wheel.at(1001.5, later)
    time.clock.time = 1002.0
    with pytest.raises(ZeroDivisionError):
        time.wheel.turn(1002.0)
    time.passes(1)
    assert [len(note.called) for note in (before, after, later)] == [1, 1, 1]


async def test_a_clock_that_stands_still_calls_nothing_twice(time: Time) -> None:
    note = Note(time, 1000.5, 1000.6)
    time.wheel.at(1000.5, note)
    time.passes(0.6)
    calls = len(note.called)
    time.wheel.turn(time.clock())
    time.wheel.turn(time.clock() - 10)
    assert len(note.called) == calls


async def test_stop_forgets_all(time: Time) -> None:
    note, fresh = Note(time), Note(time)
    time.wheel.at(1001.0, note)
    time.wheel.stop()
    time.wheel.at(1001.0, fresh)
    time.passes(2)
    assert (len(note.called), len(fresh.called)) == (0, 1)
    time.wheel.stop()


@given(st.lists(st.tuples(st.floats(0, 20), st.lists(st.floats(0, 20), max_size=3)), max_size=12))
async def test_never_early_hardly_late_never_lost(plan: list[tuple[float, list[float]]]) -> None:
    time = Time()
    late: list[float] = []

    def deadline(wanted: list[float]) -> object:
        waits = iter([*wanted[1:], None])
        due_at = wanted[0]

        def due(now: float) -> float | None:
            nonlocal due_at
            late.append(now - due_at)
            wait = next(waits)
            if wait is None:
                return None
            due_at = now + wait
            return due_at

        return due

    for first, more in plan:
        time.wheel.at(1000 + first, deadline([1000 + first, *more]))  # type: ignore[arg-type]
    time.passes(100)
    assert len(late) == sum(1 + len(more) for _, more in plan)
    assert all(0 <= lateness <= 2 * TICK + 1e-6 for lateness in late)


async def test_a_turn_that_takes_long_skips_nobody(time: Time) -> None:
    """The machine stands still in the middle of a turn: what falls due meanwhile is late, not lost."""

    def slow(now: float) -> float:
        time.clock.time += 0.5
        return now + 10

    called: list[int] = []
    time.wheel.at(1001.0, slow)
    for number in range(40):
        time.wheel.at(1001.1 + number / 20, lambda now, number=number: called.append(number))
    time.goes_by_itself(5)
    assert called == list(range(40))


@given(
    st.lists(st.tuples(st.floats(0, 8), st.floats(0, 0.5), st.one_of(st.none(), st.floats(0, 8))), max_size=25),
    st.floats(0, 3),
)
async def test_however_long_a_turn_takes_nobody_is_lost(
    plan: list[tuple[float, float, float | None]], rest: float
) -> None:
    """Each entry: when it is due, how long the turn stands still in it, and how much later it wants to be called again."""
    time = Time()
    late: list[float] = []

    def entry(due_at: float, takes: float, again: float | None) -> object:
        def due(now: float) -> float | None:
            nonlocal due_at, again
            late.append(now - due_at)
            time.clock.time += takes
            if again is None:
                return None
            due_at, again = now + again, None
            return due_at

        return due

    time.clock.time += rest
    for when, takes, again in plan:
        time.wheel.at(1000 + when, entry(1000 + when, takes, again))  # type: ignore[arg-type]
    time.goes_by_itself(100)
    assert len(late) == sum(1 if again is None else 2 for _, _, again in plan)
    assert all(lateness >= 0 for lateness in late)


async def test_turns_by_itself_and_rests_while_empty() -> None:
    wheel = Wheel(0.001)
    rang = asyncio.Event()
    wheel.at(wheel.now() + 0.005, lambda now: rang.set())
    await asyncio.wait_for(rang.wait(), 5)
    again = asyncio.Event()
    wheel.at(wheel.now(), lambda now: again.set())
    await asyncio.wait_for(again.wait(), 5)
    assert wheel._timer is None


async def test_goes_on_after_one_that_raises() -> None:
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    wheel = Wheel(0.001)
    rang = asyncio.Event()

    def bad(now: float) -> None:
        raise ZeroDivisionError

    wheel.at(wheel.now(), bad)
    wheel.at(wheel.now(), lambda now: rang.set())
    await asyncio.wait_for(rang.wait(), 5)
    loop.set_exception_handler(None)
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_the_clock_is_the_wheel_s() -> None:
    clock = Clock(7.0)
    assert Wheel(clock=clock).now() == 7.0
