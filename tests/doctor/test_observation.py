"""The figures that follow from what was seen."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.doctor.observation import Asked, Observation, Times
from tests.doctor.seen import cut, good

courses = st.builds(
    Asked,
    events=st.integers(1, 60),
    pace=st.sampled_from([0.01, 0.1, 1.0]),
    idle=st.sampled_from([0.0, 1.0, 30.0]),
)


def every(seconds: float) -> object:
    """A path that lets things through at whole multiples of `seconds` only."""
    return lambda at: math.ceil(at / seconds - 1e-9) * seconds


@given(courses, st.floats(0, 5))
def test_a_way_that_only_takes_time_holds_nothing_back(asked: Asked, way: float) -> None:
    seen = good(asked, way)
    assert seen.bursts == asked.events
    assert seen.held < 1e-6
    assert seen.whole
    assert not seen.cut_in_silence


@given(courses, st.floats(0, 5))
def test_all_at_the_end_is_one_burst(asked: Asked, way: float) -> None:
    seen = good(asked, way, lambda _at: asked.seconds)
    assert seen.bursts == 1
    first_to_last = (asked.events - 1) * asked.pace + (asked.idle if asked.events > 1 else 0)
    assert seen.held == pytest.approx(first_to_last)


@given(courses, st.sampled_from([0.5, 2.0]))
def test_nothing_is_held_longer_than_the_gate_is_closed(asked: Asked, gate: float) -> None:
    seen = good(asked, hold=every(gate))  # type: ignore[arg-type]
    assert seen.held <= gate
    assert 1 <= seen.bursts <= asked.events
    sent = [arrival.sent for arrival in seen.arrivals]
    assert seen.bursts == len({math.ceil(at / gate - 1e-9) for at in sent})


def test_nothing_seen_has_figures_too() -> None:
    nothing = Observation(url="http://x/")
    assert (nothing.bursts, nothing.held, nothing.delays, nothing.silence) == (0, 0.0, [], 0.0)
    assert not any((nothing.begun, nothing.reached, nothing.whole, nothing.cut_in_silence))


def test_a_cut_is_in_the_silence_only_if_the_last_event_before_it_came_last() -> None:
    seen = good(Asked(events=10, idle=4))
    in_silence = cut(seen, 5, ended_at=2.5)
    assert in_silence.cut_in_silence
    assert in_silence.silence == pytest.approx(2.1), "since event 5 was sent, at 0.4 s"
    assert not cut(seen, 4, ended_at=2.5).cut_in_silence
    assert not cut(seen, 6, ended_at=5.0).cut_in_silence
    assert not cut(good(Asked(events=10)), 5, ended_at=2.5).cut_in_silence, "no silence was asked for"
    assert not cut(good(Asked(events=1, idle=4)), 1, ended_at=2.5).cut_in_silence, "that is not the middle"


def test_the_path_is_what_the_server_is_not() -> None:
    assert Times(first_byte=0.5, server=0.2).path == pytest.approx(0.3)
    assert Times(first_byte=0.1, server=0.2).path == 0
    assert Times(first_byte=0.1).path is None
    assert Times(server=0.1).path is None


def test_headers_of_one_name_are_joined() -> None:
    seen = msgspec.structs.replace(good(), headers=[("via", "1.1 a"), ("x", "y"), ("via", "1.0 b")])
    assert (seen.header("via"), seen.header("nope")) == ("1.1 a, 1.0 b", "")
