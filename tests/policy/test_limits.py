"""Limits: nothing is charged after the fact, nothing leaks, and the wait that is told is the wait there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import Refused
from penstock.policy.limits import DAY, Lease, Limiter, Limits

NOON = 20_000 * DAY + DAY / 2


def refused(limiter: Limiter, tokens: int, now: float, **more: Any) -> Refused:
    with pytest.raises(Refused) as raised:
        limiter.take(tokens, now, **more)
    return raised.value


def left(limiter: Limiter, now: float) -> dict[str, int]:
    return {standing.unit: standing.remaining for standing in limiter.standing(now)}


def test_requests_come_all_at_once_and_then_evenly() -> None:
    limiter = Limiter(Limits(requests_per_minute=60), NOON)
    for _ in range(60):
        limiter.take(1, NOON)
    error = refused(limiter, 1, NOON)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", pytest.approx(1))
    assert "60 requests a minute is reached (requests_per_minute)" in error.message
    limiter.take(1, NOON + 1.001)
    refused(limiter, 1, NOON + 1.5)
    assert left(limiter, NOON + 62) == {"requests": 60}


def test_tokens_are_reserved_before_and_settled_after() -> None:
    limiter = Limiter(Limits(tokens_per_minute=1000), NOON)
    lease = limiter.take(800, NOON)
    assert left(limiter, NOON) == {"tokens": 200}
    assert refused(limiter, 300, NOON).retry_after == pytest.approx(6)
    limiter.settle(lease, 50, NOON)
    assert left(limiter, NOON) == {"tokens": 950}
    limiter.settle(lease, 0, NOON)
    assert left(limiter, NOON) == {"tokens": 950}, "once"


def test_what_was_used_above_the_reservation_is_owed() -> None:
    limiter = Limiter(Limits(tokens_per_minute=600), NOON)
    limiter.settle(limiter.take(100, NOON), 700, NOON)
    assert left(limiter, NOON) == {"tokens": 0}
    assert refused(limiter, 1, NOON).retry_after == pytest.approx(10.1)
    limiter.take(1, NOON + 10.2)


def test_an_upstream_that_claims_the_moon_costs_two_minutes_and_no_more() -> None:
    limiter = Limiter(Limits(tokens_per_minute=600), NOON)
    limiter.settle(limiter.take(100, NOON), 10**18, NOON)
    assert (refused(limiter, 600, NOON).retry_after or 0) <= 120
    limiter.take(600, NOON + 120.1)


def test_a_day_begins_at_midnight() -> None:
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    limiter.settle(limiter.take(400, NOON), 400, NOON)
    lease = limiter.take(500, NOON)
    error = refused(limiter, 700, NOON + 60)
    assert (error.status, error.code, error.retry_after) == (429, "quota_exceeded", DAY / 2 - 60)
    midnight = NOON + DAY / 2
    limiter.take(1000, midnight)
    limiter.settle(lease, 100, midnight + 1)
    assert left(limiter, midnight + 1) == {"tokens-day": 0}, "what began yesterday is yesterday's"
    refused(limiter, 1, midnight + DAY - 1)


def test_streams_at_a_time() -> None:
    limiter = Limiter(Limits(concurrent_streams=2), NOON)
    first = limiter.take(1, NOON)
    limiter.take(1, NOON)
    assert refused(limiter, 1, NOON).retry_after == 1
    limiter.settle(first, 5, NOON)
    limiter.take(1, NOON)
    refused(limiter, 1, NOON)


def test_what_never_fits_is_told_so_and_not_to_try_again() -> None:
    limiter = Limiter(Limits(tokens_per_minute=1000, tokens_per_day=500), NOON)
    error = refused(limiter, 510, NOON, bound=501, field="max_output_tokens")
    told = (error.status, error.code, error.param, error.retryable)
    assert told == (400, "request_above_limit", "max_output_tokens", False)
    assert "max_output_tokens allows 501 tokens, and the limit is 500 tokens a day" in error.message


def test_a_guess_makes_no_request_impossible() -> None:
    limiter = Limiter(Limits(tokens_per_minute=100, tokens_per_day=1000), NOON)
    lease = limiter.take(5000, NOON, bound=100)
    assert left(limiter, NOON) == {"tokens": 0, "tokens-day": 0}, "all that each limit has"
    assert refused(limiter, 5000, NOON).status == 429
    limiter.settle(lease, 30, NOON)
    assert left(limiter, NOON) == {"tokens": 70, "tokens-day": 970}


def test_a_day_that_is_only_reserved_comes_back_soon() -> None:
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    lease = limiter.take(900, NOON)
    error = refused(limiter, 200, NOON)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 1)
    limiter.settle(lease, 50, NOON)
    limiter.take(200, NOON + 1)


def test_a_day_says_what_is_left_and_what_would_fit() -> None:
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    limiter.settle(limiter.take(900, NOON), 900, NOON)
    error = refused(limiter, 200, NOON, prompt=10)
    assert error.code == "quota_exceeded"
    said = "of 1000 tokens a day 100 are left (tokens_per_day), and this request reserves 200"
    assert error.message == f"{said}: a smaller max_tokens would fit now"
    assert refused(limiter, 200, NOON, prompt=150).message == said
    limiter.take(95, NOON)
    assert refused(limiter, 200, NOON, prompt=10).message == f"{said}: a smaller max_tokens would fit", "but not now"
    assert refused(limiter, 50, NOON, prompt=2).message.endswith(
        "try again soon, or now: a smaller max_tokens would fit"
    )
    assert refused(limiter, 50, NOON, prompt=10).message.endswith("answers that are being made: try again soon")
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    limiter.settle(limiter.take(900, NOON), 900, NOON)
    limiter.settle(limiter.take(100, NOON), 5000, NOON)
    assert refused(limiter, 1, NOON).message.endswith("try again later")


def test_a_minute_says_what_is_left_and_what_would_fit_now() -> None:
    limiter = Limiter(Limits(tokens_per_minute=2000), NOON)
    limiter.take(1486, NOON)
    error = refused(limiter, 1200, NOON, prompt=100, field="max_completion_tokens")
    said = "of 2000 tokens a minute 514 are left (tokens_per_minute), and this request reserves 1200"
    assert (error.code, error.message) == (
        "rate_limit_exceeded",
        f"{said}: a smaller max_completion_tokens would fit now",
    )
    assert refused(limiter, 1200, NOON, prompt=600).message == said
    limiter.take(514, NOON)
    assert "is reached (tokens_per_minute): try again later" in refused(limiter, 1, NOON).message


def test_nothing_is_said_to_fit_that_another_limit_keeps_out() -> None:
    limiter = Limiter(Limits(requests_per_minute=60, tokens_per_minute=2000), NOON)
    for _ in range(60):
        limiter.take(20, NOON)
    assert refused(limiter, 1900, NOON, prompt=1).message.endswith("reserves 1900"), "there is no request left"
    limiter = Limiter(Limits(tokens_per_minute=2000, tokens_per_day=2000), NOON)
    limiter.take(1900, NOON)
    assert refused(limiter, 1900, NOON, prompt=99).message.endswith("would fit now")
    limiter.take(50, NOON)
    assert not refused(limiter, 1900, NOON, prompt=99).message.endswith("would fit now")


def test_a_day_charges_all_that_was_used_and_midnight_mends_it() -> None:
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    limiter.settle(limiter.take(10, NOON), 10**9, NOON)
    assert refused(limiter, 1, NOON).code == "quota_exceeded"
    limiter.take(1000, NOON + DAY / 2)


def test_no_amount_stops_a_settlement_halfway() -> None:
    for used in (-(10**400), 10**400):
        limiter = Limiter(Limits(10, 1000, 1, 5000), NOON)
        limiter.settle(limiter.take(100, NOON), used, NOON)
        assert left(limiter, NOON)["streams"] == 1


def test_room_for_any_request_is_told_without_taking_it() -> None:
    limiter = Limiter(Limits(requests_per_minute=1, tokens_per_minute=10), NOON)
    limiter.check(NOON)
    limiter.check(NOON)
    limiter.take(10, NOON)
    with pytest.raises(Refused) as raised:
        limiter.check(NOON)
    assert (raised.value.code, raised.value.retry_after) == ("rate_limit_exceeded", pytest.approx(60))
    Limiter(Limits(tokens_per_minute=1), NOON).check(NOON)


def test_one_limit_in_the_way_takes_nothing_of_the_others() -> None:
    limiter = Limiter(Limits(10, 1000, 1, 5000), NOON)
    lease = limiter.take(100, NOON)
    before = left(limiter, NOON)
    for _ in range(50):
        refused(limiter, 100, NOON)
    assert left(limiter, NOON) == before == {"requests": 9, "tokens": 900, "tokens-day": 4900, "streams": 0}
    limiter.undo(lease, NOON)
    assert left(limiter, NOON) == {"requests": 10, "tokens": 1000, "tokens-day": 5000, "streams": 1}


def test_of_several_reasons_the_one_that_lasts_longest_is_told() -> None:
    limiter = Limiter(Limits(requests_per_minute=1, tokens_per_day=100), NOON)
    limiter.settle(limiter.take(100, NOON), 100, NOON)
    assert refused(limiter, 100, NOON).code == "quota_exceeded"


def test_a_clock_that_is_set_back_costs_nobody_anything() -> None:
    limiter = Limiter(Limits(60, 600, 5, 1000), NOON)
    limiter.take(300, NOON)
    assert left(limiter, NOON - DAY) == {"requests": 59, "tokens": 300, "tokens-day": 1000, "streams": 4}
    assert left(limiter, NOON - DAY + 60)["tokens"] == 600, "and it refills from there"


def test_a_day_that_differs_is_another_and_what_was_taken_before_it_is_not_given_to_it() -> None:
    limiter = Limiter(Limits(tokens_per_day=1000), NOON)
    lease = limiter.take(900, NOON)
    limiter.take(1000, NOON + 30 * DAY)
    assert left(limiter, NOON) == {"tokens-day": 1000}, "the clock is right again, and nobody waits for a month"
    later = limiter.take(700, NOON)
    limiter.settle(lease, 900, NOON)
    assert left(limiter, NOON) == {"tokens-day": 300}
    limiter.settle(later, 100, NOON)
    assert left(limiter, NOON) == {"tokens-day": 900}


amounts = st.integers(0, 400)
stories = st.lists(
    st.tuples(st.sampled_from(["take", "settle", "undo", "wait"]), amounts, st.floats(0, 40)), max_size=80
)


@given(stories, st.integers(1, 20), st.integers(1, 400), st.integers(1, 4), st.integers(1, 1500))
def test_no_story_uses_more_than_there_is_and_none_leaks(
    story: list[tuple[str, int, float]], requests: int, tokens: int, streams: int, daily: int
) -> None:
    """Whatever comes in whatever order: within the limits while no answer exceeds its reservation; all back at the end."""
    limiter = Limiter(Limits(requests, tokens, streams, daily), NOON)
    now = NOON
    running: list[Lease] = []
    granted: list[tuple[float, int]] = []  # when, and what was reserved or, later, used
    for what, amount, seconds in story:
        if what == "wait":
            now += seconds
        elif what == "take":
            try:
                lease = limiter.take(amount, now, bound=amount)
            except Refused as error:
                if error.status == 429 and "_per_minute" in error.message and len(running) < streams:
                    # The wait that was told is right: a little less is too little, and then it is enough.
                    wait = error.retry_after or 0.0
                    assert wait > 0
                    if now + wait < NOON + DAY / 2 and sum(size for _, size in granted) + amount <= daily:
                        refused(limiter, amount, now + wait * 0.99 - 1e-6)
                        now += wait * 1.001 + 1e-6
                        running.append(limiter.take(amount, now))
                        granted.append((now, amount))
                continue
            running.append(lease)
            granted.append((now, amount))
        elif running:
            lease = running.pop(amount % len(running))
            index = next(i for i, (at, size) in enumerate(granted) if (at, size) == (lease.taken_at, lease.tokens))
            if what == "settle":
                used = min(amount, lease.tokens)
                limiter.settle(lease, used, now)
                granted[index] = (lease.taken_at, used)
            else:
                limiter.undo(lease, now)
                del granted[index]
        assert len(running) <= streams
        today = [size for at, size in granted if at // DAY == now // DAY]
        assert sum(today) <= daily
        for standing in limiter.standing(now):
            assert 0 <= standing.remaining <= standing.limit
            assert standing.reset >= 0
    # Since the beginning no more was used than the bucket held, and what flowed into it.
    assert sum(size for _, size in granted) <= tokens * (1 + (now - NOON) / 60) + 1e-3
    for lease in running:
        limiter.settle(lease, 0, now)
    whole = now + 2 * DAY
    assert left(limiter, whole) == {"requests": requests, "tokens": tokens, "tokens-day": daily, "streams": streams}
