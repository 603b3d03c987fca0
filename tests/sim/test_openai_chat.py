"""OpenAI's chat completions: what the official client and the raw socket see."""

import json
from typing import Any

import openai
import pytest

from penstock.sim.process import SimProcess

from .raw import ask, connect, read, request, texts


@pytest.fixture(scope="module")
def client(sim: SimProcess) -> Any:
    with openai.OpenAI(base_url=sim.url + "/v1", api_key="sk-sim", max_retries=0, timeout=20) as client:
        yield client


def user(prompt: str, **cue: object) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{prompt} sim:{json.dumps(cue)}" if cue else prompt}]


def test_a_stream_as_the_official_client_reads_it(client: Any) -> None:
    chunks = list(client.chat.completions.create(model="any", messages=user("hello"), stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "You", " said:", " hello", None]
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None, None, None, None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]
    assert {chunk.model for chunk in chunks} == {"any"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_answer_in_one_piece_says_the_same_as_a_stream(client: Any) -> None:
    messages = user("x", tokens=30, unicode=True, reasoning="first think")
    whole = client.chat.completions.create(model="m", messages=messages)
    chunks = list(client.chat.completions.create(model="m", messages=messages, stream=True))
    assert whole.choices[0].message.content == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert whole.choices[0].message.reasoning_content == "first think"
    assert whole.usage.completion_tokens == 32
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2


def test_tool_calls_stream_in_pieces(client: Any) -> None:
    calls = [{"id": "call_a", "name": "weather", "arguments": {"city": "Zürich"}}, {"name": "time", "arguments": "{}"}]
    with client.chat.completions.stream(model="m", messages=user("x", tool_calls=calls)) as stream:
        message = stream.get_final_completion().choices[0]
    assert message.finish_reason == "tool_calls"
    assert [(call.id, call.function.name, call.function.arguments) for call in message.message.tool_calls] == [
        ("call_a", "weather", '{"city": "Zürich"}'),
        ("call_0_1", "time", "{}"),
    ]
    whole = client.chat.completions.create(model="m", messages=user("x", tool_calls=calls))
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"city": "Zürich"}'
    assert whole.choices[0].message.content is None


def test_a_refusal_and_a_finish_reason(sim: SimProcess) -> None:
    reply = ask(sim.port, {"refusal": "I will not", "finish_reason": "content_filter"})
    assert texts(reply.events, "refusal") == "I will not"
    assert reply.text == ""
    assert reply.events[-1]["choices"][0]["finish_reason"] == "content_filter"


def test_every_choice_has_its_own_text(sim: SimProcess) -> None:
    reply = ask(sim.port, {"tokens": 10}, n=3)
    answers = [texts(reply.events, choice=choice) for choice in range(3)]
    assert len(set(answers)) == 3
    whole = ask(sim.port, {"tokens": 10}, n=3, stream=False)
    assert [choice["message"]["content"] for choice in whole.json["choices"]] == answers


def test_max_tokens_ends_with_length(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b c d"}, max_tokens=2)
    assert reply.text == "a b"
    assert reply.events[-1]["choices"][0]["finish_reason"] == "length"


def test_usage_is_sent_when_asked_for(sim: SimProcess) -> None:
    silent = ask(sim.port, {"tokens": 3})
    assert all("usage" not in event for event in silent.events)
    asked = ask(sim.port, {"tokens": 3}, stream_options={"include_usage": True})
    assert [event["usage"] for event in asked.events[:-1]] == [None] * 5
    assert asked.events[-1]["choices"] == []
    assert asked.events[-1]["usage"]["completion_tokens"] == 3
    assert asked.events[-1]["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("stream", [True, False])
def test_usage_may_lie_or_be_missing(sim: SimProcess, stream: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    lie = ask(sim.port, {"tokens": 3, "usage": zero}, stream=stream, **options)
    assert (lie.events[-1] if stream else lie.json)["usage"] == zero
    none = ask(sim.port, {"tokens": 3, "usage": False}, stream=stream, **options)
    assert all("usage" not in event for event in (none.events if stream else [none.json]))


def test_usage_unasked_and_in_every_chunk(sim: SimProcess) -> None:
    assert ask(sim.port, {"tokens": 3, "usage": True}).events[-1]["usage"]["completion_tokens"] == 3
    every = ask(sim.port, {"tokens": 3, "usage_every_chunk": True}).events
    assert [event["usage"]["completion_tokens"] for event in every] == [0, 1, 2, 3, 3]


def test_where_usage_stands(sim: SimProcess) -> None:
    finish = ask(sim.port, {"tokens": 3, "usage": True, "usage_at": "finish"}).events[-1]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert finish["usage"]["completion_tokens"] == 3
    bare = ask(sim.port, {"tokens": 3, "usage": True, "usage_at": "bare"}).events[-1]
    assert bare["usage"]["completion_tokens"] == 3
    assert "choices" not in bare


def test_the_role_chunk_can_be_left_out(sim: SimProcess) -> None:
    assert ask(sim.port, {"text": "a"}).events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert ask(sim.port, {"text": "a", "role_chunk": False}).events[0]["choices"][0]["delta"] == {"content": "a"}


def test_json_is_written_in_the_style_asked_for(sim: SimProcess) -> None:
    for style, part in {
        "compact": '"delta":{"content":"é🌊"}',
        "spaced": '"delta": {"content": "é🌊"}',
        "escaped": '"delta": {"content": "\\u00e9\\ud83c\\udf0a"}',
    }.items():
        reply = ask(sim.port, {"text": "é🌊", "json_style": style})
        assert part in reply.body.decode()
        assert reply.text == "é🌊"


def test_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["sim"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[1]", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"model": "m"}', "messages"),
        (b'{"model": 1, "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": "m", "n": 0, "messages": [{"role": "user", "content": "x"}]}', "n"),
        (b'{"model": "m", "n": 100000, "messages": [{"role": "user", "content": "x"}]}', "n"),
        (b'{"model": "m", "max_tokens": "x", "messages": [{"role": "user", "content": "x"}]}', "max_tokens"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "sim:{\\"colour\\": 1}"}]}', "messages"),
    ],
)
def test_what_openai_would_refuse_is_refused_in_its_shape(sim: SimProcess, body: bytes, param: str | None) -> None:
    with connect(sim.port) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        reply = read(sock)
        assert reply.status == 400
        assert reply.json["error"]["type"] == "invalid_request_error"
        assert reply.json["error"]["param"] == param
        assert reply.json["error"]["message"]
        sock.sendall(request({"text": "still here"}))
        assert read(sock).text == "still here"


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"GET /healthz", 200), (b"GET /nothing", 404), (b"GET /v1/chat/completions", 405), (b"POST /v1/nothing", 404)],
)
def test_other_addresses(sim: SimProcess, line: bytes, status: int) -> None:
    with connect(sim.port) as sock:
        sock.sendall(line + b" HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        assert read(sock).status == status


def test_a_message_may_be_a_list_of_parts(sim: SimProcess) -> None:
    parts = [
        {"type": "text", "text": "say "},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "it"},
    ]
    reply = ask(sim.port, messages=[{"role": "user", "content": parts}, {"role": "assistant", "content": "no"}])
    assert reply.text == "You said: say it"
