"""Forecasts: the prompt by its bytes, the answer by the client's word, both learnt from what was used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.forecast import ATTACHED_TOKENS, OUTPUT_TOKENS, Ask, Forecast
from penstock.wire.events import Usage


def test_before_anything_is_known() -> None:
    forecast = Forecast()
    assert forecast.expect(Ask(401, 100)) == (101, 100)
    assert forecast.expect(Ask(0)) == (0, OUTPUT_TOKENS)
    assert forecast.expect(Ask(400, 100, choices=3)).total == 100 + 300
    assert forecast.expect(Ask(400, 0)).total == 100


def test_it_learns_what_a_model_makes_of_bytes() -> None:
    forecast = Forecast()
    for _ in range(200):
        forecast.learn(Ask(1000), Usage(500, 40))
    assert forecast.expect(Ask(1000)).input in range(498, 503)
    assert forecast.expect(Ask(0)).output == OUTPUT_TOKENS, "never less"
    assert forecast.expect(Ask(0, 10)).output == 10, "the client's word counts"


def test_the_largest_of_the_latest_answers_is_expected_and_slowly_forgotten() -> None:
    forecast = Forecast()
    forecast.learn(Ask(1000), Usage(250, 8000))
    assert forecast.expect(Ask(0)).output == 8000, "at once"
    forecast.learn(Ask(1000), Usage(250, 1600))
    assert forecast.expect(Ask(0)).output == 7600
    for _ in range(100):
        forecast.learn(Ask(1000), Usage(250, 1600))
    assert forecast.expect(Ask(0)).output in range(1600, 1620)


def test_of_several_answers_each_is_one() -> None:
    forecast = Forecast()
    forecast.learn(Ask(1000, choices=4), Usage(250, 4000))
    assert forecast.expect(Ask(0)).output == 1000
    assert forecast.expect(Ask(0, choices=2)).output == 2000


def test_images_and_files_are_expected_to_be_read_and_teach_nothing_of_bytes() -> None:
    forecast = Forecast()
    assert forecast.expect(Ask(400, 0, attachments=3)).input == 100 + 3 * ATTACHED_TOKENS
    for _ in range(50):
        forecast.learn(Ask(400, attachments=1), Usage(5000, 10))
    assert forecast.expect(Ask(400)).input == 100


def test_what_it_does_not_learn_from() -> None:
    forecast = Forecast()
    for usage in (Usage(1, 9000, source="estimated"), Usage(source="unknown"), Usage(None, None)):
        forecast.learn(Ask(1000), usage)
    forecast.learn(Ask(10), Usage(1000, None))
    assert forecast.expect(Ask(400)) == (100, OUTPUT_TOKENS)


counts = st.none() | st.integers(0, 10**12)


@given(st.lists(st.tuples(st.integers(0, 10**7), counts, counts, st.integers(1, 128))))
def test_whatever_it_is_told_it_expects_something_sensible(
    story: list[tuple[int, int | None, int | None, int]],
) -> None:
    forecast = Forecast()
    for size, read, wrote, choices in story:
        forecast.learn(Ask(size, choices=choices), Usage(read, wrote))
        expected = forecast.expect(Ask(size))
        assert size / 8 - 1 <= expected.input <= size + 1
        assert OUTPUT_TOKENS <= expected.output <= 10**12
