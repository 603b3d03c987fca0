"""Anthropic's Messages API: what the official client and the raw socket see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import wait_for
from tests.sim.raw import Reply, connect, read


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with running(seed=7) as process:
        yield process


@pytest.fixture
def client(sim: SimProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=sim.url, api_key="sk-sim", max_retries=0, timeout=20) as made:
        yield made


def asked(prompt: str = "x", /, **cue: object) -> dict[str, Any]:
    said = f"{prompt} sim:{json.dumps(cue)}" if cue else prompt
    return {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": said}]}


def ask(sim: SimProcess, body: Any, **more: Any) -> Reply:
    sent = body if isinstance(body, bytes) else json.dumps({"stream": True, **body, **more}).encode()
    with connect(sim.port) as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(sent) + sent)
        return read(sock)


def types(reply: Reply) -> list[str]:
    return [event["type"] for event in reply.events]


def text(reply: Reply) -> str:
    deltas = [event["delta"] for event in reply.events if event["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


def test_a_stream_on_the_wire(sim: SimProcess) -> None:
    reply = ask(sim, asked("hello you"))
    assert types(reply) == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    names = [line[7:] for line in reply.body.decode().split("\n") if line.startswith("event: ")]
    assert names == types(reply)
    assert text(reply) == "You said: hello you"
    assert reply.events[0]["message"]["usage"]["output_tokens"] == 1
    assert reply.events[-2]["usage"]["output_tokens"] == 4


def test_a_stream_as_the_official_client_reads_it(client: anthropic.Anthropic) -> None:
    calls = [{"id": "call_a", "name": "weather", "arguments": {"city": "Zürich"}}, {"name": "now", "arguments": ""}]
    body = asked(reasoning="let me see", text="I will look", tool_calls=calls)
    with client.messages.stream(**body) as stream:
        streamed = stream.get_final_message()
    whole = client.messages.create(**body)
    for message in (streamed, whole):
        thinking, said, weather, now = message.content
        assert (thinking.thinking, said.text) == ("let me see", "I will look")
        assert thinking.signature
        assert (weather.id, weather.name, weather.input) == ("call_a", "weather", {"city": "Zürich"})
        assert (now.id, now.name, now.input) == ("call_0_1", "now", {})
        assert message.stop_reason == "tool_use"
        # Every piece is a token: three of thought, three of text, three of arguments, and one of none.
        assert message.usage.output_tokens == 10
        assert message.usage.output_tokens_details.thinking_tokens == 3


@pytest.mark.parametrize(
    ("cue", "limit", "reason"),
    [
        ({"text": "a b"}, 1000, "end_turn"),
        ({"text": "a b c"}, 2, "max_tokens"),
        ({"refusal": "I will not"}, 1000, "refusal"),
        ({"text": "a", "finish_reason": "content_filter"}, 1000, "refusal"),
        ({"text": "a", "finish_reason": "pause_turn"}, 1000, "pause_turn"),
    ],
)
def test_the_reasons_of_the_end(client: anthropic.Anthropic, cue: dict[str, Any], limit: int, reason: str) -> None:
    body = asked(**cue) | {"max_tokens": limit}
    assert client.messages.create(**body).stop_reason == reason
    with client.messages.stream(**body) as stream:
        assert stream.get_final_message().stop_reason == reason


def test_a_refusal_is_said_and_recorded_as_one(sim: SimProcess, client: anthropic.Anthropic) -> None:
    (block,) = client.messages.create(**asked("refuse me", refusal="I will not")).content
    assert block.text == "I will not"
    end = wait_for(sim.truth_path, lambda truth: truth.answer("refuse me"))
    assert (end.text, end.refusal) == ([""], ["I will not"])


def test_usage_may_lie_or_be_missing(sim: SimProcess, client: anthropic.Anthropic) -> None:
    cached = {"input_tokens": 1, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 2}
    usage = client.messages.create(**asked(text="a", usage=cached)).usage
    assert usage.model_dump(exclude_none=True) == cached
    reply = ask(sim, asked("lie", text="a", usage=cached))
    assert reply.events[0]["message"]["usage"] == cached | {"output_tokens": 1}
    assert reply.events[-2]["usage"] == cached
    assert wait_for(sim.truth_path, lambda truth: truth.answer("lie")).usage == cached
    none = ask(sim, asked(text="a", usage=False))
    assert "usage" not in none.events[0]["message"]
    assert "usage" not in none.events[-2]


def test_errors(sim: SimProcess, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError, match="429"):
        client.messages.create(**asked(status=429))
    with pytest.raises(anthropic.APIStatusError, match="The model failed"):
        list(client.messages.create(**asked(text="a b", error_after=1), stream=True))
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reply = ask(sim, asked(text="a b", error_after=1, error_body=body, error_then_done=True))
    assert types(reply)[-2:] == ["error", "message_stop"]
    assert reply.events[-2] == body


def test_ends_that_are_none(sim: SimProcess) -> None:
    assert types(ask(sim, asked(text="a", omit_done=True)))[-1] == "message_delta"
    late = ask(sim, asked(text="a", late_tokens=1))
    assert types(late)[-2:] == ["message_stop", "content_block_delta"]
    cut = ask(sim, asked("cut me", reasoning="a b", text="c d", cut_after=3))
    assert text(cut) == "c"
    end = wait_for(sim.truth_path, lambda truth: truth.answer("cut me"))
    assert (end.ended, end.reasoning, end.text) == ("cut", ["a b"], ["c"])


@pytest.mark.parametrize("style", ["compact", "spaced", "escaped"])
def test_json_is_written_in_the_style_asked_for(sim: SimProcess, style: str) -> None:
    reply = ask(sim, asked(text='é🌊 "\n', json_style=style))
    assert text(reply) == 'é🌊 "\n'
    assert (b"\\u00e9" in reply.body) is (style == "escaped")
    assert (b'"type": "ping"' in reply.body) is (style != "compact")


def test_a_prompt_may_be_blocks_and_is_not_what_a_tool_said(sim: SimProcess) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "say "}, {"type": "text", "text": "it"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "four words by tools"}]},
    ]
    reply = ask(sim, {"model": "m", "max_tokens": 9, "messages": turns, "system": [{"type": "text", "text": "be"}]})
    assert text(reply) == "You said: say it"
    assert reply.events[0]["message"]["usage"]["input_tokens"] == 7


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b'{"model": "m"}',
        b'{"model": 1, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "max_tokens": 0, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "sim:{\\"colour\\": 1}"}]}',
    ],
)
def test_what_the_api_would_refuse_is_refused_in_its_shape(sim: SimProcess, body: bytes) -> None:
    reply = ask(sim, body)
    assert (reply.status, reply.json["type"]) == (400, "error")
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert reply.json["error"]["message"]
