"""Requests to a `gemini` upstream."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Message, Options, Outgoing, Request
from penstock.dialects.gemini import Gemini
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import Refused

gemini = Gemini()
chat = OpenAIChat()

HI = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def asked(*messages: Any, **fields: Any) -> Request:
    """A chat request."""
    return chat.parse_request(json.dumps({"model": "m", "messages": messages or [HI], **fields}).encode())


def outgoing(*messages: Any, model: str = "gemini-2.5-flash", **fields: Any) -> Outgoing:
    return gemini.encode_request(asked(*messages, **fields), model)


def sent(*messages: Any, model: str = "gemini-2.5-flash", **fields: Any) -> Any:
    return json.loads(outgoing(*messages, model=model, **fields).body)


def contents(*messages: Any, model: str = "gemini-2.5-flash") -> Any:
    return sent(*messages, model=model)["contents"]


class TestAddress:
    @pytest.mark.parametrize(
        ("model", "path"),
        [
            ("gemini-2.5-flash", "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            ("models/gemini-2.5-flash", "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            ("tunedModels/mine", "/tunedModels/mine:streamGenerateContent?alt=sse"),
            ("odd name\r\nx: y?", "/models/odd%20name%0D%0Ax%3A%20y%3F:streamGenerateContent?alt=sse"),
        ],
    )
    def test_names_the_model(self, model: str, path: str) -> None:
        assert outgoing(model=model).path == path

    def test_the_key_has_a_header_of_its_own(self) -> None:
        assert gemini.headers("AIza1") == [("x-goog-api-key", "AIza1")]
        assert gemini.headers("") == []


class TestOfItsOwn:
    def test_goes_as_it_came(self) -> None:
        fields = {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "safetySettings": [{"x": 1}],
            "new": {"a": None},
        }
        body = json.dumps({"model": "any", "stream": True, **fields}).encode()
        sent = gemini.encode_request(gemini.parse_request(body), "gemini-2.5-pro")
        assert json.loads(sent.body) == fields
        assert "gemini-2.5-pro" in sent.path
        assert sent.dropped == []


class TestConversation:
    def test_a_word(self) -> None:
        assert sent() == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

    def test_roles(self) -> None:
        told = sent(
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "In German."}]},
            {"role": "user", "content": "one"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "eins"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "nein"}]},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "three"},
        )
        assert told["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In German."}]}
        assert told["contents"] == [
            {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]},
            {"role": "model", "parts": [{"text": "eins"}, {"text": "nein"}]},
            {"role": "user", "parts": [{"text": "three"}]},
        ]

    @pytest.mark.parametrize(
        ("part", "told"),
        [
            ({"type": "text", "text": "a"}, {"text": "a"}),
            (
                {"type": "image_url", "image_url": {"url": PNG}},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            ),
            (
                {"type": "image_url", "image_url": {"url": "https://example.com/a/Cat.JPG?x=1.png#y"}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a/Cat.JPG?x=1.png#y"}},
            ),
            (
                {"type": "image_url", "image_url": {"url": "https://example.com/cat"}},
                {"fileData": {"fileUri": "https://example.com/cat"}},
            ),
            (
                {"type": "file", "file": {"file_data": "data:application/pdf;name=a;base64,JVBE"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            ),
            (
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
            ),
        ],
    )
    def test_parts(self, part: Any, told: Any) -> None:
        assert contents({"role": "user", "content": [part]}) == [{"role": "user", "parts": [told]}]

    @pytest.mark.parametrize(
        ("part", "code"),
        [
            ({"type": "file", "file": {"file_id": "file-1"}}, "unsupported_translation"),
            ({"type": "video", "video": {}}, "unsupported_translation"),
            ({"type": ["text"]}, "unsupported_translation"),
            ({}, "unsupported_translation"),
            ({"type": "text"}, "invalid_request"),
            ({"type": "text", "text": 5}, "invalid_request"),
            ({"type": "image_url"}, "invalid_request"),
            ({"type": "image_url", "image_url": {}}, "invalid_request"),
            ({"type": "image_url", "image_url": {"url": "cat.png"}}, "invalid_request"),
            ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "invalid_request"),
            ({"type": "file", "file": []}, "invalid_request"),
            ({"type": "input_audio", "input_audio": {"data": "x"}}, "invalid_request"),
        ],
    )
    def test_parts_that_cannot_be_told(self, part: Any, code: str) -> None:
        with pytest.raises(Refused) as refused:
            contents({"role": "user", "content": [part]})
        assert (refused.value.status, refused.value.code) == (400, code)
        assert refused.value.param is not None

    def test_pictures_are_no_instructions(self) -> None:
        with pytest.raises(Refused, match="can't be translated"):
            contents({"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}, HI)

    def test_roles_of_other_worlds(self) -> None:
        with pytest.raises(Refused, match="can't be translated"):
            contents({"role": "narrator", "content": "x"})

    @given(st.lists(st.recursive(st.none() | st.booleans() | st.text(max_size=4), st.lists, max_leaves=3)))
    def test_odd_parts_are_refused_and_nothing_else(self, oddities: list[Any]) -> None:
        keys = ["text", "image_url", "file", "input_audio"]
        parts = [{"type": keys[at % 4], keys[at % 4]: odd} for at, odd in enumerate(oddities)]
        with contextlib.suppress(Refused):
            contents({"role": "user", "content": parts})


def made(id: str, name: str, arguments: str, **more: Any) -> Any:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


CALLS: Any = {"role": "assistant", "content": None, "tool_calls": [made("a", "f", '{"x": 1}'), made("b", "g", "")]}


class TestTools:
    def test_calls_and_their_results(self) -> None:
        told = contents(
            HI,
            {**CALLS, "content": "Let me look."},
            {"role": "tool", "tool_call_id": "b", "content": "rain"},
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}],
            },
            {"role": "user", "content": "and?"},
        )
        assert told[1:] == [
            {
                "role": "model",
                "parts": [
                    {"text": "Let me look."},
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                    {"functionCall": {"id": "b", "name": "g", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "b", "name": "g", "response": {"result": "rain"}}},
                    {"functionResponse": {"id": "a", "name": "f", "response": {"result": "12"}}},
                    {"text": "and?"},
                ],
            },
        ]

    def test_a_tool_that_failed(self) -> None:
        told = contents(HI, CALLS, {"role": "tool", "tool_call_id": "a", "content": "no", "is_error": True})
        assert told[2]["parts"][0]["functionResponse"]["response"] == {"error": "no"}

    def test_pictures_in_results(self) -> None:
        """Since Gemini 3 they are part of the result; before that they stand beside it."""
        content = [{"type": "text", "text": "a cat"}, {"type": "image_url", "image_url": {"url": PNG}}]
        conversation = [HI, CALLS, {"role": "tool", "tool_call_id": "a", "content": content}]
        picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
        result, beside = contents(*conversation)[2]["parts"]
        assert (result["functionResponse"]["response"], beside) == ({"result": "a cat"}, picture)
        (result,) = contents(*conversation, model="gemini-3-pro-preview")[2]["parts"]
        assert result["functionResponse"]["parts"] == [picture]

    def test_a_result_of_no_call(self) -> None:
        with pytest.raises(Refused, match="answers no tool call") as refused:
            contents(HI, {"role": "tool", "tool_call_id": "z", "content": "x"})
        assert refused.value.param == "messages.tool_call_id"
        named = contents(HI, {"role": "tool", "tool_call_id": "z", "name": "f", "content": "x"})
        assert named[0]["parts"][1]["functionResponse"]["name"] == "f"

    @pytest.mark.parametrize("arguments", ["Oslo", "[1]", '{"x": '])
    def test_arguments_that_are_no_object(self, arguments: str) -> None:
        told = contents(HI, {"role": "assistant", "tool_calls": [made("a", "f", arguments)]})
        assert told[1]["parts"][0]["functionCall"]["args"] == {"_raw": arguments}

    @pytest.mark.parametrize(
        "call", [{}, {"function": 1}, {"function": {"name": "f"}}, {"function": {"arguments": ""}}]
    )
    def test_calls_of_wrong_shapes(self, call: Any) -> None:
        with pytest.raises(Refused) as refused:
            contents({"role": "assistant", "tool_calls": [call]})
        assert (refused.value.status, refused.value.code) == (400, "invalid_request")

    def test_signatures_of_thoughts(self) -> None:
        """Gemini 3 refuses calls without one; what clients of Google's own compatible API give back is one."""
        signed = made("b", "g", "{}", extra_content={"google": {"thought_signature": "CrIB"}})
        history = {"role": "assistant", "tool_calls": [made("a", "f", "{}"), signed, made("c", "h", "{}")]}

        def signatures(model: str) -> list[Any]:
            return [part.get("thoughtSignature") for part in contents(HI, history, model=model)[1]["parts"]]

        assert signatures("gemini-2.5-flash") == [None, "CrIB", None]
        assert signatures("gemini-3.1-pro") == ["skip_thought_signature_validator", "CrIB", None]

    def test_definitions(self) -> None:
        schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
        tools = [
            {
                "type": "function",
                "function": {"name": "f", "description": "does", "parameters": schema, "strict": True},
            },
            {"type": "function", "function": {"name": "g"}},
        ]
        given = outgoing(tools=tools)
        declarations = [{"name": "f", "description": "does", "parametersJsonSchema": schema}, {"name": "g"}]
        assert json.loads(given.body)["tools"] == [{"functionDeclarations": declarations}]
        assert given.dropped == ["strict"]

    @pytest.mark.parametrize(
        ("choice", "config"),
        [
            ("auto", {"mode": "AUTO"}),
            ("none", {"mode": "NONE"}),
            ("required", {"mode": "ANY"}),
            ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ],
    )
    def test_choice(self, choice: Any, config: Any) -> None:
        assert sent(tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}

    def test_a_choice_of_another_kind(self) -> None:
        with pytest.raises(Refused, match="tool_choice can't be translated"):
            sent(tool_choice="sometimes")


