"""The sim's Responses API, as the official client reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import wait_for


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with running() as process:
        yield process


@pytest.fixture(scope="module")
def client(sim: SimProcess) -> OpenAI:
    return OpenAI(base_url=f"{sim.url}/v1", api_key="none", max_retries=0)


def ask(cue: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": f"{name} sim:{json.dumps(cue)}", **more}


def test_a_streamed_answer_tells_all_of_it_twice(sim: SimProcess, client: OpenAI) -> None:
    cue = {"text": "I look", "reasoning": "hm", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
    events = list(client.responses.create(**ask(cue, "twice", stream=True)))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = events[-1].response
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.output_text == "I look"
    end = wait_for(sim.truth_path, lambda truth: truth.answer("twice"))
    assert response.usage is not None
    assert response.usage.output_tokens == end.tokens_sent


def test_a_whole_answer(client: OpenAI) -> None:
    response = client.responses.create(**ask({"text": "all of it"}, "whole"))
    assert (response.output_text, response.status) == ("all of it", "completed")


def test_incomplete_and_refused(client: OpenAI) -> None:
    response = client.responses.create(**ask({"tokens": 3, "finish_reason": "length"}, "short"))
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    refused = client.responses.create(**ask({"refusal": "no"}, "refused"))
    assert refused.output[0].content[0].type == "refusal"


def test_an_error_in_the_stream_and_before_it(client: OpenAI) -> None:
    events = list(client.responses.create(**ask({"tokens": 9, "error_after": 2}, "error", stream=True)))
    assert events[-1].type == "error"
    with pytest.raises(openai.RateLimitError):
        client.responses.create(**ask({"status": 429}, "limited"))
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="m", input=[])
