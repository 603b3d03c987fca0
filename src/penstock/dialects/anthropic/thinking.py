"""How much a model is to think, in the words that it takes, and `max_tokens`, which counts the thoughts too."""

from __future__ import annotations

from typing import Any

from penstock.dialects.anthropic.models import Traits
from penstock.dialects.base import Request

DEFAULT_MAX_TOKENS = 4096
"""This API demands `max_tokens`: what a request of another dialect gets that says nothing of it, for its words."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}
"""Tokens for thinking, by the word for the effort; `none` is no thinking."""

LEAST_BUDGET = 1024
"""What the API allows at least."""


def think(request: Request, traits: Traits, fields: dict[str, Any], dropped: list[str]) -> None:
    """Set `max_tokens`, and what says how much to think; what can't be told is added to `dropped`."""
    name = "reasoning_effort" if request.options.reasoning_effort is not None else "reasoning_tokens"
    budget = _budget(request)
    if budget is not None and budget < 0:
        dropped.append(name)
        budget = None
    if traits.adaptive:
        _adapt(request, traits, budget, fields)
        if budget == 0 and not traits.may_rest:
            dropped.append(name)
        return
    most = request.max_tokens
    if budget and most is not None and budget >= most:
        # The client's limit holds for the whole answer, thoughts included. Half of it is left for words.
        budget = most // 2
    if budget and (budget < LEAST_BUDGET or _is_forced(request) or _is_begun(request)):
        dropped.append(name)
        budget = None
    if budget:
        fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
    fields["max_tokens"] = most or DEFAULT_MAX_TOKENS + (budget or 0)


def _adapt(request: Request, traits: Traits, budget: int | None, fields: dict[str, Any]) -> None:
    allowance = BUDGETS["high"] if traits.thinks else 0
    if budget == 0:
        if traits.thinks and traits.may_rest:
            fields["thinking"] = {"type": "disabled"}
            allowance = 0
    elif budget is not None:
        effort = next((word for word in traits.efforts if budget <= BUDGETS[word]), traits.efforts[-1])
        fields["output_config"] = {**fields.get("output_config", {}), "effort": effort}
        allowance = BUDGETS[effort]
        if not _is_forced(request):
            # Without `summarized`, newer models think in silence.
            fields["thinking"] = {"type": "adaptive", "display": "summarized"}
    fields["max_tokens"] = request.max_tokens or DEFAULT_MAX_TOKENS + allowance


def _budget(request: Request) -> int | None:
    """Tokens for thinking: 0 = must not think, -1 = as much as nobody knows, None = the client did not say."""
    options = request.options
    if options.reasoning_effort == "none":
        return 0
    if options.reasoning_effort is not None:
        return BUDGETS.get(options.reasoning_effort, -1)
    tokens = options.reasoning_tokens
    return tokens if tokens is None or tokens == 0 else -1 if tokens < 0 else max(tokens, LEAST_BUDGET)


def _is_forced(request: Request) -> bool:
    """It must call a tool: the API does not let it think then."""
    return request.options.tool_choice not in (None, "auto", "none")


def _is_begun(request: Request) -> bool:
    """The answer is begun, by words or by calls whose earlier thoughts the API is not given back: the same."""
    return bool(request.messages) and request.messages[-1].role in ("assistant", "tool")


def signed(messages: list[Any]) -> tuple[list[Any], bool]:
    """A client's messages without thoughts that nobody signed, and whether there were any.

    What another provider's model thought is told with an empty signature. A client gives it back as it came, and the API
    refuses signatures that are not its own.
    """
    if not any(map(_has_unsigned, messages)):
        return messages, False
    kept = []
    for message in messages:
        if _has_unsigned(message):
            blocks = [block for block in message["content"] if not _is_unsigned(block)]
            if not blocks:
                continue  # the API takes no empty message, and two turns of one side in a row
            message = {**message, "content": blocks}
        kept.append(message)
    return kept, True


def _has_unsigned(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(map(_is_unsigned, content))


def _is_unsigned(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking" and block.get("signature") == ""
