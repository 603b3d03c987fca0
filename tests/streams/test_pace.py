"""Pace: too few tokens in a whole window."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from penstock.streams.pace import Pace, pace


def test_a_slow_upstream_is_found_at_the_end_of_its_window() -> None:
    pace = Pace(2, 10)
    pace.begin(100, 1)
    assert not pace.too_slow(109.9, 1), "it may make up for it"
    assert pace.too_slow(110, 20)


def test_an_upstream_that_rests_and_makes_up_for_it() -> None:
    pace = Pace(2, 10)
    pace.begin(100, 1)
    assert not pace.too_slow(105, 1)
    assert not pace.too_slow(110, 21)
    assert pace.too_slow(120, 40), "every window counts for itself"


def test_what_we_made_it_wait_does_not_count() -> None:
    pace = Pace(2, 10)
    pace.begin(100, 1)
    pace.begin(109, 2)
    assert not pace.too_slow(110, 2)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 50))))
def test_without_a_pace_nothing_is_too_slow(steps: list[tuple[float, int]]) -> None:
    pace, now, tokens = Pace(0, 10), 0.0, 0
    for later, more in steps:
        now, tokens = now + later, tokens + more
        assert not pace.too_slow(now, tokens)


@given(st.floats(0.1, 100), st.floats(1, 60), st.lists(st.floats(0.01, 5), max_size=50))
def test_who_keeps_the_pace_is_never_too_slow(least: float, window: float, steps: list[float]) -> None:
    pace, now, tokens = Pace(least, window), 0.0, 0
    pace.begin(now, 0)
    for later in steps:
        now, tokens = now + later, tokens + math.ceil(later * least) + 1
        assert not pace.too_slow(now, tokens)


def test_who_is_asked_for_none_shares_one() -> None:
    assert pace(0, 10) is pace(0, 30)
    assert pace(2, 10) is not pace(2, 10)
