"""Which pieces of tool calls belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.calls import CallNumbers

Piece = tuple[int | None, str | None, str | None]


def numbers(pieces: list[Piece], choice: int = 0) -> list[int]:
    told = CallNumbers()
    return [told.of(choice, *piece) for piece in pieces]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([(0, "a", "f"), (0, None, None), (1, "b", "g"), (0, None, None), (1, None, None)], [0, 0, 1, 0, 1]),
        ([(0, "a", "f"), (0, "a", "f"), (0, "a", None)], [0, 0, 0]),
        ([(1, "b", "g"), (0, "a", "f"), (1, None, None)], [1, 0, 1]),
        ([(0, "a", "f"), (0, None, None), (0, "b", "g"), (0, None, None)], [0, 0, 1, 1]),
        ([(0, "a", "f"), (0, "b", "g"), (1, "c", "h"), (2, "d", "i")], [0, 1, 2, 3]),
        ([(0, "a", "f"), (0, "b", None), (0, "c", None)], [0, 0, 0]),
        ([(0, None, "f"), (0, "a", None)], [0, 0]),
        ([(None, "a", "f"), (None, None, None), (None, "b", "g"), (None, None, None)], [0, 0, 1, 1]),
        ([(None, "a", "f"), (None, "b", "g"), (None, "a", None), (None, None, None)], [0, 1, 0, 0]),
        ([(None, None, "f"), (None, None, None), (None, None, "f")], [0, 0, 1]),
        ([(None, None, "f"), (None, "a", None), (None, "b", None)], [0, 0, 1]),
        ([(None, "a", None), (None, None, "f"), (None, None, "g")], [0, 0, 1]),
        ([(None, None, None), (None, None, None)], [0, 0]),
        ([(1, "a", "f"), (None, "b", "g"), (None, None, None), (1, None, None)], [1, 2, 2, 1]),
        ([(0, "", "f"), (0, "", "g")], [0, 0]),
        ([(-1, None, "f"), (0, "a", "g"), (-1, None, None)], [0, 1, 0]),
    ],
)  # fmt: skip
def test_which_pieces_belong_together(pieces: list[Piece], expected: list[int]) -> None:
    assert numbers(pieces) == expected


def test_choices_are_counted_apart() -> None:
    told = CallNumbers()
    assert [told.of(choice, None, str(choice), "f") for choice in (0, 1, 0, 1)] == [0, 0, 0, 0]


calls = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(-2, 5)), min_size=1, max_size=8)


@given(calls)
def test_whatever_they_are_numbered_calls_with_ids_stay_apart(calls: list[tuple[int, int | None]]) -> None:
    """One after the other, each with so many more pieces."""
    pieces = [
        piece
        for number, (more, index) in enumerate(calls)
        for piece in [(index, f"id{number}", "f"), *[(index, None, None)] * more]
    ]
    told = numbers(pieces)
    expected = [number for number, (more, _) in enumerate(calls) for _ in range(1 + more)]
    first_seen = {number: place for place, number in reversed(list(enumerate(told)))}
    assert [sorted(first_seen.values()).index(first_seen[number]) for number in told] == expected
    assert all(number >= 0 for number in told)


@given(st.lists(st.integers(0, 5), max_size=20))
def test_what_is_numbered_well_stays_as_it_is(indexes: list[int]) -> None:
    begun: set[int] = set()
    pieces: list[Piece] = []
    for index in indexes:
        pieces.append((index, None, None) if index in begun else (index, f"id{index}", "f"))
        begun.add(index)
    assert numbers(pieces) == indexes
