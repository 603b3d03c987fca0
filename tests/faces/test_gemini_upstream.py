"""The official `openai` client through `penstock serve`, in front of a `penstock sim` that speaks gemini."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from penstock.dialects.gemini import Gemini
from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Asked, End, wait_for
from penstock.wire import sse
from tests.support.client import chat
from tests.support.serving import Served, penstock

CONFIG = """
[[upstream]]
name = "sim"
dialect = "gemini"
base_url = "{sim}/v1beta"
api_keys = ["AIza-upstream-secret"]

[[route]]
model = "m"
targets = [{{ upstream = "sim", model = "gemini-2.5-flash" }}]
"""

CUES: dict[str, dict[str, Any]] = {
    "text": {"tokens": 40, "unicode": True},
    "reasoning": {"text": "so it is", "reasoning": "let me see"},
    "tools": {
        "text": "Let me look.",
        "tool_calls": [
            {"id": "call_1", "name": "weather", "arguments": {"city": "Zürich", "days": 3}},
            {"id": "call_2", "name": "time", "arguments": "{}"},
        ],
    },
    "cached": {
        "text": "yes",
        "usage": {
            "promptTokenCount": 100,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 7,
            "cachedContentTokenCount": 64,
            "totalTokenCount": 112,
        },
    },
    "counting": {"tokens": 10, "usage_every_chunk": True},
    "split": {"tokens": 30, "unicode": True, "split": "every"},
    "length": {"tokens": 5, "finish_reason": "length"},
    "filtered": {"tokens": 5, "finish_reason": "SAFETY"},
}

FINISH = {"SAFETY": "content_filter"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim, tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        path = Path(folder) / "penstock.toml"
        path.write_text(CONFIG.format(sim=sim.url), "utf-8")
        with penstock("serve", "--config", str(path), "--port", "0") as served:
            yield sim, served


@pytest.fixture
def client(servers: tuple[SimProcess, Served]) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{servers[1].url}/v1", api_key="any", max_retries=0) as made:
        yield made


def truth_of(servers: tuple[SimProcess, Served], prompt: str) -> End:
    return wait_for(servers[0].truth_path, lambda truth: truth.answer(prompt))


def asked_of(servers: tuple[SimProcess, Served], prompt: str) -> Asked:
    """The request that the sim got."""
    return wait_for(servers[0].truth_path, lambda truth: truth.answers(prompt))[0].request


def told_usage(counts: dict[str, int]) -> dict[str, Any]:
    """This API's counts in the words of OpenAI's chat completions."""
    thought = counts.get("thoughtsTokenCount")
    wrote = counts["candidatesTokenCount"] + (thought or 0)
    told: dict[str, Any] = {
        "prompt_tokens": counts["promptTokenCount"],
        "completion_tokens": wrote,
        "total_tokens": counts["promptTokenCount"] + wrote,
    }
    if (cached := counts.get("cachedContentTokenCount")) is not None:
        told["prompt_tokens_details"] = {"cached_tokens": cached}
    if thought is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": thought}
    return told


def facts(truth: End) -> dict[str, Any]:
    """What both kinds of answer must tell."""
    assert truth.finish_reason is not None
    assert truth.usage is not None
    return {
        "text": truth.text[0],
        "reasoning": truth.reasoning[0],
        "tools": [(call["id"], call["name"], json.loads(call["arguments"])) for call in truth.tool_calls[0]],
        "finish": FINISH.get(truth.finish_reason[0], truth.finish_reason[0]),
        "usage": told_usage(truth.usage),
    }


@pytest.mark.parametrize("name", CUES)
def test_streamed_answers_equal_the_truth(servers: tuple[SimProcess, Served], client: OpenAI, name: str) -> None:
    body = chat(CUES[name], f"streamed-{name}", stream_options={"include_usage": True})
    got: dict[str, Any] = {"text": "", "reasoning": "", "tools": [], "finish": None, "usage": None}
    calls: list[Any] = []
    for chunk in client.chat.completions.create(**body):
        if chunk.usage is not None:
            got["usage"] = chunk.usage.model_dump(exclude_none=True)
        for choice in chunk.choices:
            got["text"] += choice.delta.content or ""
            got["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            got["finish"] = choice.finish_reason or got["finish"]
            calls += choice.delta.tool_calls or ()
    assert [call.index for call in calls] == list(range(len(calls)))
    got["tools"] = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls]
    assert got == facts(truth_of(servers, f"streamed-{name}"))


@pytest.mark.parametrize("name", CUES)
def test_whole_answers_equal_the_truth(servers: tuple[SimProcess, Served], client: OpenAI, name: str) -> None:
    answer = client.chat.completions.create(**chat(CUES[name], f"whole-{name}", stream=False))
    message = answer.choices[0].message
    calls = [call.function for call in message.tool_calls or ()]
    got = {
        "text": message.content or "",
        "reasoning": getattr(message, "reasoning_content", None) or "",
        "tools": [
            (call.id, function.name, json.loads(function.arguments))
            for call, function in zip(message.tool_calls or (), calls, strict=True)
        ],
        "finish": answer.choices[0].finish_reason,
        "usage": answer.usage.model_dump(exclude_none=True),
    }
    assert got == facts(truth_of(servers, f"whole-{name}"))


def test_several_choices_stay_apart(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    texts, reasons = dict.fromkeys(range(3), ""), {}
    for chunk in client.chat.completions.create(**chat({"tokens": 8}, "three-choices", n=3)):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason
    assert list(texts.values()) == truth_of(servers, "three-choices").text
    assert set(reasons.values()) == {"stop"}


def test_what_the_upstream_was_asked(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    cue = 'asked-of-it sim:{"text": "ok"}'
    raw = client.chat.completions.with_raw_response.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the weather?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "user", "content": cue},
        ],
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        reasoning_effort="low",
        user="u1",
    )
    request = asked_of(servers, "asked-of-it")
    assert request.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert request.headers["x-goog-api-key"] == "AIza-upstream-secret"
    assert "authorization" not in request.headers
    assert request.body == {
        "contents": [
            {"role": "user", "parts": [{"text": "What is the weather?"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"a": 1}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "rain"}}},
                    {"text": cue},
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": {"type": "object"}}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2048}},
    }
    assert raw.headers["penstock-dropped"] == "user"


def test_what_is_dropped_is_told_as_far_as_a_header_goes(client: OpenAI) -> None:
    hints = {f"field_{n}": 1 for n in range(52)}
    asked = [{"role": "user", "content": 'dropped-much sim:{"text": "ok"}'}]
    raw = client.chat.completions.with_raw_response.create(model="m", messages=asked, extra_body=hints)
    assert raw.headers["penstock-dropped"].split(", ") == [*(f"field_{n}" for n in range(50)), "and 2 more"]


@pytest.mark.parametrize(
    "cue",
    [
        {"cut_after": 9, "cut": "reset", "pace": 0.005},
        {"cut_after": 9, "cut": "clean"},
        {"omit_done": True},
    ],
    ids=["reset", "clean", "no finish"],
)
def test_a_cut_stream_raises_and_keeps_what_came(
    servers: tuple[SimProcess, Served], client: OpenAI, cue: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """There is no end marker to miss: without its finish reason an answer is not complete."""
    prompt = f"cut-{request.node.callspec.id}"
    text = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(**chat({"tokens": 20, **cue}, prompt)):
            text += chunk.choices[0].delta.content or ""
            assert chunk.choices[0].finish_reason is None
    assert raised.value.code == "upstream_truncated"
    assert text == truth_of(servers, prompt).text[0]


@pytest.mark.parametrize(
    ("cue", "message"),
    [
        ({"error_after": 3}, "The model failed"),
        ({"finish_reason": "MALFORMED_FUNCTION_CALL"}, "the upstream broke off: MALFORMED_FUNCTION_CALL"),
    ],
)
def test_an_error_in_the_stream(client: OpenAI, cue: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.APIError) as raised:
        list(client.chat.completions.create(**chat({"tokens": 6, "pace": 0.005, **cue}, "error-in-stream")))
    assert (raised.value.code, raised.value.message) == ("upstream_error", message)


def test_refusals_are_the_clients_own_exceptions(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(**chat({"status": 400}))
    assert wrong.value.code == "INVALID_ARGUMENT"
    with pytest.raises(openai.BadRequestError) as untold:
        client.chat.completions.create(**chat({}, logprobs=True))
    assert (untold.value.code, untold.value.param) == ("unsupported_translation", "logprobs")


def test_readers_of_any_format_see_the_same_answer(servers: tuple[SimProcess, Served], client: OpenAI) -> None:
    """`?format=gemini` shows the upstream's own words; and the last of them says that it is complete."""
    body = chat({"text": "all the same", "reasoning": "hm"}, "any-format")
    with client.chat.completions.with_streaming_response.create(**body) as response:
        stream = response.headers["penstock-stream-id"]
        list(response.iter_lines())
    url = f"{servers[1].url}/v1/streams/{stream}"
    blocks = sse.Splitter().feed(httpx.get(url, params={"format": "gemini"}).content)
    probe = Gemini().probe()
    for block in blocks:
        probe(block)
    assert probe.complete
    assert b'"modelVersion":"gemini-2.5-flash"' in blocks[-1]
    events = httpx.get(url).text
    assert 'event: done\ndata: {"outcome":"completed"}' in events
    with contextlib.closing(httpx.Client()) as again:
        rest = again.get(url, params={"format": "gemini"}, headers={"last-event-id": last_id(events)})
    assert rest.status_code == 204


def last_id(events: str) -> str:
    return [line[4:] for line in events.splitlines() if line.startswith("id: ")][-1]