class TestSettings:
    def test_sampling(self) -> None:
        given = outgoing(
            temperature=0.5, top_p=0.9, top_k=40, max_tokens=7, stop="END", seed=3, presence_penalty=0.1,
            frequency_penalty=-0.2, n=2, user="u1", parallel_tool_calls=False, logit_bias=None, metadata={"a": "b"},
        )  # fmt: skip
        assert json.loads(given.body)["generationConfig"] == {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 7,
            "stopSequences": ["END"],
            "seed": 3,
            "presencePenalty": 0.1,
            "frequencyPenalty": -0.2,
            "candidateCount": 2,
        }
        assert given.dropped == ["metadata", "user", "parallel_tool_calls"]

    def test_zeros_are_told(self) -> None:
        assert sent(temperature=0, seed=0)["generationConfig"] == {"temperature": 0, "seed": 0}

    @pytest.mark.parametrize(
        ("shape", "told"),
        [
            ({"type": "text"}, None),
            ({"type": "json_object"}, {"responseMimeType": "application/json"}),
            (
                {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
                {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            ),
        ],
    )
    def test_structured_output(self, shape: Any, told: Any) -> None:
        assert sent(response_format=shape).get("generationConfig") == told

    def test_output_of_another_kind(self) -> None:
        with pytest.raises(Refused, match="response_format can't be translated"):
            sent(response_format={"type": "grammar"})

    @pytest.mark.parametrize(
        ("effort", "budget", "level"),
        [
            ("none", 0, None),
            ("minimal", 512, "minimal"),
            ("low", 2048, "low"),
            ("medium", 8192, "medium"),
            ("high", 24576, "high"),
            ("xhigh", 24576, "high"),
        ],
    )
    def test_thinking(self, effort: str, budget: int, level: str | None) -> None:
        """Since Gemini 3 by level. Where there is to be none, there are no thoughts to ask for."""
        shown = {"includeThoughts": True} if budget else {}

        def thinking(model: str) -> Any:
            return sent(reasoning_effort=effort, model=model)["generationConfig"]["thinkingConfig"]

        assert thinking("gemini-2.5-flash") == {**shown, "thinkingBudget": budget}
        assert thinking("gemini-3-flash") == {**shown, **({"thinkingLevel": level} if level else {"thinkingBudget": 0})}

    def test_an_effort_that_nobody_knows_is_dropped_and_said(self) -> None:
        given = outgoing(reasoning_effort="heroic")
        assert (json.loads(given.body).get("generationConfig"), given.dropped) == (None, ["reasoning_effort"])

    @pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro"])
    def test_a_budget_is_a_budget(self, model: str) -> None:
        options = Options(reasoning_tokens=1000, reasoning_effort="high")
        request = Request(dialect="anthropic", model="m", messages=[Message("user", "hi")], options=options)
        thinking = json.loads(gemini.encode_request(request, model).body)["generationConfig"]["thinkingConfig"]
        assert thinking == {"includeThoughts": True, "thinkingBudget": 1000}


class TestWhatCannotBeTold:
    def test_what_is_needed_is_refused_by_name(self) -> None:
        with pytest.raises(Refused, match="logprobs can't be translated") as refused:
            outgoing(logprobs=True)
        assert (refused.value.code, refused.value.param) == ("unsupported_translation", "logprobs")

    @pytest.mark.parametrize(("late", "dropped"), [("b", ["messages.system-position"]), ("", [])])
    def test_a_system_message_that_loses_its_place_is_said(self, late: str, dropped: list[str]) -> None:
        system = {"role": "system", "content": "a"}
        assert outgoing(system, system, HI).dropped == []
        assert outgoing(system, HI, {"role": "developer", "content": late}, HI).dropped == dropped

    @pytest.mark.parametrize("schema", [{}, {"name": "n"}, {"name": "n", "schema": None}, None])
    def test_a_schema_that_is_none_is_refused(self, schema: Any) -> None:
        with pytest.raises(Refused) as refused:
            outgoing(response_format={"type": "json_schema", "json_schema": schema})
        assert (refused.value.code, refused.value.param) == ("unsupported_translation", "response_format")

    def test_hints_in_messages_are_dropped_and_said_once(self) -> None:
        image = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
        file = {"type": "file", "file": {"file_data": "data:text/plain;base64,YQ==", "filename": "a.txt"}}
        given = outgoing({"role": "user", "name": "ann", "content": [image, image, file]})
        assert given.dropped == ["messages.name", "image_url.detail", "file.filename"]

    def test_a_native_request_is_one_of_another_dialect(self) -> None:
        body = json.dumps({"model": "m", "messages": [HI], "temperature": 1}).encode()
        told = json.loads(gemini.encode_request(Native().parse_request(body), "m").body)
        assert told == {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"temperature": 1},
        }
