"""What models take of sampling and thinking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.models import Traits, traits

BUDGETED = Traits()
ADAPTIVE = Traits(adaptive=True, efforts=("low", "medium", "high"))
SILENT = Traits(adaptive=True, samples=False)
THINKING = Traits(adaptive=True, samples=False, thinks=True)
RESTLESS = Traits(adaptive=True, samples=False, thinks=True, may_rest=False)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-3-5-sonnet-20241022", BUDGETED),
        ("claude-3-haiku-20240307", BUDGETED),
        ("claude-opus-4-20250514", BUDGETED),
        ("claude-opus-4-1-20250805", BUDGETED),
        ("claude-sonnet-4-5-20250929", BUDGETED),
        ("claude-haiku-4-5", BUDGETED),
        ("claude-sonnet-latest", BUDGETED),
        ("claude-sonnet-20250101", BUDGETED),
        ("deepseek-chat", BUDGETED),
        ("claude-opus-4-6", ADAPTIVE),
        ("anthropic/claude-sonnet-4.6", ADAPTIVE),
        ("claude-opus-4-6@20260205", ADAPTIVE),
        ("us.anthropic.claude-opus-4-7-v1:0", SILENT),
        ("claude-opus-4-8", SILENT),
        ("claude-haiku-5", THINKING),
        ("claude-sonnet-5", THINKING),
        ("claude-sonnet-5-5", THINKING),
        ("claude-opus-12-1", THINKING),
        ("claude-fable-5", RESTLESS),
        ("claude-mythos-preview", RESTLESS),
    ],
)
def test_by_name(model: str, expected: Traits) -> None:
    assert traits(model) == expected


@given(st.text())
def test_any_other_name_is_a_model_of_somebody_elses(name: str) -> None:
    assert traits(name) == BUDGETED
