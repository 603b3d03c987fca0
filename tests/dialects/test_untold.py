"""What only clients of the answer's own dialect can be told."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects.untold import Untold
from penstock.wire.events import Error, Finish


def ended(reason: Any, *, parts: str = "", works: str = "", said: bool = False) -> str | None:
    """The names in the error that the answer ends with; None = it ends as it did."""
    untold = Untold("gemini")
    for name in parts:
        untold.part(name)
    for name in works:
        untold.work(name)
    untold.said = said
    finish = Finish(reason, 1)
    last = untold.end(finish)
    if isinstance(last, Finish):
        assert last is finish
        return None
    assert (last.code, last.retryable, last.outcome) == ("unsupported_translation", False, "upstream_error")
    assert last.message.startswith("the answer holds what only gemini has words for: ")
    return last.message.rpartition(": ")[2]


def test_nothing_is_no_error() -> None:
    assert ended("completed") is None


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("reason", ["completed", "tool_calls", "length"])
def test_a_part_is_missed_always(reason: str, said: bool) -> None:
    assert ended(reason, parts="ab", said=said) == "a, b"


def test_work_is_missed_where_it_is_all_there_was() -> None:
    assert ended("completed", works="ab") == "a, b"
    assert ended("tool_calls", works="a") == "a"
    assert ended("completed", works="a", said=True) is None
    assert ended("length", works="a") is None


def test_a_filtered_answer_is_told_as_one() -> None:
    assert ended("content_filter", parts="a", works="b") is None


def test_what_is_named_has_bounds() -> None:
    untold = Untold("gemini")
    for n in range(100_000):
        untold.part(f"{n}{'x' * 100}")
        untold.work(f"{n}{'x' * 100}")
    last = untold.end(Finish("completed"))
    assert isinstance(last, Error)
    assert len(last.message) < 1000
