"""Courses, as transcripts: who is asked, in what order, after what pause."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import Refused, UpstreamFailed
from penstock.policy.course import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT, Route, Target, Walk
from penstock.policy.health import REST, Breaker
from penstock.streams.plan import Step

DOWN = UpstreamFailed(502, "upstream_unreachable", "refused")
CUT = UpstreamFailed(502, "upstream_truncated", "cut")
LATE = UpstreamFailed(504, "upstream_timeout", "no token")
LIMITED = UpstreamFailed(429, "upstream_rate_limited", "slow down", retry_after=3)
WRONG = UpstreamFailed(400, "context_length", "too long")
NO_ENTRY = UpstreamFailed(502, "upstream_error", "credentials", retryable=False)


class Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.dialect = "openai-chat"

    def start(self, *_: Any) -> Any:
        raise NotImplementedError


def walk(*targets: str | tuple[str, int], retries: int | None = None, seed: int = 0, limit: int = 0) -> Walk:
    """A walk along targets given by name, or name and weight."""
    made = []
    for target in targets:
        name, weight = (target, None) if isinstance(target, str) else target
        made.append(Target(Named(name), None, weight, Breaker(limit)))
    return Walk(Route("m", tuple(made), retries=retries), "m", random.Random(seed))


def go(walked: Walk, now: float = 0, lost: Step | None = None, why: Refused | None = None) -> Step:
    """The next step, made at once: nobody is full here (tests/policy/test_course_queue.py)."""
    step = walked.next(now, lost, why)
    assert walked.enter(step, now, lambda: None) is step
    return step


def after(walked: Walk, step: Step, failure: Refused, now: float = 0) -> Step:
    """The step after `step` has failed so."""
    walked.failed(step, failure, now)
    return go(walked, now, step, failure)


def told(walked: Walk, *failures: Refused) -> list[str]:
    """The names of all that are asked while the attempts fail so, and what the caller is told in the end."""
    step, names = go(walked, 0), []
    for failure in failures:
        names.append(step.upstream.name)
        try:
            step = after(walked, step, failure)
        except Refused as refused:
            return [*names, f"told {refused.code}"]
    return [*names, step.upstream.name]


def test_in_order() -> None:
    assert told(walk("a", "b", "c"), DOWN, LATE, LIMITED) == ["a", "b", "c", "told upstream_rate_limited"]


def test_another_upstream_is_asked_at_once() -> None:
    walked = walk("a", "b")
    assert go(walked, 0, go(walked, 0), LIMITED).delay == 0


def test_what_is_the_requests_own_fault_is_asked_nowhere_else() -> None:
    assert told(walk("a", "b", retries=5), WRONG) == ["a", "told context_length"]


def test_what_one_finds_fault_with_in_a_continued_answer_another_may_not() -> None:
    """Then the request is ours, and not the client's."""
    walked = walk("a", "b", "c")
    step = go(walked, 0)
    walked.won(step)
    step = after(walked, step, CUT)
    assert after(walked, step, WRONG).upstream.name == "c"


def test_what_one_dialect_can_not_say_another_may() -> None:
    unsaid = Refused(400, "unsupported_translation", "n")
    assert told(walk("a", "b"), unsaid, unsaid) == ["a", "b", "told unsupported_translation"]


def test_refused_credentials_are_not_tried_again_but_elsewhere() -> None:
    assert told(walk("a", retries=3), NO_ENTRY) == ["a", "told upstream_error"]
    assert told(walk("a", "b", retries=3), NO_ENTRY, NO_ENTRY) == ["a", "b", "told upstream_error"]


def test_retries_count_every_attempt_after_the_first() -> None:
    assert told(walk("a", "b", retries=3), *[DOWN] * 9) == ["a", "b", "a", "b", "told upstream_unreachable"]
    assert told(walk("a", retries=2), *[DOWN] * 9) == ["a", "a", "a", "told upstream_unreachable"]
    assert told(walk("a", "b", retries=0), DOWN) == ["a", "told upstream_unreachable"]


def test_another_key_of_the_same_upstream_is_no_retry() -> None:
    other = UpstreamFailed(429, "upstream_rate_limited", "slow down", retry_after=60)
    other.other_key = True
    assert told(walk("a", retries=0), other, other, LIMITED) == ["a", "a", "a", "told upstream_rate_limited"]


def test_pauses_grow_and_are_spread() -> None:
    most = [0.0] * 8
    for seed in range(300):
        walked = walk("a", retries=8, seed=seed)
        step = go(walked, 0)
        for number in range(8):
            step = go(walked, 0, step, DOWN)
            most[number] = max(most[number], step.delay)
            assert 0 <= step.delay <= min(LONGEST_PAUSE, FIRST_PAUSE * 2**number)
    assert all(got > 0.9 * min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) for number, got in enumerate(most))


