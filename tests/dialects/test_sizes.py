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
from penstock.dialects.base import Ending
from penstock.wire.events import Done, Event, Finish, Token, ToolCall
from tests.dialects.answers import ABOUT, START

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


MANY = 20_000
NAMED: list[Event] = [ToolCall(n, f"c{n}", "f") for n in range(MANY)]
ANSWERS: dict[str, list[Event]] = {
    "calls that are not finished": [*NAMED, *(ToolCall(n, arguments='{"a":1') for n in range(MANY))],
    "calls that are finished in turns": [*NAMED, *(ToolCall(n, arguments="{}") for n in range(MANY))],
    "calls that nobody named": [ToolCall(n, arguments="{") for n in range(MANY)],
    "words beside calls that are not finished": [*NAMED, *[Token("x")] * MANY],
    "a call in many pieces": [ToolCall(0, "c", "f", "["), *[ToolCall(0, arguments="[],")] * (10 * MANY)],
    "a call in many pieces that nobody named": [*[ToolCall(0, arguments="x" * 200)] * (3 * MANY)],
    "a call that goes wrong": [ToolCall(0, "c", "f", "{a}"), *[ToolCall(0, arguments="{}"), Token("x")] * MANY],
    "many choices": [Token("x", n) for n in range(MANY)] + [Finish("completed", n) for n in range(MANY)],
    "many ends": [*NAMED, *[Finish("tool_calls")] * MANY],
}


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "openai-responses", "ui-messages"])
@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_is_written_in_one_go(what: str, dialect: str) -> None:
    encoder = DIALECTS[dialect].encoder(ABOUT, include_usage=True)

    def write() -> int:
        blocks = 0
        for event in ANSWERS[what]:
            blocks += len(encoder.encode([event]))
            blocks += encoder.holds  # asked for with every entry of the log
        return blocks + len(encoder.end(None, Done("completed")))

    assert at_once(write)


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "openai-responses", "ui-messages"])
def test_an_answer_is_collected_in_one_go(dialect: str) -> None:
    events = [START, *ANSWERS["calls that are finished in turns"], *[Token("x")] * MANY, Done("completed")]
    assert at_once(lambda: DIALECTS[dialect].collect(ABOUT, events))


DELTAS: dict[str, tuple[str, dict[str, str]]] = {
    "text": ("text", {"type": "text_delta", "text": "x" * 100}),
    "thoughts": ("thinking", {"type": "thinking_delta", "thinking": "x" * 100}),
    "arguments": ("tool_use", {"type": "input_json_delta", "partial_json": '"' + "x" * 100}),
    "citations": ("text", {"type": "citations_delta", "citation": "x"}),
}


@pytest.mark.parametrize("kind", DELTAS)
def test_a_whole_answer_is_assembled_in_one_go(kind: str) -> None:
    block, delta = DELTAS[kind]
    told = [
        {"type": "message_start", "message": {"usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": block}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * 200_000,
    ]
    blocks = [b"data: %b\n\n" % json.dumps(event).encode() for event in told]
    end = Ending(None, None, Done("completed"), len(blocks))
    assert at_once(lambda: DIALECTS["anthropic"].assemble(ABOUT, blocks, end))


def responses_items(count: int) -> list[Any]:
    """Items that come only whole, one by one and all again."""
    items = [
        {"type": "message", "id": f"m{n}", "content": [{"type": "output_text", "text": "x"}]}
        if n % 2
        else {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"}
        for n in range(count)
    ]
    done = [{"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)]
    return [*done, {"type": "response.completed", "response": {"status": "completed", "output": items}}]


def gemini_choices(count: int) -> list[Any]:
    part = {"parts": [{"text": "x"}]}
    return [{"candidates": [{"index": n, "content": part, "finishReason": "STOP"}]} for n in range(count)]


@pytest.mark.parametrize(
    ("dialect", "sent"), [("openai-responses", responses_items(20_000)), ("gemini", gemini_choices(30_000))]
)
def test_an_answer_is_read_in_one_go(dialect: str, sent: list[Any]) -> None:
    blocks = [b"data: %b\n\n" % json.dumps(event).encode() for event in sent]
    probe, decoder = DIALECTS[dialect].probe(), DIALECTS[dialect].decoder(ABOUT)

    def read() -> list[Event]:
        for block in blocks:
            probe(block)
        return [event for block in blocks for event in decoder.decode(block)]

    told = at_once(read)
    assert len([event for event in told if isinstance(event, Token | ToolCall)]) == len(
        sent if dialect == "gemini" else sent[1:]
    )
