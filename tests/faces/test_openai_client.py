"""The official `openai` client, unchanged but for its base address, through `penstock serve` from `penstock sim`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from penstock.sim.process import SimProcess
from penstock.sim.truth import End, wait_for
from tests.support.client import chat
from tests.support.serving import Served, river

CUES: dict[str, dict[str, Any]] = {
    "text": {"tokens": 40, "unicode": True},
    "reasoning": {"text": "so it is", "reasoning": "let me see"},
    "tools": {
        "tool_calls": [
            {"id": "call_1", "name": "weather", "arguments": {"city": "Oslo", "days": 3}},
            {"id": "call_2", "name": "time", "arguments": "{}"},
        ]
    },
    "refusal": {"refusal": "I would rather not"},
    "cached": {
        "text": "yes",
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    },
    "split": {"tokens": 30, "unicode": True, "split": "every"},
    "crlf": {"tokens": 10, "line_end": "\r\n", "comments": 0.01, "pace": 0.02},
    "length": {"tokens": 5, "finish_reason": "length"},
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river() as both:
        yield both


@pytest.fixture
def client(servers: tuple[SimProcess, Served]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{servers[1].url}/v1", api_key="any", max_retries=0) as made:
        yield made


def truth_of(servers: tuple[SimProcess, Served], prompt: str) -> End:
    return wait_for(servers[0].truth_path, lambda truth: truth.answer(prompt))


def facts(truth: End) -> dict[str, Any]:
    """What both kinds of answer must tell."""
    return {
        "text": truth.text[0],
        "reasoning": truth.reasoning[0],
        "refusal": truth.refusal[0],
        "tools": [(call["id"], call["name"], call["arguments"]) for call in truth.tool_calls[0]],
        "finish": truth.finish_reason[0] if truth.finish_reason else None,
        "usage": truth.usage,
    }


@pytest.mark.parametrize("name", CUES)
def test_streamed_answers_equal_the_truth(servers: tuple[SimProcess, Served], client: OpenAI, name: str) -> None:
    body = chat(CUES[name], f"streamed-{name}", stream_options={"include_usage": True})
    got: dict[str, Any] = {"text": "", "reasoning": "", "refusal": "", "tools": [], "finish": None, "usage": None}
    for chunk in client.chat.completions.create(**body):
        if chunk.usage is not None:
            got["usage"] = chunk.usage.model_dump(exclude_none=True)
        for choice in chunk.choices:
            got["text"] += choice.delta.content or ""
            got["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            got["refusal"] += choice.delta.refusal or ""
            got["finish"] = choice.finish_reason or got["finish"]
            for call in choice.delta.tool_calls or ():
                if call.index == len(got["tools"]):
                    got["tools"].append((call.id, call.function.name, ""))
                known = got["tools"][call.index]
                got["tools"][call.index] = (*known[:2], known[2] + (call.function.arguments or ""))
    assert got == facts(truth_of(servers, f"streamed-{name}"))


@pytest.mark.parametrize("name", CUES)
def test_whole_answers_equal_the_truth(servers: tuple[SimProcess, Served], client: OpenAI, name: str) -> None:
    answer = client.chat.completions.create(**chat(CUES[name], f"whole-{name}", stream=False))
    message, truth = answer.choices[0].message, facts(truth_of(servers, f"whole-{name}"))
    told = answer.usage.model_dump(exclude_none=True)
    got = {
        "text": message.content or "",
        "reasoning": getattr(message, "reasoning_content", None) or "",
        "refusal": message.refusal or "",
        "tools": [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()],
        "finish": answer.choices[0].finish_reason,
        "usage": told,
    }
    assert got == truth


def test_several_choices_stay_apart(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    texts = dict.fromkeys(range(3), "")
    for chunk in client.chat.completions.create(**chat({"tokens": 8}, "three-choices", n=3)):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    whole = client.chat.completions.create(**chat({"tokens": 8}, "three-whole", n=3, stream=False))
    assert list(texts.values()) == truth_of(servers, "three-choices").text
    assert [choice.message.content for choice in whole.choices] == truth_of(servers, "three-whole").text


def test_a_cut_stream_raises_and_keeps_what_came(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    body = chat({"tokens": 20, "cut_after": 9, "cut": "reset", "pace": 0.005}, "cut-under-openai")
    text = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(**body):
            text += chunk.choices[0].delta.content or ""
    assert raised.value.code == "upstream_truncated"
    assert text == truth_of(servers, "cut-under-openai").text[0]


def test_refusals_are_the_clients_own_exceptions(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**(chat({}) | {"model": "nope"}))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(**chat({"status": 429, "retry_after": 2}))
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**chat({"status": 500}))
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="m", messages=[])
    assert wrong.value.param == "messages"


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["m"]


def test_curl_shows_ids(servers: tuple[SimProcess, Served]) -> None:
    body = '{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hello"}]}'
    command = [
        "curl",
        "-sN",
        f"{servers[1].url}/v1/chat/completions",
        "-H",
        "Content-Type: application/json",
        "-d",
        body,
    ]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    ids = [line for line in lines if line.startswith("id: ")]
    assert [line.rpartition(":")[2] for line in ids] == [str(offset) for offset in range(1, len(ids) + 1)]
    assert len(ids) == sum(line.startswith("data: ") for line in lines)
