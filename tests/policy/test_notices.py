"""Notices, as transcripts: what a log is told of what comes again and again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.notices import MOST, SECONDS, Notices


def test_the_first_few_are_told_and_then_how_many_were_not() -> None:
    notices = Notices()
    assert [notices.due("cut", 0.1 * number) for number in range(MOST + 2)] == [""] * MOST + [None, None]
    assert notices.due("cut", SECONDS - 1) is None
    assert notices.due("cut", SECONDS + 1) == " (3 more like it before)"
    assert notices.due("cut", SECONDS + 2) == ""


def test_each_kind_for_itself() -> None:
    notices = Notices()
    for _ in range(MOST + 1):
        notices.due(("a", "cut"), 0)
    assert notices.due(("a", "stalled"), 0) == ""
    assert notices.due(("b", "cut"), 0) == ""


@given(st.lists(st.floats(0, 30), max_size=200))
def test_none_is_forgotten_and_few_are_told(pauses: list[float]) -> None:
    notices, now, told, counted = Notices(), 0.0, [], 0
    for pause in pauses:
        now += pause
        more = notices.due("x", now)
        if more is not None:
            told.append(now)
            counted += 1 + (int(more.split()[0].lstrip("(")) if more else 0)
    assert len([at for at in told if at > now - SECONDS]) <= 2 * MOST
    silent = len(pauses) - counted
    assert silent >= 0
    # What was not told yet is told with the next one after a minute.
    if notices.due("x", now + 2 * SECONDS):
        assert silent > 0