def test_retry_after_is_waited_for_or_told() -> None:
    walked = walk("a", retries=3)
    assert go(walked, 0, go(walked, 0), LIMITED).delay >= 3
    long = UpstreamFailed(429, "upstream_rate_limited", "slow down", retry_after=LONGEST_WAIT + 1)
    assert told(walk("a", retries=3), long) == ["a", "told upstream_rate_limited"]


def test_weights_share_the_first_place() -> None:
    first = [told(walk(("a", 3), ("b", 1), ("c", 0), seed=seed))[0] for seed in range(2000)]
    assert 0.70 < first.count("a") / 2000 < 0.80
    assert first.count("c") == 0
    assert told(walk(("a", 0), ("b", 0))) == ["a"]


def test_the_others_follow_in_order() -> None:
    assert told(walk(("a", 0), ("b", 1), ("c", 0)), DOWN, DOWN, DOWN) == ["b", "a", "c", "told upstream_unreachable"]


def test_an_open_breaker_is_passed_by() -> None:
    targets = tuple(Target(Named(name), None, None, Breaker(1)) for name in "ab")
    route, dice = Route("m", targets), random.Random(0)
    first = Walk(route, "m", dice)
    assert after(first, go(first, 0), DOWN).upstream.name == "b"
    assert go(Walk(route, "m", dice), 1).upstream.name == "b"
    assert go(Walk(route, "m", dice), REST).upstream.name == "a", "the probe"


def test_when_all_are_open_the_caller_is_told_for_how_long() -> None:
    targets = (Target(Named("a"), None, None, Breaker(1)),)
    route, dice = Route("m", targets), random.Random(0)
    first = Walk(route, "m", dice)
    with pytest.raises(UpstreamFailed):
        after(first, go(first, 0), DOWN)
    with pytest.raises(Refused) as refused:
        go(Walk(route, "m", dice), 1)
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (
        503,
        "upstream_unavailable",
        REST - 1,
    )


def test_limits_and_wrong_requests_say_nothing_about_health() -> None:
    breaker = Breaker(1)
    route = Route("m", (Target(Named("a"), None, None, breaker),))
    for failure in (LIMITED, WRONG, NO_ENTRY):
        walked = Walk(route, "m", random.Random(0))
        with pytest.raises(UpstreamFailed):
            after(walked, go(walked, 0), failure)
    assert breaker.allows(0)


def test_a_break_in_the_middle_of_an_answer_counts() -> None:
    breaker = Breaker(1)
    walked = Walk(Route("m", (Target(Named("a"), None, None, breaker),)), "m", random.Random(0))
    step = go(walked, 0)
    walked.won(step)
    walked.failed(step, CUT, 0)
    assert not breaker.allows(0)


def test_breaks_in_a_row_count_though_each_answer_began() -> None:
    breaker = Breaker(3)
    route = Route("m", (Target(Named("a"), None, None, breaker),))
    for number in range(3):
        assert breaker.allows(0), number
        walked = Walk(route, "m", random.Random(0))
        step = go(walked, 0)
        walked.won(step)
        walked.failed(step, CUT, 0)
    assert not breaker.allows(0)


def test_a_probe_that_is_let_go_of_leaves_room_for_the_next() -> None:
    breaker = Breaker(1)
    route = Route("m", (Target(Named("a"), None, None, breaker),))
    breaker.failed(0)
    walked = Walk(route, "m", random.Random(0))
    step = go(walked, REST)
    assert not breaker.allows(REST)
    walked.stopped(step)
    assert breaker.allows(REST)


def test_beside_the_late_one_only_another_is_asked() -> None:
    walked = walk("a", "b")
    go(walked, 0)
    beside = walked.beside(0)
    assert beside is not None
    assert (beside.upstream.name, beside.delay) == ("b", 0)
    assert walked.beside(0) is None
    alone = walk("a", retries=5)
    go(alone, 0)
    assert alone.beside(0) is None


def test_the_models_name_is_the_targets_or_the_clients() -> None:
    targets = (Target(Named("a"), "inner"), Target(Named("b"), None))
    walked = Walk(Route("m", targets), "m", random.Random(0))
    first = go(walked, 0)
    assert (first.model, go(walked, 0, first, DOWN).model) == ("inner", "m")


@given(
    st.integers(1, 4),
    st.none() | st.integers(0, 6),
    st.lists(st.sampled_from([DOWN, LATE, LIMITED, WRONG, NO_ENTRY]), max_size=30),
    st.integers(0, 99),
)
def test_it_always_ends(count: int, retries: int | None, failures: list[UpstreamFailed], seed: int) -> None:
    walked = walk(*[str(number) for number in range(count)], retries=retries, seed=seed, limit=3)
    asked, ended_by = 1, None
    step: Step = go(walked, 0)
    for failure in failures:
        try:
            step = go(walked, 0, step, failure)
        except UpstreamFailed as refused:
            ended_by = refused
            break
        asked += 1
    assert ended_by in (None, failures[asked - 1] if asked <= len(failures) else None)
    assert asked <= 1 + (count - 1 if retries is None else retries)
