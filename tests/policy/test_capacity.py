"""Capacity: connections are counted against descriptors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.capacity import RESERVED, Capacity


def test_what_does_not_fit_is_not_counted() -> None:
    capacity = Capacity(RESERVED + 3)
    assert [capacity.take() for _ in range(5)] == [True, True, True, False, False]
    assert (capacity.used, capacity.free) == (3, 0)
    capacity.give()
    assert capacity.take()
    assert not capacity.take()


@pytest.mark.parametrize("limit", [0, 1, RESERVED, RESERVED + 1])
def test_a_client_and_its_upstream_always_fit(limit: int) -> None:
    capacity = Capacity(limit)
    assert [capacity.take() for _ in range(3)] == [True, True, False]


@given(st.integers(0, 200), st.lists(st.booleans()))
def test_used_and_free_add_up(limit: int, turns: list[bool]) -> None:
    capacity, held = Capacity(limit), 0
    whole = capacity.free
    for take in turns:
        if take:
            held += capacity.take()
        elif held:
            capacity.give()
            held -= 1
        assert (capacity.used, capacity.free) == (held, whole - held)
        assert 0 <= capacity.used <= whole


def test_an_idle_connection_makes_room() -> None:
    capacity = Capacity(RESERVED + 2)
    assert capacity.take()
    assert capacity.take()
    idle = [1]
    capacity.spare.append(lambda: False)
    capacity.spare.append(lambda: bool(idle and idle.pop()))
    assert capacity.take(), "whoever holds it"
    capacity.give()  # the idle one, which closes a moment later
    assert not capacity.take(), "there was only one"
