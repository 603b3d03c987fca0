"""Records: ids and titles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conversations.records import TITLE_LENGTH, check_id, title_of
from penstock.exceptions import Refused


@pytest.mark.parametrize("id", ["12345678", "a" * 64, "A-b_c-d_9"])
def test_an_id(id: str) -> None:
    assert check_id(id, "id") == id


@pytest.mark.parametrize("id", ["", "1234567", "a" * 65, "12345678\n", "1234 5678", "ümlautümlaut", "../../etc"])
def test_what_is_no_id(id: str) -> None:
    with pytest.raises(Refused) as raised:
        check_id(id, "parent")
    assert (raised.value.status, raised.value.param) == (400, "parent")


def test_titles() -> None:
    assert title_of("\n\n  Why is   the sea salty?\nTell me more.") == "Why is the sea salty?"
    assert title_of(" \n ") == "New conversation"
    assert title_of("word " * 40) == "word " * 15 + "word…"
    assert title_of("x" * 200) == "x" * TITLE_LENGTH + "…"


@given(st.text())
def test_every_title_is_one_short_line(text: str) -> None:
    title = title_of(text)
    assert 0 < len(title) <= TITLE_LENGTH + 1
    assert title.splitlines() == [title]
