"""Timing: what the reader of an answer felt."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.streams.timing import STALL_SECONDS, Timing


def timed(asked: float, *tokens: float) -> Timing:
    timing = Timing(asked)
    for now in tokens:
        timing.token(now)
    return timing


def test_nothing_came() -> None:
    timing = timed(100.0)
    assert (timing.time_to_first_token, timing.mean_gap, timing.gaps, timing.stalls) == (None, None, 0, 0)


def test_one_token_has_no_gap() -> None:
    timing = timed(100.0, 130.0)
    assert (timing.time_to_first_token, timing.mean_gap, timing.gaps) == (30.0, None, 0)
    assert (timing.longest_gap, timing.stalls) == (0.0, 0)


def test_the_wait_for_the_first_is_in_no_gap() -> None:
    timing = timed(100.0, 160.0, 161.0, 161.5)
    assert timing.time_to_first_token == 60.0
    assert (timing.gaps, timing.mean_gap, timing.longest_gap, timing.stalls) == (2, 0.75, 1.0, 0)


def test_every_long_gap_is_a_stall() -> None:
    timing = timed(100.0, 101.0, 104.0, 106.0, 107.9, 200.0, 202.5)
    assert (timing.stalls, timing.longest_gap) == (4, pytest.approx(92.1))


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=20).map(sorted))
def test_as_counted_by_hand(tokens: list[float]) -> None:
    timing = timed(0.0, *tokens)
    gaps = [b - a for a, b in itertools.pairwise(tokens)]
    assert timing.time_to_first_token == tokens[0]
    assert timing.gaps == len(gaps)
    assert timing.longest_gap == max(gaps, default=0.0)
    assert timing.stalls == sum(gap >= STALL_SECONDS for gap in gaps)
    assert timing.mean_gap == (pytest.approx(sum(gaps) / len(gaps)) if gaps else None)
