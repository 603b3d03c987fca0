"""The errors: one root, and a hierarchy that its own page draws."""

from __future__ import annotations

import inspect
import re

import pytest

from penstock import exceptions
from penstock.exceptions import InvalidPosition, PenstockError, Refused, UpstreamFailed

CLASSES = [
    kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__
]


def test_one_root() -> None:
    assert all(issubclass(kind, PenstockError) for kind in CLASSES)
    assert all(kind.__doc__ for kind in CLASSES)


def test_the_drawing_is_the_hierarchy() -> None:
    drawn = {}
    parents: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if tree := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(tree[1]) // 4
            parents[depth:] = [tree[2]]
            drawn[tree[2]] = parents[depth - 1] if depth else None
    known = {kind.__name__ for kind in CLASSES}
    assert set(drawn) == known
    for kind in CLASSES:
        assert drawn[kind.__name__] == (None if kind is PenstockError else kind.__bases__[0].__name__)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (408, True),
        (409, False),
        (410, False),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_what_may_be_sent_again(status: int, retryable: bool) -> None:
    assert Refused(status, "word", "text").retryable is retryable
    assert Refused(status, "word", "text", retryable=not retryable).retryable is not retryable


def test_a_refusal_says_its_message() -> None:
    refused = UpstreamFailed(502, "upstream_error", "no answer", retry_after=3)
    assert str(refused) == "no answer"
    assert (refused.retry_after, refused.param) == (3, None)


def test_a_wrong_position_is_shown_short_and_on_one_line() -> None:
    message = str(InvalidPosition("x\n" * 1000))
    assert "\n" not in message
    assert len(message) < 200
