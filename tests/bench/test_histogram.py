import random

import pytest

from bench.histogram import Histogram


def test_nothing_recorded_has_no_percentile():
    assert Histogram().percentile(50) is None
    assert Histogram().summary() == {"p50_ms": None, "p99_ms": None, "max_ms": None, "count": 0}


def test_small_values_are_exact():
    histogram = Histogram()
    for value in range(1, 101):
        histogram.record(value)
    assert [histogram.percentile(p) for p in (1, 50, 99, 100)] == [1, 50, 99, 100]


@pytest.mark.parametrize("highest", [1_000, 10**6, 10**9, 10**13])
def test_percentiles_are_within_half_a_percent(highest):
    values = sorted(random.Random(highest).randrange(highest) for _ in range(2_000))
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    for percent in (1, 50, 90, 99, 100):
        exact = values[max(1, -(-len(values) * percent // 100)) - 1]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.005, abs=1)


def test_a_clock_that_went_backwards_counts_as_zero():
    histogram = Histogram()
    histogram.record(-5)
    assert histogram.percentile(50) == 0


def test_merging_is_recording_into_one():
    one, other, both = Histogram(), Histogram(), Histogram()
    for number in range(5_000):
        (one if number % 3 else other).record(number * 977)
        both.record(number * 977)
    one.merge(other)
    assert (one.counts, one.total, one.highest) == (both.counts, both.total, both.highest)


def test_summary_is_in_milliseconds():
    histogram = Histogram()
    histogram.record(2_000_000)
    assert histogram.summary()["max_ms"] == 2.0
