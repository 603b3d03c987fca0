"""Positions: what a client says that it has seen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import InvalidPosition
from penstock.wire.position import Position, parse_position

epochs = st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True)
positions = st.builds(Position, epochs, st.integers(1, 10**15 - 1), st.integers(0, 999_999)) | st.builds(
    Position, epochs, st.just(0), st.just(0)
)


@given(positions)
def test_what_is_written_is_read(position: Position) -> None:
    assert parse_position(str(position)) == position


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a1b2c3:0", Position("a1b2c3", 0)),
        ("a1b2c3:17", Position("a1b2c3", 17)),
        ("a1b2c3:17.2", Position("a1b2c3", 17, 2)),
        ("0:1", Position("0", 1)),
    ],
)
def test_read(text: str, position: Position) -> None:
    assert parse_position(text) == position
    assert str(position) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":1",
        "17",
        "a:-1",
        "a:+1",
        "a:01",
        "a:00",
        "a:1.",
        "a:1.0",
        "a:1.01",
        "a:0.1",
        "a:1.2.3",
        "a:1:2",
        "a: 1",
        " a:1",
        "a:1 ",
        "a:1\n",
        "a:1.2\n",
        "\na:1",
        "A:1",
        "a-b:1",
        "a:1_0",
        "a:1e3",
        "a:\u0661",
        "\u00e9:1",
        "\u0661:1",
        "a:1.\u0662",
        f"a:{10**15}",
        f"a:{'9' * 5000}",
        f"{'a' * 33}:1",
        "a:1.10000000000",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidPosition) as raised:
        parse_position(text)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


@given(st.text(max_size=30))
def test_nothing_but_a_position_is_one(text: str) -> None:
    good = re.compile("[a-z0-9]{1,32}:(0|[1-9][0-9]{0,14}(\\.[1-9][0-9]{0,5})?)")
    if good.fullmatch(text):
        assert str(parse_position(text)) == text
    else:
        with pytest.raises(InvalidPosition):
            parse_position(text)
