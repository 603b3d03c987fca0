"""Key pools: one key's trouble is not the others'."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.keys import LIMITED_SECONDS, REFUSED_SECONDS, KeyPool


def test_keys_take_turns() -> None:
    pool = KeyPool(["a", "b", "c"])
    assert [pool.key(pool.take(0)) for _ in range(4)] == ["a", "b", "c", "a"]


def test_no_key_is_an_empty_one() -> None:
    pool = KeyPool([])
    assert pool.key(pool.take(0)) == ""
    assert pool.refused(0, 401, None, 0) is False


def test_a_limited_key_rests_and_the_others_go_on() -> None:
    pool = KeyPool(["a", "b", "c"])
    assert pool.refused(pool.take(0), 429, 3.0, 0) is True
    assert [pool.key(pool.take(1)) for _ in range(4)] == ["b", "c", "b", "c"]
    assert "a" in [pool.key(pool.take(3)) for _ in range(3)]


def test_how_long_it_rests() -> None:
    for status, retry_after, seconds in ((429, None, LIMITED_SECONDS), (429, 2.0, 2.0), (401, 1.0, REFUSED_SECONDS)):
        pool = KeyPool(["a", "b"])
        pool.refused(0, status, retry_after, 0)
        assert {pool.take(seconds - 0.1) for _ in range(4)} == {1}
        assert {pool.take(seconds) for _ in range(4)} == {0, 1}


def test_when_all_rest_the_one_that_is_ready_first_is_used() -> None:
    pool = KeyPool(["a", "b"])
    assert pool.refused(0, 429, 30, 0) is True
    assert pool.refused(1, 429, 20, 0) is False
    assert [pool.key(pool.take(1)) for _ in range(3)] == ["b", "b", "b"]


def test_other_statuses_say_nothing_about_the_key() -> None:
    pool = KeyPool(["a", "b"])
    for status in (400, 404, 500, 503):
        assert pool.refused(0, status, None, 0) is False
    assert {pool.take(0) for _ in range(2)} == {0, 1}


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from([200, 401, 429]), st.none() | st.floats(0, 1e9), st.floats(0, 100))),
)
def test_there_is_always_a_key(count: int, story: list[tuple[int, float | None, float]]) -> None:
    pool, now = KeyPool([str(n) for n in range(count)]), 0.0
    for status, retry_after, seconds in story:
        now += seconds
        number = pool.take(now)
        another = pool.refused(number, status, retry_after, now)
        if another:
            assert pool.take(now) != number


def test_keys_that_may_be_used_again_at_once_are_not_asked_in_turn_without_end() -> None:
    pool = KeyPool(["a", "b"])
    assert pool.refused(pool.take(0), 429, 0, 0) is True
    assert pool.refused(pool.take(0), 429, 0, 0.01) is False
