"""The official `openai` client's Responses API, through `penstock serve` from `penstock sim` in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import End, wait_for
from tests.support.routes import route, routed, upstream
from tests.support.serving import Served

UPSTREAMS = ("openai-responses", "openai-chat", "anthropic", "gemini")

CUES: dict[str, dict[str, Any]] = {
    "text": {"tokens": 40, "unicode": True},
    "reasoning": {"text": "so it is", "reasoning": "let me see"},
    "tools": {
        "text": "I will look",
        "tool_calls": [
            {"id": "call_1", "name": "weather", "arguments": {"city": "Oslo", "days": 3}},
            {"id": "call_2", "name": "time", "arguments": {}},
        ],
    },
    "split": {"tokens": 30, "unicode": True, "split": "every"},
    "length": {"tokens": 5, "finish_reason": "length"},
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim:
        tables = [upstream(name, sim.url, dialect=name) + route(name, name) for name in UPSTREAMS]
        with routed(*tables) as served:
            yield sim, served


@pytest.fixture(scope="module")
def client(servers: tuple[SimProcess, Served]) -> OpenAI:
    return OpenAI(base_url=f"{servers[1].url}/v1", api_key="none", max_retries=0)


def ask(model: str, cue: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "input": f"{name} sim:{json.dumps(cue)}", **more}


def truth_of(servers: tuple[SimProcess, Served], name: str) -> End:
    return wait_for(servers[0].truth_path, lambda truth: truth.answer(name))


def facts_of_truth(truth: End) -> dict[str, Any]:
    return {
        "text": truth.text[0],
        "reasoning": truth.reasoning[0],
        "tools": [(call["name"], json.loads(call["arguments"])) for call in truth.tool_calls[0]],
        "status": "incomplete" if truth.finish_reason in (["length"], ["max_tokens"]) else "completed",
    }


def facts_of(response: Any) -> dict[str, Any]:
    """What a whole response tells."""
    reasoning = "".join(part.text for item in response.output if item.type == "reasoning" for part in item.summary)
    return {
        "text": response.output_text,
        "reasoning": reasoning,
        "tools": [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"],
        "status": response.status,
    }


@pytest.mark.parametrize("model", UPSTREAMS)
@pytest.mark.parametrize("name", CUES)
def test_streamed_answers_equal_the_truth(
    servers: tuple[SimProcess, Served], client: OpenAI, model: str, name: str
) -> None:
    asked = f"streamed {name} of {model}"
    text = reasoning = ""
    numbers, last = [], None
    for event in client.responses.create(**ask(model, CUES[name], asked, stream=True)):
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.reasoning_summary_text.delta":
            reasoning += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            last = event.response
    assert last is not None
    truth = truth_of(servers, asked)
    expected = facts_of_truth(truth)
    assert facts_of(last) == expected
    assert (text, reasoning) == (expected["text"], expected["reasoning"])
    assert numbers == list(range(len(numbers)))
    assert last.usage is not None
    assert last.usage.output_tokens == truth.tokens_sent


@pytest.mark.parametrize("model", UPSTREAMS)
@pytest.mark.parametrize("name", CUES)
def test_whole_answers_equal_the_truth(
    servers: tuple[SimProcess, Served], client: OpenAI, model: str, name: str
) -> None:
    asked = f"whole {name} of {model}"
    response = client.responses.create(**ask(model, CUES[name], asked))
    assert facts_of(response) == facts_of_truth(truth_of(servers, asked))
    assert response.model == model


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_cut_stream_raises_and_keeps_what_came(
    servers: tuple[SimProcess, Served], client: OpenAI, model: str
) -> None:
    asked = f"cut of {model}"
    cue = {"tokens": 20, "cut_after": 9, "cut": "reset", "pace": 0.005}
    text, kinds = "", []
    with pytest.raises(openai.APIError) as broken:
        for event in client.responses.create(**ask(model, cue, asked, stream=True)):
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
    assert broken.value.code == "upstream_truncated"
    assert text == truth_of(servers, asked).text[0]
    assert not {"response.completed", "response.incomplete"} & set(kinds)
    with pytest.raises(openai.APIStatusError) as raised:
        client.responses.create(**ask(model, cue, f"whole {asked}"))
    assert raised.value.status_code == 502


@pytest.mark.parametrize("model", ["openai-responses", "openai-chat"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_refusal_is_the_models(servers: tuple[SimProcess, Served], client: OpenAI, model: str, stream: bool) -> None:
    asked = f"refused by {model}, streamed: {stream}"
    body = ask(model, {"refusal": "I would rather not"}, asked)
    if stream:
        events = list(client.responses.create(**body, stream=True))
        said = "".join(event.delta for event in events if event.type == "response.refusal.delta")
        response = events[-1].response
    else:
        response = client.responses.create(**body)
        said = response.output[0].content[0].refusal
    assert said == truth_of(servers, asked).refusal[0]
    assert (response.status, response.output_text) == ("completed", "")
    assert response.output[0].content[0].refusal == said


CACHED = {
    "openai-responses": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 109,
    },
    "openai-chat": {
        "prompt_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 109,
    },
}


@pytest.mark.parametrize("model", CACHED)
def test_the_usage_is_the_providers(client: OpenAI, model: str) -> None:
    body = ask(model, {"text": "yes", "usage": CACHED[model]}, f"cached by {model}")
    streamed = list(client.responses.create(**body, stream=True))[-1].response
    for response in (streamed, client.responses.create(**body)):
        assert response.usage.model_dump(exclude_none=True) == CACHED["openai-responses"]


def test_what_another_dialect_can_not_hold_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**ask("openai-chat", {}, "held", previous_response_id="resp_1"))
    assert refused.value.param == "previous_response_id"


def test_its_own_dialect_is_given_it(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    client.responses.create(**ask("openai-responses", {"text": "x"}, "held there", previous_response_id="resp_1"))
    row = wait_for(servers[0].truth_path, lambda truth: truth.answers("held there"))[0]
    assert row.request.body["previous_response_id"] == "resp_1"


def test_a_conversation_with_tools_crosses(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    items: list[Any] = [
        {"role": "user", "content": "weather in Oslo?"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain, and more rain"},
        {"role": "user", "content": 'and now? crossing sim:{"text": "rain"}'},
    ]
    for model in UPSTREAMS:
        assert client.responses.create(model=model, input=items, instructions="be brief").output_text == "rain"
    rows = wait_for(servers[0].truth_path, lambda truth: truth.answers("crossing"))
    assert len(rows) == len(UPSTREAMS)
    for row in rows:
        for words in ("be brief", "rain, and more rain", "Oslo"):
            assert words in json.dumps(row.request.body)
