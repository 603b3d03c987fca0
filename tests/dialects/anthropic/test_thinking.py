"""How much a model is to think and to say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.models import traits
from penstock.dialects.anthropic.thinking import BUDGETS, DEFAULT_MAX_TOKENS, signed, think
from penstock.dialects.base import Message, Options, Request

SUMMARIZED = {"type": "adaptive", "display": "summarized"}


def told(model: str, most: int | None = None, last: str = "user", **options: Any) -> tuple[dict[str, Any], list[str]]:
    """The fields that are sent, and what is dropped."""
    request = Request(
        dialect="openai-chat",
        model="m",
        messages=[Message("user", "hi"), Message(last, "x", tool_call_id="t")],
        max_tokens=most,
        options=Options(**options),
    )
    fields: dict[str, Any] = {}
    dropped: list[str] = []
    think(request, traits(model), fields, dropped)
    return fields, dropped


class TestBudget:
    """Models that take a budget: it is always below `max_tokens`."""

    def told(self, *arguments: Any, **facts: Any) -> tuple[int | None, int, list[str]]:
        fields, dropped = told("claude-sonnet-4-5", *arguments, **facts)
        thinking = fields.pop("thinking", None)
        assert thinking is None or thinking["type"] == "enabled"
        assert fields.keys() == {"max_tokens"}
        return thinking and thinking["budget_tokens"], fields["max_tokens"], dropped

    @pytest.mark.parametrize(("effort", "budget"), BUDGETS.items())
    def test_an_effort_is_a_budget(self, effort: str, budget: int) -> None:
        assert self.told(reasoning_effort=effort) == (budget, DEFAULT_MAX_TOKENS + budget, [])
        assert self.told(reasoning_effort=effort, most=50_000) == (budget, 50_000, [])

    @pytest.mark.parametrize(
        ("facts", "budget", "most"),
        [
            ({"reasoning_tokens": 5000}, 5000, DEFAULT_MAX_TOKENS + 5000),
            ({"reasoning_tokens": 1}, 1024, DEFAULT_MAX_TOKENS + 1024),
            ({"reasoning_effort": "high", "most": 16384}, 8192, 16384),
            ({"reasoning_effort": "high", "most": 16385}, 16384, 16385),
            ({"reasoning_effort": "low", "most": 2048}, 1024, 2048),
            ({"reasoning_effort": "low", "reasoning_tokens": 9000}, 2048, DEFAULT_MAX_TOKENS + 2048),
        ],
    )
    def test_budgets(self, facts: Any, budget: int, most: int) -> None:
        assert self.told(**facts) == (budget, most, [])

    @pytest.mark.parametrize("facts", [{}, {"reasoning_effort": "none"}, {"reasoning_tokens": 0}])
    def test_no_thinking(self, facts: Any) -> None:
        assert self.told(**facts) == (None, DEFAULT_MAX_TOKENS, [])

    @pytest.mark.parametrize(
        "facts",
        [
            {"most": 1024},
            {"most": 2047},
            {"tool_choice": "required"},
            {"tool_choice": "function:f"},
            {"last": "assistant"},
            {"last": "tool"},
        ],
    )
    def test_where_it_may_not_be_asked_to_think_it_is_said(self, facts: Any) -> None:
        most = facts.get("most", DEFAULT_MAX_TOKENS)
        assert self.told(reasoning_effort="low", **facts) == (None, most, ["reasoning_effort"])
        assert self.told(reasoning_tokens=2048, **facts) == (None, most, ["reasoning_tokens"])

    @given(st.integers(1, 70_000), st.integers(1, 70_000))
    def test_is_always_below_what_it_may_say(self, most: int, tokens: int) -> None:
        budget, limit, _ = self.told(most=most, reasoning_tokens=tokens)
        assert limit == most
        assert budget is None or 1024 <= budget < limit


class TestEffort:
    """Models that decide by themselves, and are told an effort."""

    @pytest.mark.parametrize(
        ("model", "options", "effort"),
        [
            ("claude-opus-4-8", {"reasoning_effort": "minimal"}, "low"),
            ("claude-opus-4-8", {"reasoning_effort": "low"}, "low"),
            ("claude-opus-4-8", {"reasoning_effort": "medium"}, "medium"),
            ("claude-opus-5", {"reasoning_effort": "high"}, "high"),
            ("claude-fable-5", {"reasoning_effort": "xhigh"}, "xhigh"),
            ("claude-opus-4-6", {"reasoning_effort": "xhigh"}, "high"),
            ("claude-opus-5", {"reasoning_tokens": 1}, "low"),
            ("claude-opus-5", {"reasoning_tokens": 2049}, "medium"),
            ("claude-opus-5", {"reasoning_tokens": 10**9}, "xhigh"),
        ],
    )
    def test_efforts(self, model: str, options: Any, effort: str) -> None:
        facts = {"thinking": SUMMARIZED, "output_config": {"effort": effort}}
        most = DEFAULT_MAX_TOKENS + BUDGETS[effort]
        for last in ("user", "tool"):
            assert told(model, last=last, **options) == (facts | {"max_tokens": most}, [])
        assert told(model, 7, **options) == (facts | {"max_tokens": 7}, [])

    @pytest.mark.parametrize("choice", ["required", "function:f"])
    def test_a_model_that_must_call_a_tool_is_only_told_the_effort(self, choice: str) -> None:
        fields, dropped = told("claude-opus-5", 7, reasoning_effort="low", tool_choice=choice)
        assert (fields, dropped) == ({"max_tokens": 7, "output_config": {"effort": "low"}}, [])

    def test_nothing_asked(self) -> None:
        assert told("claude-opus-4-8") == ({"max_tokens": DEFAULT_MAX_TOKENS}, [])
        # It will think, and its thoughts count.
        assert told("claude-opus-5") == ({"max_tokens": DEFAULT_MAX_TOKENS + BUDGETS["high"]}, [])

    @pytest.mark.parametrize("options", [{"reasoning_effort": "none"}, {"reasoning_tokens": 0}])
    def test_no_thinking(self, options: Any) -> None:
        assert told("claude-opus-4-8", **options) == ({"max_tokens": DEFAULT_MAX_TOKENS}, [])
        off = {"thinking": {"type": "disabled"}, "max_tokens": DEFAULT_MAX_TOKENS}
        assert told("claude-opus-5", **options) == (off, [])
        assert told("claude-fable-5", **options) == (
            {"max_tokens": DEFAULT_MAX_TOKENS + BUDGETS["high"]},
            list(options),
        )


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8"])
@pytest.mark.parametrize("options", [{"reasoning_effort": "heroic"}, {"reasoning_tokens": -1}])
def test_what_nobody_knows_is_dropped_and_said(model: str, options: Any) -> None:
    assert told(model, **options) == ({"max_tokens": DEFAULT_MAX_TOKENS}, list(options))


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": ""}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
SAID = {"type": "text", "text": "so"}


def test_thoughts_that_nobody_signed_are_not_given_back() -> None:
    """Another provider's model thought so, in an answer that was told in this dialect."""
    asked = {"role": "user", "content": "why?"}
    answered = {"role": "assistant", "content": [THOUGHT, SAID]}
    only = {"role": "assistant", "content": [THOUGHT]}
    assert signed([asked, answered, asked]) == ([asked, {"role": "assistant", "content": [SAID]}, asked], True)
    assert signed([asked, only, asked]) == ([asked, asked], True)


@pytest.mark.parametrize("content", ["text", [SIGNED, SAID], [], None, [None, 3], [{"type": "thinking"}]])
def test_all_else_is_given_back_as_it_came(content: Any) -> None:
    messages = [{"role": "assistant", "content": content}, "odd"]
    assert signed(messages)[0] is messages
