"""The official `anthropic` client, unchanged but for its base address, through `penstock serve` from `penstock sim`.

Behind the model `claude` the sim speaks the client's own dialect, behind `m` OpenAI's chat completions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import End, wait_for
from tests.support.serving import Served, serving

MORE = """
[[upstream]]
name = "claude"
dialect = "anthropic"
base_url = "{sim}/v1"
api_keys = ["sk-ant-upstream"]

[[route]]
model = "claude"
targets = [{{ upstream = "claude", model = "claude-9" }}]
"""
MODELS = ("claude", "m")

CUES: dict[str, dict[str, Any]] = {
    "text": {"tokens": 40, "unicode": True},
    "thinking": {"text": "so it is", "reasoning": "let me see"},
    "tools": {
        "text": "I will look",
        "tool_calls": [
            {"id": "call_1", "name": "weather", "arguments": {"city": "Oslo", "days": 3}},
            {"id": "call_2", "name": "time", "arguments": "{}"},
        ],
    },
    "refusal": {"refusal": "I would rather not"},
    "split": {"tokens": 30, "unicode": True, "split": "every"},
    "crlf": {"tokens": 10, "line_end": "\r\n", "comments": 0.01, "pace": 0.02},
    "length": {"tokens": 5, "finish_reason": "length"},
    "filtered": {"tokens": 5, "finish_reason": "content_filter"},
}
CACHED = {
    "claude": {
        "input_tokens": 26,
        "cache_read_input_tokens": 64,
        "cache_creation_input_tokens": 10,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    },
    "m": {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim, serving(sim, more=MORE.format(sim=sim.url)) as served:
        yield sim, served


@pytest.fixture
def client(servers: tuple[SimProcess, Served]) -> Iterator[Anthropic]:
    with Anthropic(base_url=servers[1].url, api_key="any", max_retries=0) as made:
        yield made


def asked(model: str, cue: dict[str, Any], prompt: str = "hello") -> dict[str, Any]:
    """The client's arguments."""
    said = f"{prompt} sim:{json.dumps(cue)}"
    return {"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": said}]}


def truth_of(servers: tuple[SimProcess, Served], prompt: str) -> End:
    return wait_for(servers[0].truth_path, lambda truth: truth.answer(prompt))


def facts(truth: End) -> dict[str, Any]:
    """What both kinds of answer must tell."""
    assert truth.finish_reason is not None
    assert truth.usage is not None
    usage = truth.usage
    if "prompt_tokens" in usage:
        read = usage["prompt_tokens_details"]["cached_tokens"]
        usage = {
            "input_tokens": usage["prompt_tokens"] - read,
            "cache_read_input_tokens": read,
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"thinking_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
        }
    reason = "refusal" if truth.refusal[0] else STOP_REASONS[truth.finish_reason[0]]
    return {
        "thinking": truth.reasoning[0],
        "text": truth.text[0] + truth.refusal[0],
        "tools": [(call["id"], call["name"], json.loads(call["arguments"])) for call in truth.tool_calls[0]],
        "reason": reason,
        "usage": usage,
    }


def told(message: anthropic.types.Message) -> dict[str, Any]:
    usage = message.usage.model_dump(exclude_none=True)
    return {
        "thinking": "".join(block.thinking for block in message.content if block.type == "thinking"),
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "tools": [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
        "reason": message.stop_reason,
        # What a stream says at its start, before anybody knows.
        "usage": {name: value for name, value in usage.items() if name != "source"},
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CUES)
def test_streamed_answers_equal_the_truth(
    servers: tuple[SimProcess, Served], client: Anthropic, name: str, model: str
) -> None:
    prompt = f"streamed-{name}-{model}"
    with client.messages.stream(**asked(model, CUES[name], prompt)) as stream:
        pieces = [event.text for event in stream if event.type == "text"]
        message = stream.get_final_message()
    assert told(message) == facts(truth_of(servers, prompt))
    assert "".join(pieces) == told(message)["text"]


@pytest.mark.parametrize("model", MODELS)
def test_betas_go_on_to_who_knows_them_and_are_named_where_nobody_does(
    servers: tuple[SimProcess, Served], client: Anthropic, model: str
) -> None:
    prompt = f"betas-{model}"
    raw = client.messages.with_raw_response.create(
        **asked(model, {"text": "a"}, prompt), extra_headers={"anthropic-beta": "context-1m-2025-08-07"}
    )
    request = wait_for(servers[0].truth_path, lambda truth: (truth.answer(prompt), truth.answers(prompt)[0]))[1].request
    assert request.headers.get("anthropic-beta") == ("context-1m-2025-08-07" if model == "claude" else None)
    assert raw.headers.get("penstock-dropped") == (None if model == "claude" else "anthropic-beta")
    assert request.headers.get("x-api-key") != "any", "the client's own key stays here"


def test_betas_without_end_are_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="more than 4096 characters"):
        client.messages.create(**asked("claude", {"text": "a"}), extra_headers={"anthropic-beta": "x" * 5000})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CUES)
