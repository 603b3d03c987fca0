"""However much a request or an answer holds, each piece of it costs the same.

One event loop serves everybody: what is quadratic in a stranger's JSON keeps all others waiting. The sizes here take a
second or so; with a search among all earlier pieces for each one, they would take minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock.dialects import DIALECTS

MOST_SECONDS = 8.0
"""Of the processor's time, not the clock's: machines that run tests are busy."""


def at_once(work: Callable[[], Any]) -> Any:
    """The result of `work`, which must not take long."""
    before = time.process_time()
    done = work()
    assert time.process_time() - before < MOST_SECONDS
    return done


def asked(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, **fields}).encode()


def calls(count: int) -> list[Any]:
    return [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"} for n in range(count)]


def results(count: int) -> list[Any]:
    return [{"type": "function_call_output", "call_id": f"c{n}", "output": "x"} for n in range(count)]


def gemini_calls(count: int) -> list[Any]:
    return [
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}] * count},
        {"role": "user", "parts": [{"functionResponse": {"name": "f"}}] * count},
    ]


HI = {"role": "user", "content": "hi"}
WORDS = {"role": "assistant", "content": "x"}
FIELDS = {f"field_{n}": 1 for n in range(100_000)}
REQUESTS: dict[str, tuple[str, bytes]] = {
    "blocks of unknown types": (
        "anthropic",
        asked(messages=[{"role": "user", "content": [{"type": f"a{n}"} for n in range(100_000)]}]),
    ),
    "unknown fields of a tool": ("anthropic", asked(messages=[HI], tools=[{"name": "f", **FIELDS}])),
    "unknown fields": ("anthropic", asked(messages=[HI], **FIELDS)),
    "parts of unknown types": (
        "ui-messages",
        asked(messages=[{"role": "user", "parts": [{"type": f"data-{n}"} for n in range(100_000)]}]),
    ),
    "parts that matter": (
        "ui-messages",
        asked(messages=[{"role": "user", "parts": [{"type": f"x-{n}"} for n in range(100_000)]}]),
    ),
    "tools of unknown types": ("openai-responses", asked(input="hi", tools=[{}] * 300_000)),
    "calls in a row": ("openai-responses", asked(input=calls(100_000))),
    "calls and their results": ("openai-responses", asked(input=[*calls(50_000), *results(50_000)])),
    "words between a call and its result": (
        "openai-responses",
        asked(input=[*calls(1), *[WORDS] * 100_000, *results(1)]),
    ),
    "calls without ids": ("gemini", asked(contents=gemini_calls(50_000))),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_is_read_in_one_go(what: str) -> None:
    dialect, body = REQUESTS[what]
    at_once(lambda: DIALECTS[dialect].parse_request(body))


@pytest.mark.parametrize("target", ["anthropic", "gemini", "openai-responses", "ui-messages"])
def test_hints_in_messages_are_noted_in_one_go(target: str) -> None:
    """A name in every message, behind as many hints that were found before."""
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
    spoken = [{"role": "user", "name": "ann", "content": [image]}] * 20_000
    body = asked(messages=spoken, max_tokens=None, **{f"field_{n}": 1 for n in range(50_000)})
    request = DIALECTS["openai-chat"].parse_request(body)
    dropped = at_once(lambda: DIALECTS[target].encode_request(request, "m")).dropped
    assert list(dropped).count("messages.name") == 1
