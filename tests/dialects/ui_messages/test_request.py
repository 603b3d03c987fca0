"""Requests of the `ui-messages` dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.dialects.base import Message, Options, Outgoing, Request, Tool, encode_json
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.ui_messages import UIMessages
from penstock.exceptions import Refused

ui = UIMessages()
HELLO = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}


def parsed(*messages: Any, **fields: Any) -> Request:
    asked = {"id": "chat", "model": "m", "trigger": "submit-message", "messages": list(messages) or [HELLO], **fields}
    return ui.parse_request(json.dumps(asked).encode())


def refused(body: Any) -> tuple[int, str | None, str]:
    with pytest.raises(Refused) as caught:
        ui.parse_request(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.status, caught.value.param, caught.value.message


class TestParse:
    def test_as_the_client_posts_it(self) -> None:
        request = parsed(HELLO, messageId="m1", trigger="regenerate-message")
        assert (request.dialect, request.model, request.stream, request.include_usage) == (
            "ui-messages",
            "m",
            True,
            True,
        )
        assert list(request.messages) == [Message("user", "Hello")]
        assert (list(request.others), list(request.needs)) == ([], [])
        assert request.fields["messageId"] == "m1"

    def test_it_is_always_for_a_stream(self) -> None:
        assert parsed(stream=False).stream

    def test_a_model_must_be_named(self) -> None:
        for body in ({"messages": [HELLO]}, {"messages": [HELLO], "model": None}, {"messages": [HELLO], "model": ""}):
            status, param, message = refused(body)
            assert (status, param) == (400, "model")
            assert message.startswith("model is missing")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"model": "m"}, "messages"),
            ({"model": "m", "messages": []}, "messages"),
            ({"model": "m", "messages": {}}, "messages"),
            ({"model": 7, "messages": [HELLO]}, "model"),
            ({"model": "m", "messages": [{"role": "user", "content": "v4"}]}, "messages[0]"),
            ({"model": "m", "messages": [{"role": "user", "parts": ["x"]}]}, "messages[0].parts[0]"),
            (b"[" * 50_000, None),
            (b"\xff", None),
            (b"", None),
        ],
    )
    def test_wrong_shapes(self, body: Any, param: str | None) -> None:
        assert refused(body)[:2] == (400, param)

    def test_what_pages_add_is_a_hint(self) -> None:
        request = parsed(temperature=1, webSearch=True, empty=None, tools={}, system="")
        assert (list(request.others), list(request.needs)) == (["temperature", "webSearch"], [])

    def test_but_not_what_makes_it_another_answer(self) -> None:
        assert list(parsed(tools={"f": {}}, system="be kind").needs) == ["system", "tools"]
        with pytest.raises(Refused, match="system can't be translated"):
            OpenAIChat().encode_request(parsed(system="be kind"), "x")


def asked(*messages: Message, **more: Any) -> Request:
    fields: dict[str, Any] = {"dialect": "openai-chat", "model": "m", "messages": messages or [Message("user", "Hi")]}
    return Request(**fields | more)


class TestEncode:
    def test_its_own_goes_on_as_it_came(self) -> None:
        request = parsed(HELLO, temperature=1, tools={"f": {}})
        sent = ui.encode_request(request, "other")
        assert sent == Outgoing("", sent.body, ())
        assert json.loads(sent.body) == request.fields | {"model": "other"}

    def test_of_another_dialect(self) -> None:
        sent = ui.encode_request(asked(Message("system", "Be kind"), Message("user", "Hi")), "x")
        told = json.loads(sent.body)
        assert told.pop("id").startswith("chat_")
        assert (sent.path, sent.dropped) == ("", [])
        assert told == {
            "model": "x",
            "trigger": "submit-message",
            "messages": [
                {"id": "msg_0", "role": "system", "parts": [{"type": "text", "text": "Be kind"}]},
                {"id": "msg_1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
            ],
        }

    def test_only_the_same_conversation_has_the_same_id(self) -> None:
        ids = [json.loads(ui.encode_request(asked(Message("user", text)), "x").body)["id"] for text in "aab"]
        assert ids[0] == ids[1] != ids[2]

    def test_how_to_answer_is_dropped(self) -> None:
        options = Options(temperature=1, top_p=0.5, top_k=3, stop=["x"], seed=1, reasoning_effort="low", user="u",
                          presence_penalty=1, frequency_penalty=1, reasoning_tokens=5, parallel_tool_calls=True,
                          tool_choice="auto", response_format={"type": "text"})  # fmt: skip
        sent = ui.encode_request(asked(max_tokens=5, options=options, others=["logit_bias"]), "x")
        assert sorted(sent.dropped) == [
            "frequency_penalty", "logit_bias", "max_tokens", "parallel_tool_calls", "presence_penalty",
            "reasoning_effort", "reasoning_tokens", "seed", "stop", "temperature", "top_k", "top_p", "user",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("field", "more"),
        [
            ("n", {"choices": 2}),
            ("tools", {"tools": [Tool("f")]}),
            ("tool_choice", {"options": Options(tool_choice="required")}),
            ("response_format", {"options": Options(response_format={"type": "json_object"})}),
            ("audio", {"needs": ["audio"]}),
        ],
    )
    def test_what_can_not_be_told_is_refused(self, field: str, more: Any) -> None:
        with pytest.raises(Refused, match="can't be translated") as caught:
            ui.encode_request(asked(**more), "x")
        assert (caught.value.status, caught.value.param) == (400, field)


QUESTION = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
ANSWER = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "hello"}]}


@pytest.mark.parametrize(
    ("messages", "more", "expected"),
    [
        ([QUESTION], {}, ""),
        ([QUESTION, ANSWER], {}, "a1"),
        ([QUESTION, ANSWER, {**QUESTION, "id": "u2"}], {}, ""),
        ([QUESTION, ANSWER, {**QUESTION, "id": "u2"}], {"messageId": "a1"}, "a1"),
        ([QUESTION, ANSWER], {"messageId": "u1"}, ""),
        ([QUESTION, ANSWER], {"messageId": "gone"}, "a1"),
        ([QUESTION, {"role": "assistant", "parts": []}], {}, ""),
    ],
)
def test_the_message_that_the_answer_goes_on_with(messages: Any, more: Any, expected: str) -> None:
    assert ui.parse_request(encode_json({"model": "m", "messages": messages, **more})).message == expected


def test_ids_that_are_none() -> None:
    for wrong, param in (
        ({"id": ""}, "id"),
        ({"id": "a" * 256}, "id"),
        ({"id": 7}, "id"),
        ({"messageId": 7}, "messageId"),
        ({"messages": [QUESTION, {**ANSWER, "id": "a" * 256}]}, "messages"),
        ({"messages": [QUESTION, {**ANSWER, "id": 7}]}, "messages[1].id"),
    ):
        with pytest.raises(Refused) as raised:
            ui.parse_request(encode_json({"model": "m", "messages": [QUESTION], **wrong}))
        assert (raised.value.status, raised.value.code, raised.value.param) == (400, "invalid_request", param)
