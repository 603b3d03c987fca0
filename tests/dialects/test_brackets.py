"""Brackets of JSON in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.brackets import Brackets


def closed_after(*pieces: str) -> list[bool]:
    brackets = Brackets()
    told = []
    for piece in pieces:
        told.append(brackets.feed(piece))
        assert told[-1] == brackets.closed
    return told


@pytest.mark.parametrize(
    ("pieces", "closed"),
    [
        (["{", "", "}"], [False, False, True]),
        (["{}", "{"], [True, True]),
        (['{"a": "}', '"}'], [False, True]),
        (['{"a": "\\', '"}', '"}'], [False, False, True]),
        (['{"a": "\\', "", "\\", '"}'], [False, False, False, True]),
        (['[{"a": [1]}', "]"], [False, True]),
        (["5", "null", '"x"'], [False, False, False]),
        (["}"], [True]),
    ],
)
def test_it_closes_with_the_first_one(pieces: list[str], closed: list[bool]) -> None:
    assert closed_after(*pieces) == closed


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["\\", '"', '\\"', "{[", "}]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=3) | st.lists(values, max_size=3), st.data())
def test_json_closes_with_its_last_character_however_it_comes(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    assert closed_after(*text) == [False] * (len(text) - 1) + [True]
    at = data.draw(st.integers(0, len(text) - 1))
    assert closed_after(text[:at], text[at:]) == [False, True]
