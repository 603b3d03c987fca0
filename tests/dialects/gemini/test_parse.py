"""Requests of `gemini` clients."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Message, Request, Tool
from penstock.dialects.gemini import Gemini
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import Refused
from tests.dialects.answers import text

gemini = Gemini()
chat = OpenAIChat()

HI = {"role": "user", "parts": [{"text": "hi"}]}


def ask(*contents: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "contents": list(contents) or [HI], **fields}).encode()


def parsed(*contents: Any, **fields: Any) -> Request:
    return gemini.parse_request(ask(*contents, **fields))


class TestFields:
    def test_the_least(self) -> None:
        request = parsed()
        assert (request.dialect, request.model, request.choices, request.stream) == ("gemini", "m", 1, False)
        assert request.messages == [Message("user", "hi")]
        assert (request.max_tokens, request.others, request.needs) == (None, [], [])

    def test_settings(self) -> None:
        schema = {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}
        settings = {
            "temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 7, "stopSequences": ["END"], "seed": 3,
            "presencePenalty": 0.1, "frequencyPenalty": -0.2, "candidateCount": 2, "responseModalities": ["TEXT"],
            "responseMimeType": "application/json", "responseSchema": schema, "mediaResolution": "LOW",
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
        }  # fmt: skip
        request = parsed(generationConfig=settings, stream=True, model="models/gemini-2.5-pro")
        options = request.options
        assert (request.model, request.stream, request.choices, request.max_tokens) == ("gemini-2.5-pro", True, 2, 7)
        assert (options.temperature, options.top_p, options.top_k, options.seed) == (0.5, 0.9, 40, 3)
        assert (options.stop, options.presence_penalty, options.frequency_penalty) == (["END"], 0.1, -0.2)
        assert options.reasoning_tokens == 1024
        assert options.response_format == {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": {"type": "object", "properties": {"x": {"type": "string"}}}},
        }
        assert (request.others, request.needs) == (["generationConfig.mediaResolution"], [])

    @pytest.mark.parametrize(
        ("thinking", "effort", "tokens"),
        [
            ({"thinkingLevel": "HIGH"}, "high", None),
            ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None, None),
            ({"thinkingBudget": -1}, None, None),
            ({"thinkingBudget": 0}, None, 0),
        ],
    )
    def test_thinking(self, thinking: Any, effort: Any, tokens: Any) -> None:
        options = parsed(generationConfig={"thinkingConfig": thinking}).options
        assert (options.reasoning_effort, options.reasoning_tokens) == (effort, tokens)

    @pytest.mark.parametrize(
        ("config", "choice", "needs"),
        [
            (None, None, []),
            ({}, None, []),
            ({"mode": "auto"}, "auto", []),
            ({"mode": "VALIDATED"}, None, []),
            ({"mode": "NONE"}, "none", []),
            ({"mode": "ANY"}, "required", []),
            ({"mode": "ANY", "allowedFunctionNames": ["f"]}, "function:f", []),
            (
                {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
                "required",
                ["toolConfig.functionCallingConfig.allowedFunctionNames"],
            ),
        ],
    )
    def test_tool_choice(self, config: Any, choice: Any, needs: Any) -> None:
        request = parsed(toolConfig={"functionCallingConfig": config})
        assert (request.options.tool_choice, request.needs) == (choice, needs)

    def test_tools(self) -> None:
        declarations = [
            {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
            {"name": "g", "parameters": {"type": "OBJECT"}},
            {"name": "h"},
        ]
        request = parsed(tools=[{"functionDeclarations": declarations}])
        object_ = {"type": "object"}
        assert request.tools == [Tool("f", "d", object_), Tool("g", None, object_), Tool("h")]

    @pytest.mark.parametrize(
        ("fields", "needs"),
        [
            ({"cachedContent": "cachedContents/1"}, ["cachedContent"]),
            ({"system_instruction": {"parts": []}}, ["system_instruction"]),
            ({"tools": [{"googleSearch": {}}]}, ["tools.googleSearch"]),
            ({"generationConfig": {"responseModalities": ["IMAGE"]}}, ["generationConfig.responseModalities"]),
            ({"generationConfig": {"max_output_tokens": 5}}, ["generationConfig.max_output_tokens"]),
        ],
    )
    def test_what_only_this_dialect_has(self, fields: Any, needs: Any) -> None:
        """Names in snake_case are taken by the API too: a limit or a prompt must not be lost as if it were a hint."""
        request = parsed(**fields)
        assert request.needs == needs
        with pytest.raises(Refused, match="can't be translated"):
            chat.encode_request(request, "m")
        assert json.loads(gemini.encode_request(request, "m").body).keys() == {"contents", *fields}

    def test_hints(self) -> None:
        request = parsed(safetySettings=[{"category": "X"}], labels={"a": "b"})
        assert (request.others, request.needs) == (["safetySettings", "labels"], [])


class TestConversation:
    def test_turns(self) -> None:
        request = parsed(
            {"parts": [{"text": "one"}, {"text": "two"}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "eins"}]},
            {"role": "user"},
            systemInstruction={"parts": [{"text": "Be "}, {"text": "brief."}]},
        )
        assert request.messages == [
            Message("system", "Be brief."),
            Message("user", "onetwo"),
            Message("assistant", "eins"),
        ]

    def test_media(self) -> None:
        parts = [
            {"text": "look"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "SUQz"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            {"fileData": {"fileUri": "https://example.com/cat"}},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}},
        ]
        (message,) = parsed({"role": "user", "parts": parts}).messages
        assert message.content == [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat"}},
            {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
        ]

    def test_calls_find_their_results(self) -> None:
        """Without ids a result answers the first open call of its function."""
        request = parsed(
            HI,
            {"role": "model", "parts": [{"functionCall": {"name": n, "args": {"x": 1}}} for n in ("f", "g", "f")]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "g", "response": {"result": "G"}}},
                    {"functionResponse": {"name": "f", "response": {"error": "F1"}}},
                    {"functionResponse": {"name": "f", "response": {"deep": [1]}}},
                    {"text": "and?"},
                ],
            },
        )
        calls = request.messages[1].tool_calls or []
        assert [call["id"] for call in calls] == ["call_1", "call_2", "call_3"]
        assert calls[0]["function"] == {"name": "f", "arguments": '{"x":1}'}
        assert request.messages[2:] == [
            Message("tool", "G", tool_call_id="call_2"),
            Message("tool", "F1", tool_call_id="call_1", is_error=True),
            Message("tool", '{"deep":[1]}', tool_call_id="call_3"),
            Message("user", "and?"),
        ]

    def test_parts_that_nobody_else_has(self) -> None:
        request = parsed({"role": "model", "parts": [{"executableCode": {"code": "1"}}, {"text": "x"}]}, HI)
        assert request.needs == ["contents.parts"]


class TestWrongRequests:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"{}", None),
            (ask(contents=[]), "contents"),
            (ask(contents=None), "contents"),
            (ask(model=5), "model"),
            (ask({"parts": {}}), "contents[0].parts"),
            (ask({"parts": [{"text": 1}]}), "contents[0].parts[0].text"),
            (ask({"parts": [{"functionCall": {}}]}), "contents[0].parts[0].functionCall"),
            (ask({"parts": [{"functionCall": {"name": "f", "args": []}}]}), "contents[0].parts[0].functionCall.args"),
            (ask(generationConfig={"candidateCount": 0}), "generationConfig.candidateCount"),
            (ask(generationConfig={"candidateCount": 17}), "generationConfig.candidateCount"),
            (ask(generationConfig={"maxOutputTokens": 0}), "generationConfig.maxOutputTokens"),
            (ask(generationConfig=[]), "generationConfig"),
            (ask(tools=[5]), "tools[0]"),
        ],
    )
    def test_are_refused_by_name(self, body: bytes, param: str | None) -> None:
        with pytest.raises(Refused) as refused:
            gemini.parse_request(body)
        assert (refused.value.status, refused.value.code) == (400, "invalid_request")
        if param is not None:
            assert refused.value.param == param

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            ask() + b"{}",
            b'{"model": "m", "contents": [{"parts": [{"text": "\xff"}]}]}',
            b'{"model": "m", "contents": ' + b"[" * 200_000,
            ask(x=1).replace(b'"x": 1', b'"x": ' + b"[" * 100_000 + b"]" * 100_000),
            ask(x=float("nan")),
            ask(
                {"parts": [{"functionCall": {"name": "f", "args": {"x": 77}}}]},
            ).replace(b"77", b"[" * 100_000 + b"]" * 100_000),
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(Refused) as refused:
            gemini.parse_request(body)
        assert refused.value.status == 400
        json.loads(gemini.error_body(refused.value))

    @given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
    def test_never_anything_but_refused(self, body: bytes) -> None:
        with pytest.raises(Refused):
            gemini.parse_request(body)

    @given(
        st.dictionaries(
            st.sampled_from(["systemInstruction", "tools", "toolConfig", "generationConfig", "contents", "other"]),
            st.recursive(
                st.none() | st.integers() | st.text(max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(
                        st.sampled_from(
                            ["parts", "text", "functionCall", "name", "functionDeclarations", "parameters", "type"]
                        ),
                        inner,
                        max_size=3,
                    )
                ),
                max_leaves=8,
            ),
        )
    )
    def test_odd_shapes_are_refused_and_nothing_else(self, fields: dict[str, Any]) -> None:
        with contextlib.suppress(Refused):
            request = gemini.parse_request(json.dumps({"model": "m", "contents": [HI], **fields}).encode())
            chat.encode_request(request, "m")


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
URLS = st.sampled_from(["data:image/png;base64,iVBO", "https://example.com/cat.webp", "https://example.com/cat"])
PARTS = st.one_of(
    st.builds(lambda told: {"type": "text", "text": told}, text),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, URLS),
    st.just({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}}),
    st.just({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
)
OBJECTS = st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation in which no two turns of one side follow each other: those are one turn in this dialect."""
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(text)})
    for turn in range(draw(st.integers(1, 4))):
        parts = draw(st.lists(PARTS, min_size=1, max_size=3))
        plain = all(part["type"] == "text" for part in parts)
        said = "".join(part["text"] for part in parts) if plain else parts
        messages.append({"role": "user", "content": said})
        if not draw(st.booleans()):
            messages.append({"role": "assistant", "content": draw(text)})
            continue
        calls = [
            {
                "id": f"c{turn}_{number}",
                "type": "function",
                "function": {"name": draw(NAMES), "arguments": json.dumps(draw(OBJECTS), ensure_ascii=False)},
            }
            for number in range(draw(st.integers(1, 3)))
        ]
        messages.append({"role": "assistant", "content": draw(st.none() | text), "tool_calls": calls})
        for call in draw(st.permutations(calls)):
            failed = draw(st.booleans())
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": call["id"],
                    "content": draw(text),
                    **({"is_error": True} if failed else {}),
                }
            )
        messages.append({"role": "assistant", "content": draw(text)})
    return messages


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 100),
        "max_tokens": st.integers(1, 2**40),
        "n": st.integers(1, 16),
        "stop": st.lists(text, min_size=1, max_size=5),
        "seed": st.integers(0, 2**31),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "tool_choice": st.sampled_from(["auto", "none", "required"])
        | NAMES.map(lambda name: {"type": "function", "function": {"name": name}}),
        "response_format": st.sampled_from(
            [
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}},
            ]
        ),
        "tools": st.lists(
            st.fixed_dictionaries({"name": NAMES, "description": st.none() | text, "parameters": OBJECTS}), max_size=3
        ).map(lambda tools: [{"type": "function", "function": tool} for tool in tools]),
    },
)


def facts(message: Message) -> Any:
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.tool_calls or ()
    ]
    return message.role, message.content, calls, message.tool_call_id, bool(message.is_error)


class TestFromChat:
    @given(conversations(), OPTIONS)
    def test_every_fact_that_both_have_survives(self, messages: list[Any], options: dict[str, Any]) -> None:
        asked = chat.parse_request(json.dumps({"model": "m", "messages": messages, **options}).encode())
        told = gemini.encode_request(asked, "gemini-2.5-flash")
        body = json.dumps({"model": "m", **json.loads(told.body)}).encode()
        again = gemini.parse_request(body)
        assert told.dropped == again.others == again.needs == []
        assert list(map(facts, again.messages)) == list(map(facts, asked.messages))
        assert (again.choices, again.max_tokens, again.tools) == (asked.choices, asked.max_tokens, asked.tools)
        assert again.options == asked.options