def test_whole_answers_equal_the_truth(
    servers: tuple[SimProcess, Served], client: Anthropic, name: str, model: str
) -> None:
    prompt = f"whole-{name}-{model}"
    message = client.messages.create(**asked(model, CUES[name], prompt))
    assert told(message) == facts(truth_of(servers, prompt))
    assert message.model in ("m", "claude")


@pytest.mark.parametrize("model", MODELS)
def test_usage_with_a_cache(servers: tuple[SimProcess, Served], client: Anthropic, model: str) -> None:
    for way in ("streamed", "whole"):
        prompt = f"cached-{way}-{model}"
        body = asked(model, {"text": "yes", "usage": CACHED[model]}, prompt)
        if way == "whole":
            message = client.messages.create(**body)
        else:
            with client.messages.stream(**body) as stream:
                message = stream.get_final_message()
        assert told(message)["usage"] == facts(truth_of(servers, prompt))["usage"]


def test_a_client_of_the_upstreams_dialect_sees_its_very_blocks(
    servers: tuple[SimProcess, Served], client: Anthropic
) -> None:
    with client.messages.stream(**asked("claude", CUES["thinking"])) as stream:
        message = stream.get_final_message()
    assert message.id.startswith("msg_sim")
    assert message.model == "claude-9"
    thinking = message.content[0]
    assert thinking.type == "thinking"
    assert thinking.signature


def test_the_upstream_is_asked_in_its_dialect(servers: tuple[SimProcess, Served], client: Anthropic) -> None:
    client.messages.create(
        **asked("claude", {"text": "x"}, "asked-as-it-came"), system="be kind", extra_body={"top_k": 7}
    )
    (answered,) = wait_for(servers[0].truth_path, lambda truth: truth.answers("asked-as-it-came"))
    request = answered.request
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == "sk-ant-upstream"
    assert request.headers["anthropic-version"] == client.default_headers["anthropic-version"], "the client's own"
    assert "authorization" not in request.headers
    assert (request.body["model"], request.body["stream"]) == ("claude-9", True)
    assert (request.body["system"], request.body["top_k"]) == ("be kind", 7)


def test_a_conversation_with_tools_reaches_another_dialect(
    servers: tuple[SimProcess, Served], client: Anthropic
) -> None:
    question = asked("m", {"text": "It rains."}, "weather-in-chat")
    turns = [
        *question["messages"],
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"at": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ]
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    response = client.messages.with_raw_response.create(
        **question | {"messages": turns, "tools": tools, "extra_body": {"top_k": 7}, "system": "be kind"}
    )
    assert response.parse().content[0].text == "It rains."
    assert response.headers["penstock-dropped"] == "top_k"
    (answered,) = wait_for(servers[0].truth_path, lambda truth: truth.answers("weather-in-chat"))
    sent = answered.request.body
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"at":"Oslo"}'}
    assert sent["messages"][3] == {"role": "tool", "content": "rain", "tool_call_id": "t1"}
    assert sent["tools"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize("model", MODELS)
def test_a_cut_stream_raises_and_keeps_what_came(
    servers: tuple[SimProcess, Served], client: Anthropic, model: str
) -> None:
    prompt = f"cut-under-{model}"
    body = asked(model, {"tokens": 20, "cut_after": 9, "cut": "reset", "pace": 0.005}, prompt)
    text = ""
    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in client.messages.create(**body, stream=True):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["error"]["code"] == "upstream_truncated"
    assert text == truth_of(servers, prompt).text[0]


@pytest.mark.parametrize("model", MODELS)
def test_an_error_in_the_stream(client: Anthropic, model: str) -> None:
    with pytest.raises(anthropic.APIStatusError, match="The model failed"):
        list(client.messages.create(**asked(model, {"tokens": 9, "error_after": 4}), stream=True))


@pytest.mark.parametrize("model", MODELS)
def test_refusals_are_the_clients_own_exceptions(client: Anthropic, model: str) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(**(asked(model, {}) | {"model": "nope"}))
    with pytest.raises(anthropic.RateLimitError) as limited:
        client.messages.create(**asked(model, {"status": 429, "retry_after": 2}))
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(anthropic.InternalServerError):
        client.messages.create(**asked(model, {"status": 529}))
    with pytest.raises(anthropic.BadRequestError, match="messages is empty"):
        client.messages.create(model=model, max_tokens=5, messages=[])


def test_what_the_upstream_has_no_words_for_is_refused_by_name(client: Anthropic) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match="tools can't be translated"):
        client.messages.create(**asked("m", {}), tools=[search])
