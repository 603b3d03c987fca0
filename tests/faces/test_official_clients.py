"""The official clients, each in its own API, in front of every dialect that the simulated model speaks.

What their users see (text, thinking, tools, why it ended, what it used) must be what the model says it sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from anthropic import Anthropic
from openai import OpenAI

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import End, wait_for
from tests.support.routes import route, routed, upstream
from tests.support.serving import Served

UPSTREAMS = ("openai-chat", "openai-responses", "anthropic", "gemini")
CUES: dict[str, dict[str, Any]] = {
    "text": {"tokens": 30, "unicode": True},
    "thinking": {"text": "so it is", "reasoning": "let me see"},
    "tools": {
        "text": "I will look",
        "tool_calls": [
            {"id": "call_1", "name": "weather", "arguments": {"city": "Oslo", "days": 3}},
            {"id": "call_2", "name": "time", "arguments": {}},
        ],
    },
    "length": {"tokens": 5, "finish_reason": "length"},
}


class Seen(NamedTuple):
    """What a client's user sees of an answer."""

    text: str
    thinking: str
    tools: list[tuple[str, Any]]
    reason: str
    """In the words of OpenAI's chat."""
    used: tuple[int, int]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim:
        tables = [upstream(name, sim.url, dialect=name) + route(name, name) for name in UPSTREAMS]
        with routed(*tables) as served:
            yield sim, served


def said(cue: dict[str, Any], prompt: str) -> list[Any]:
    return [{"role": "user", "content": f"{prompt} sim:{json.dumps(cue)}"}]


def by_chat(url: str, model: str, messages: list[Any], *, stream: bool) -> Seen:
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    if not stream:
        whole = client.chat.completions.create(model=model, messages=messages)
        message, usage = whole.choices[0].message, whole.usage
        assert usage is not None
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
        thinking = (message.model_extra or {}).get("reasoning_content") or ""
        reason = whole.choices[0].finish_reason
        return Seen(message.content or "", thinking, calls, reason, (usage.prompt_tokens, usage.completion_tokens))
    text, thinking, ended, used = "", "", "", (0, 0)
    pieces: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    ):
        if chunk.usage is not None:
            used = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            thinking += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            ended = choice.finish_reason or ended
            for piece in choice.delta.tool_calls or []:
                call = pieces.setdefault(piece.index, ["", ""])
                assert piece.function is not None
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
    return Seen(text, thinking, [(name, json.loads(told)) for name, told in pieces.values()], ended, used)


def by_responses(url: str, model: str, messages: list[Any], *, stream: bool) -> Seen:
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    if stream:
        with client.responses.stream(model=model, input=messages) as events:
            told = list(events)
        deltas = [event.delta for event in told if event.type == "response.output_text.delta"]
        # `get_final_response()` knows no `response.incomplete`.
        whole: Any = next(
            event.response for event in told if event.type in ("response.completed", "response.incomplete")
        )
        assert "".join(deltas) == whole.output_text
    else:
        whole = client.responses.create(model=model, input=messages)
    thinking = "".join(part.text for item in whole.output if item.type == "reasoning" for part in item.summary)
    calls = [(item.name, json.loads(item.arguments)) for item in whole.output if item.type == "function_call"]
    reason = "length" if whole.status == "incomplete" else "tool_calls" if calls else "stop"
    return Seen(whole.output_text, thinking, calls, reason, (whole.usage.input_tokens, whole.usage.output_tokens))


def by_messages(url: str, model: str, messages: list[Any], *, stream: bool) -> Seen:
    client = Anthropic(base_url=url, api_key="any", max_retries=0)
    if stream:
        with client.messages.stream(model=model, max_tokens=4000, messages=messages) as events:
            deltas = [event.text for event in events if event.type == "text"]
            whole = events.get_final_message()
    else:
        whole = client.messages.create(model=model, max_tokens=4000, messages=messages)
    text = "".join(block.text for block in whole.content if block.type == "text")
    if stream:
        assert "".join(deltas) == text
    thinking = "".join(block.thinking for block in whole.content if block.type == "thinking")
    calls = [(block.name, block.input) for block in whole.content if block.type == "tool_use"]
    reason = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}[whole.stop_reason or ""]
    usage = whole.usage
    asked = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return Seen(text, thinking, calls, reason, (asked, usage.output_tokens))


CLIENTS: dict[str, Callable[..., Seen]] = {"chat": by_chat, "responses": by_responses, "messages": by_messages}


def sent(truth: End, cue: dict[str, Any]) -> Seen:
    """What the model says that it sent, in whatever dialect."""
    usage = truth.usage or {}
    asked = sum(usage.get(name) or 0 for name in ("prompt_tokens", "input_tokens", "promptTokenCount"))
    asked += sum(usage.get(name) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens"))
    told = ("completion_tokens", "output_tokens", "candidatesTokenCount", "thoughtsTokenCount")
    calls = [(call["name"], json.loads(call["arguments"])) for call in truth.tool_calls[0]]
    reason = cue.get("finish_reason") or ("tool_calls" if calls else "stop")
    return Seen(truth.text[0], truth.reasoning[0], calls, reason, (asked, sum(usage.get(name) or 0 for name in told)))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("cue", CUES)
@pytest.mark.parametrize("model", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_official_client_sees_what_any_model_sent(
    servers: tuple[SimProcess, Served], client: str, model: str, cue: str, stream: bool
) -> None:
    prompt = f"{client}-{model}-{cue}-{'streamed' if stream else 'whole'}"
    seen = CLIENTS[client](servers[1].url, model, said(CUES[cue], prompt), stream=stream)
    truth = wait_for(servers[0].truth_path, lambda truth: truth.answer(prompt))
    assert seen == sent(truth, CUES[cue])
