"""Forecasts: the prompt by its bytes, the answer by the client's word, both learnt from what was used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.forecast import OUTPUT_TOKENS, Forecast
from penstock.wire.events import Usage


def test_before_anything_is_known() -> None:
    forecast = Forecast()
    assert forecast.expect(401, 100) == (101, 100)
    assert forecast.expect(0, None) == (0, OUTPUT_TOKENS)
    assert forecast.expect(400, 100, choices=3).total == 100 + 300
    assert forecast.expect(400, 0).total == 100


def test_it_learns_what_a_model_makes_of_bytes_and_how_long_its_answers_are() -> None:
    forecast = Forecast()
    for _ in range(200):
        forecast.learn(1000, Usage(500, 40))
    assert forecast.expect(1000, None).input in range(498, 503)
    assert forecast.expect(0, None).output == 40
    assert forecast.expect(0, 10).output == 10, "the client's word counts"


def test_what_it_does_not_learn_from() -> None:
    forecast = Forecast()
    for usage in (Usage(1, 1, source="estimated"), Usage(source="unknown"), Usage(None, None)):
        forecast.learn(1000, usage)
    forecast.learn(10, Usage(1000, None))
    assert forecast.expect(400, None) == (100, OUTPUT_TOKENS)


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.none() | st.integers(-5, 10**9), st.none() | st.integers(-5, 10**6)))
)
def test_whatever_it_is_told_it_expects_something_sensible(story: list[tuple[int, int | None, int | None]]) -> None:
    forecast = Forecast()
    for size, read, wrote in story:
        forecast.learn(size, Usage(read, wrote))
        expected = forecast.expect(size, None)
        assert size / 8 - 1 <= expected.input <= size + 1
        assert expected.output >= 0
