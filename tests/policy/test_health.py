"""Breakers, as transcripts with the clock turned by hand; and by hypothesis."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.health import LONGEST_REST, PROBE_SECONDS, REST, Breaker


def opened(limit: int = 3, at: float = 100.0) -> Breaker:
    breaker = Breaker(limit)
    for _ in range(limit):
        assert breaker.allows(at)
        breaker.went(at)
        breaker.failed(at)
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(3)
    for _ in range(2):
        breaker.failed(0)
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(0)
    assert breaker.allows(0), "a success in between begins the count anew"
    breaker.failed(0)
    assert not breaker.allows(0)


def test_after_its_rest_one_probe_may_go() -> None:
    breaker = opened()
    assert not breaker.allows(100 + REST - 0.1)
    assert breaker.ready_in(101) == REST - 1
    assert breaker.allows(100 + REST)
    breaker.went(100 + REST)
    assert not breaker.allows(100 + REST), "one, not all that wait"


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.went(100 + REST)
    breaker.succeeded()
    assert breaker.allows(100 + REST)
    breaker.failed(200)
    assert breaker.allows(200), "and the count begins anew"


def test_a_first_token_closes_it_but_failures_in_a_row_still_count() -> None:
    breaker = opened(2)
    breaker.went(100 + REST)
    breaker.answered()
    assert breaker.allows(100 + REST)
    for _ in range(2):
        breaker.answered()
        breaker.failed(110)
    assert not breaker.allows(110)


def test_a_probe_that_fails_makes_the_rest_longer() -> None:
    breaker, now = opened(), 100.0
    rests = []
    for _ in range(6):
        rest = breaker.ready_in(now)
        rests.append(rest)
        now += rest
        breaker.went(now)
        breaker.failed(now)
    assert rests == [REST, REST * 2, REST * 4, REST * 8, LONGEST_REST, LONGEST_REST]


def test_a_probe_that_came_to_nothing_lets_the_next_one_go() -> None:
    breaker = opened()
    breaker.went(110)
    breaker.released()
    assert breaker.allows(110)


def test_a_probe_that_never_comes_back_is_given_up() -> None:
    breaker = opened()
    breaker.went(110)
    assert not breaker.allows(110 + PROBE_SECONDS - 1)
    assert breaker.allows(110 + PROBE_SECONDS)


def test_late_failures_of_requests_sent_before_do_not_lengthen_the_rest() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(101)
    assert breaker.ready_in(101) == REST - 1


def test_a_limit_of_zero_never_opens() -> None:
    breaker = Breaker(0)
    for _ in range(1000):
        breaker.failed(0)
    assert breaker.allows(0)


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed", "release"]), st.floats(0, 100))))
def test_it_always_lets_somebody_through_in_the_end(story: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(2), 0.0
    for what, seconds in story:
        now += seconds
        if what == "ask" and breaker.allows(now):
            breaker.went(now)
        elif what == "fail":
            breaker.failed(now)
        elif what == "succeed":
            breaker.succeeded()
            assert breaker.allows(now)
        elif what == "release":
            breaker.released()
        assert breaker.allows(now) == (breaker.ready_in(now) == 0)
    assert breaker.allows(now + LONGEST_REST + PROBE_SECONDS)
