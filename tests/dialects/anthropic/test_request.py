"""Requests of the `anthropic` dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from penstock.dialects.anthropic.thinking import DEFAULT_MAX_TOKENS
from penstock.dialects.base import Message, Options, Request, Tool
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import Refused

from .blocks import messages

chat = OpenAIChat()
HI = [{"role": "user", "content": "hi"}]
WEATHER = {"name": "weather", "description": "now", "input_schema": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
SHAPE = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)


def ask(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 100, "messages": HI, **fields}).encode()


def parse(**fields: Any) -> Request:
    return messages.parse_request(ask(**fields))


class TestParseRequest:
    def test_the_least(self) -> None:
        request = parse()
        assert (request.dialect, request.model, request.choices) == ("anthropic", "m", 1)
        assert request.messages == [Message("user", "hi")]
        assert (request.stream, request.include_usage, request.max_tokens) == (False, True, 100)
        assert (request.options, request.others, request.needs) == (Options(), [], [])

    def test_everything_it_reads(self) -> None:
        request = parse(
            system="be kind",
            stream=True,
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            stop_sequences=["x"],
            tools=[WEATHER | {"strict": True}, {"type": "custom", "name": "now", "input_schema": {}}],
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 2000},
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            metadata={"user_id": "u1"},
        )
        assert request.messages[0] == Message("system", "be kind")
        assert request.stream
        assert request.tools == [Tool("weather", "now", WEATHER["input_schema"], True), Tool("now")]  # type: ignore[arg-type]
        assert request.options == Options(
            temperature=0.5,
            top_p=0.9,
            top_k=3,
            stop=["x"],
            response_format=SHAPE,
            tool_choice="function:weather",
            parallel_tool_calls=False,
            reasoning_effort="low",
            reasoning_tokens=2000,
            user="u1",
        )
        assert (request.others, request.needs) == ([], [])

    @pytest.mark.parametrize(
        ("choice", "word", "parallel"),
        [
            ({"type": "auto"}, "auto", None),
            ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
            ({"type": "none"}, "none", None),
            ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, "function:f", True),
        ],
    )
    def test_tool_choice(self, choice: Any, word: str, parallel: bool | None) -> None:
        options = parse(tool_choice=choice).options
        assert (options.tool_choice, options.parallel_tool_calls) == (word, parallel)

    @pytest.mark.parametrize(
        ("fields", "effort", "tokens", "others"),
        [
            ({"thinking": {"type": "disabled"}}, None, 0, []),
            ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, None, 1024, []),
            ({"thinking": {"type": "adaptive"}}, None, None, ["thinking"]),
            ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, "high", None, []),
            ({"output_config": {"effort": "max"}}, "xhigh", None, []),
            ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, None, 0, []),
            (
                {"thinking": {"type": "enabled", "budget_tokens": 9, "display": "omitted"}},
                None,
                9,
                ["thinking.display"],
            ),
        ],
    )
    def test_thinking(self, fields: Any, effort: str | None, tokens: int | None, others: list[str]) -> None:
        request = parse(**fields)
        assert (request.options.reasoning_effort, request.options.reasoning_tokens) == (effort, tokens)
        assert (request.others, request.needs) == (others, [])

    @pytest.mark.parametrize(
        ("fields", "hint"),
        [
            ({"service_tier": "auto"}, "service_tier"),
            ({"cache_control": {"type": "ephemeral"}}, "cache_control"),
            ({"tools": [WEATHER | {"cache_control": {"type": "ephemeral"}}]}, "cache_control"),
            ({"tools": [WEATHER | {"input_examples": [{}]}]}, "tools.input_examples"),
            ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, "cache_control"),
        ],
    )
    def test_hints(self, fields: Any, hint: str) -> None:
        request = parse(**fields)
        assert (request.others, request.needs) == ([hint], [])

    @pytest.mark.parametrize(
        ("fields", "need"),
        [
            ({"container": "c"}, "container"),
            ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
            ({"output_format": {"type": "json_schema"}}, "output_format"),
            ({"output_config": {"format": {"type": "poem"}}}, "output_config.format"),
            ({"tools": [WEATHER, {"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
            ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "tools"),
            ({"tool_choice": {"type": "sometimes"}}, "tool_choice"),
            ({"max_tokens": 0}, "max_tokens"),
        ],
    )
    def test_what_it_would_be_another_answer_without(self, fields: Any, need: str) -> None:
        request = parse(**fields)
        assert (request.others, request.needs) == ([], [need])
        with pytest.raises(Refused) as refused:
            chat.encode_request(request, "x")
        assert refused.value.param == need
        assert json.loads(messages.encode_request(request, "x").body)["model"] == "x"

    def test_nulls_are_as_good_as_nothing(self) -> None:
        names = ["system", "stream", "temperature", "stop_sequences", "tools", "tool_choice", "thinking", "metadata",
                 "output_config", "container", "mcp_servers", "service_tier", "max_tokens"]  # fmt: skip
        request = parse(**dict.fromkeys(names), more=False)
        assert (request.options, request.others, request.needs, request.max_tokens) == (Options(), [], [], None)
        assert parse(mcp_servers=[]).needs == []

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"{}", "model"),
            (ask(model=None), "model"),
            (ask(messages=[]), "messages"),
            (ask(messages=None), "messages"),
            (ask(messages=[{"content": "x"}]), "messages[0]"),
            (ask(messages=[{"role": 1, "content": "x"}]), "messages[0].role"),
            (ask(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
            (ask(messages=[{"role": "user", "content": [{}]}]), "messages[0].content[0]"),
            (ask(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text"),
            (ask(messages=[{"role": "user", "content": [{"type": "text", "text": 1}]}]), "messages[0].content[0].text"),
            (ask(max_tokens=-1), "max_tokens"),
            (ask(max_tokens="1"), "max_tokens"),
            (ask(max_tokens=1.5), "max_tokens"),
            (ask(stream="yes"), "stream"),
            (ask(system=5), "system"),
            (ask(stop_sequences="x"), "stop_sequences"),
            (ask(tools=[{"input_schema": {}}]), "tools[0].name"),
            (ask(tools=[{"name": "f", "input_schema": []}]), "tools[0].input_schema"),
            (ask(tool_choice={"type": "tool"}), "tool_choice.name"),
            (ask(thinking={"type": "enabled", "budget_tokens": "x"}), "thinking.budget_tokens"),
        ],
    )
    def test_wrong_facts_are_refused_by_name(self, body: bytes, param: str) -> None:
        with pytest.raises(Refused) as refused:
            messages.parse_request(body)
        assert (refused.value.status, refused.value.code) == (400, "invalid_request")
        assert refused.value.param == param

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"hello",
            b"null",
            b"[]",
            ask() + b"{}",
            ask(extra="x").replace(b'"x"', b'"\xff"'),
            ask(extra="x").replace(b'"x"', b'"\\ud800"'),
            ask(temperature=float("nan")),
            ask(seed=1).replace(b": 1}", b": " + b"9" * 5000 + b"}"),
            ask(extra=[]).replace(b"[]", b"[" * 100_000 + b"]" * 100_000),
            ask(system=[]).replace(b'"system": []', b'"system": ' + b'[{"type": "x", "content": ' * 50_000),
        ],
        ids=lambda body: repr(body[-24:]),
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(Refused) as refused:
            messages.parse_request(body)
        assert refused.value.status == 400
        assert len(refused.value.message) < 300
        json.loads(messages.error_body(refused.value))

    @given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
    def test_never_anything_but_refused(self, body: bytes) -> None:
        with pytest.raises(Refused):
            messages.parse_request(body)


class TestEncodeRequest:
    """Of requests in other dialects."""

    def sent(self, *said: Message, dropped: list[str] | None = None, **facts: Any) -> Any:
        options = Options(**{name: facts.pop(name) for name in list(facts) if name in Options.__struct_fields__})
        request = Request(
            dialect="openai-chat", model="m", messages=said or [Message("user", "hi")], options=options, **facts
        )
        outgoing = messages.encode_request(request, "claude-9")
        assert outgoing.path == "/messages"
        assert outgoing.dropped == (dropped or [])
        body = json.loads(outgoing.body)
        PARAMS.validate_python(body)
        return body

    def test_the_least(self) -> None:
        assert self.sent() == {"model": "claude-9", "messages": HI, "stream": True, "max_tokens": DEFAULT_MAX_TOKENS}

    def test_a_request_of_its_own_goes_on_as_the_client_wrote_it(self) -> None:
        odd = {"deep": [1, {"null": None, "text": "wörld"}], "max_tokens": None, "container": "c", "seed": 2**70}
        request = parse(**odd, stream=False)
        sent = json.loads(messages.encode_request(request, "claude-9").body)
        assert sent == json.loads(ask(**odd)) | {"model": "claude-9", "stream": True}
        assert request.fields["stream"] is False

    def test_everything_it_has_words_for(self) -> None:
        body = self.sent(
            Message("system", "be kind"),
            Message("user", "hi"),
            max_tokens=7,
            tools=[Tool("weather", "now", {"properties": {}}, True), Tool("now")],
            temperature=0.5,
            top_k=3,
            stop=["x"],
            response_format=SHAPE,
            tool_choice="function:weather",
            parallel_tool_calls=False,
            user="u1",
        )
        assert body == {
            "model": "claude-9",
            "messages": HI,
            "stream": True,
            "system": "be kind",
            "max_tokens": 7,
            "tools": [
                {"name": "weather", "description": "now", "strict": True,
                 "input_schema": {"type": "object", "properties": {}}},
                {"name": "now", "input_schema": {"type": "object"}},
            ],
            "temperature": 0.5,
            "top_k": 3,
            "stop_sequences": ["x"],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
            "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "u1"},
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("facts", "choice"),
        [
            ({}, None),
            ({"tool_choice": "auto"}, {"type": "auto"}),
            ({"tool_choice": "required"}, {"type": "any"}),
            ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
            ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
            ({"parallel_tool_calls": True}, {"type": "auto", "disable_parallel_tool_use": False}),
        ],
    )
    def test_tool_choice(self, facts: Any, choice: Any) -> None:
        assert self.sent(tools=[Tool("f")], **facts).get("tool_choice") == choice
        if facts.get("tool_choice") != "required":
            assert "tool_choice" not in self.sent(**facts)

    def test_several_texts_of_the_system(self) -> None:
        body = self.sent(Message("system", "a"), Message("developer", "b"), Message("user", "hi"))
        assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    def test_what_was_only_a_hint_is_dropped_and_said(self) -> None:
        body = self.sent(
            others=["logit_cake"],
            temperature=1.5,
            top_p=0.9,
            seed=1,
            presence_penalty=0.0,
            frequency_penalty=1,
            dropped=["logit_cake", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"],
        )
        assert body["temperature"] == 1
        assert body.keys() == {"model", "messages", "stream", "max_tokens", "temperature"}
        assert self.sent(top_p=0.9)["top_p"] == 0.9

    def test_sampling_goes_neither_with_thinking_nor_to_models_that_do_not_know_it(self) -> None:
        sampling: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 3}
        assert "temperature" not in self.sent(**sampling, reasoning_effort="low", dropped=list(sampling))
        request = Request(dialect="native", model="m", messages=[Message("user", "hi")], options=Options(**sampling))
        assert messages.encode_request(request, "claude-opus-5").dropped == list(sampling)
        assert messages.encode_request(request, "claude-opus-4-6").dropped == ["top_p"]

    def test_an_effort_stands_beside_a_format(self) -> None:
        options = Options(response_format=SHAPE, reasoning_effort="low")
        request = Request(dialect="native", model="m", messages=[Message("user", "hi")], options=options)
        sent = json.loads(messages.encode_request(request, "claude-opus-5").body)
        assert sent["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}

    @pytest.mark.parametrize(
        ("facts", "param"),
        [
            ({"choices": 2}, "n"),
            ({"needs": ["logprobs"]}, "logprobs"),
            ({"response_format": {"type": "json_object"}}, "response_format"),
            ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
            ({"tool_choice": "sometimes", "tools": [Tool("f")]}, "tool_choice"),
            ({"tool_choice": "function:", "tools": [Tool("f")]}, "tool_choice"),
            ({"tool_choice": "required"}, "tool_choice"),
        ],
    )
    def test_what_would_be_another_answer_is_refused_by_name(self, facts: Any, param: str) -> None:
        with pytest.raises(Refused) as refused:
            self.sent(**facts)
        assert (refused.value.status, refused.value.param) == (400, param)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "max_tokens": st.integers(1, 2**40),
            "temperature": st.sampled_from([0, 0.5, 1]),
            "top_k": st.integers(1, 9),
            "stop": st.lists(st.text("abc", min_size=1), min_size=1, max_size=2),
            "response_format": st.just(SHAPE),
            "user": st.text("abc", min_size=1),
            "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]),
            "tool_choice": st.sampled_from(["auto", "none"]),
            "parallel_tool_calls": st.booleans(),
        },
    )
)
def test_what_both_know_survives_from_chat_to_messages(asked: dict[str, Any]) -> None:
    first = chat.parse_request(json.dumps({"model": "m", "messages": HI, **asked}).encode())
    sent = messages.encode_request(first, "c")
    assert sent.dropped == []
    second = messages.parse_request(sent.body)
    assert (second.messages, second.tools, second.stream) == (first.messages, first.tools, True)
    assert second.max_tokens == (first.max_tokens or DEFAULT_MAX_TOKENS)
    expected = first.options
    if not first.tools:
        expected.tool_choice = expected.parallel_tool_calls = None
    elif expected.tool_choice == "none":
        expected.parallel_tool_calls = None
    elif expected.parallel_tool_calls is not None:
        expected.tool_choice = "auto"
    assert second.options == expected
    assert (second.others, second.needs) == ([], [])
