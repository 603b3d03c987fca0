"""Who gets an answer in pieces, and who in whole parts."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects.base import Options, Request, Tool
from penstock.policy.delivery import SHORT_TOKENS, choose


def ask(**more: Any) -> Request:
    return Request(**{"dialect": "native", "model": "m", "messages": [], "stream": True, **more})


@pytest.mark.parametrize(
    ("request_", "delivery", "why"),
    [
        (ask(), "stream", "people"),
        (ask(stream=False), "buffer", "machine"),
        (ask(options=Options(response_format={"type": "json_object"}), tools=[Tool("f")]), "buffer", "structured"),
        (ask(tools=[Tool("f")]), "tools", "calls whole"),
        (ask(max_tokens=SHORT_TOKENS), "buffer", "short"),
        (ask(max_tokens=SHORT_TOKENS + 1), "stream", "people"),
    ],
)
def test_auto_looks_at_the_request(request_: Request, delivery: str, why: str) -> None:
    choice = choose("auto", "stream", request_)
    assert choice.delivery == delivery
    assert why in choice.why


@pytest.mark.parametrize("wish", ["stream", "buffer"])
def test_a_wish_is_done(wish: Any) -> None:
    assert choose(wish, "auto", ask(tools=[Tool("f")])) == (wish, "asked for")
    assert choose(None, wish, ask(tools=[Tool("f")])) == (wish, "the route's")
