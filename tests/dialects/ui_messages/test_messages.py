"""The conversation in a `ui-messages` request, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects.base import Message, Noted
from penstock.dialects.ui_messages.messages import UIMessage, read_messages, write_messages
from penstock.exceptions import Refused

PNG = "data:image/png;base64,AA=="
STEP = {"type": "step-start"}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def tool(state: str = "output-available", name: str = "f", id: str = "c1", **fields: Any) -> dict[str, Any]:
    return {"type": f"tool-{name}", "toolCallId": id, "state": state, **fields}


def call(arguments: str = "{}", name: str = "f", id: str = "c1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def read(role: str, *parts: Any) -> tuple[list[Message], list[str], list[str]]:
    noted = Noted()
    return read_messages([UIMessage(role, list(parts))], noted), noted.others, noted.needs


def understood(role: str, *parts: Any) -> list[Message]:
    messages, others, needs = read(role, *parts)
    assert not others + needs
    return messages


class TestRead:
    def test_words(self) -> None:
        assert understood("user", words("a")) == [Message("user", "a")]
        assert understood("system", words("a"), words("b")) == [Message("system", [words("a"), words("b")])]
        assert understood("user") == [Message("user", "")]

    @pytest.mark.parametrize(
        ("file", "part"),
        [
            ({"mediaType": "image/png", "url": PNG}, {"type": "image_url", "image_url": {"url": PNG}}),
            ({"mediaType": "image/*", "url": "https://x/a"}, {"type": "image_url", "image_url": {"url": "https://x/a"}}),
            ({"mediaType": "application/pdf", "url": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
             {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}}),
            ({"mediaType": "text/plain", "url": "data:,hi", "filename": None},
             {"type": "file", "file": {"file_data": "data:,hi"}}),
            ({"mediaType": "audio/mpeg", "url": "data:audio/mpeg;base64,AA=="},
             {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}),
        ],
    )  # fmt: skip
    def test_files(self, file: dict[str, Any], part: dict[str, Any]) -> None:
        assert understood("user", {"type": "file", **file}, words("?")) == [Message("user", [part, words("?")])]

    def test_a_file_at_an_address_has_no_words_elsewhere(self) -> None:
        file = {"type": "file", "mediaType": "application/pdf", "url": "https://x/a.pdf"}
        assert read("user", file)[2] == ["messages.file.url"]

    def test_a_step_is_a_call_and_its_result(self) -> None:
        parts = [STEP, words("I look"), tool(input={"x": 1}, output={"sky": "rain"}), STEP, words("It rains")]
        assert understood("assistant", *parts) == [
            Message("assistant", "I look", tool_calls=[call('{"x":1}')]),
            Message("tool", '{"sky":"rain"}', tool_call_id="c1"),
            Message("assistant", "It rains"),
        ]

    def test_calls_side_by_side(self) -> None:
        dynamic = {"type": "dynamic-tool", "toolName": "g", "toolCallId": "c2", "state": "output-available"}
        parts = [tool(input={}, output="dry"), {**dynamic, "input": None, "output": None}]
        assert understood("assistant", *parts) == [
            Message("assistant", None, tool_calls=[call(), call(name="g", id="c2")]),
            Message("tool", "dry", tool_call_id="c1"),
            Message("tool", "null", tool_call_id="c2"),
        ]

    @pytest.mark.parametrize(
        ("part", "arguments", "result"),
        [
            (tool("input-available", input=[1]), "[1]", None),
            (tool("output-error", input={}, errorText="no"), "{}", "no"),
            (tool("output-error", rawInput='{"x', errorText="no JSON"), '{"x', "no JSON"),
            (tool("output-error", rawInput={"x": 1}, errorText="no"), '{"x":1}', "no"),
            (tool("output-denied", input={}, approval={"reason": "never"}), "{}", "never"),
            (tool("output-denied", input={}), "{}", "Tool call execution denied."),
        ],
    )
    def test_calls_that_did_not_work_out(self, part: Any, arguments: str, result: str | None) -> None:
        told, *results = understood("assistant", part)
        assert told == Message("assistant", None, tool_calls=[call(arguments)])
        assert results == ([] if result is None else [Message("tool", result, tool_call_id="c1", is_error=True)])

    def test_a_call_that_was_cut_is_none(self) -> None:
        assert read("assistant", words("a"), tool("input-streaming")) == (
            [Message("assistant", "a")],
            ["messages.input-streaming"],
            [],
        )

    def test_a_call_that_waits_for_somebody(self) -> None:
        messages, others, _ = read("assistant", tool("approval-requested", input={}, approval={"id": "p"}))
        assert messages == [Message("assistant", None, tool_calls=[call()])]
        assert others == ["messages.approval"]

    def test_what_is_for_the_page_is_a_hint(self) -> None:
        parts = [
            {"type": "reasoning", "text": "Hm", "providerMetadata": {"x": {}}},
            {"type": "data-weather", "data": {}, "text": 5},
            {"type": "source-url", "sourceId": "s", "url": "https://x"},
            {"type": "source-url", "sourceId": "t", "url": "https://x"},
            {"type": "file", "mediaType": "image/png", "url": PNG},
            words("a"),
        ]
        assert read("assistant", *parts) == (
            [Message("assistant", "a")],
            ["messages.providerMetadata", "messages.reasoning", "messages.data-weather", "messages.source-url",
             "messages.file"],
            [],
        )  # fmt: skip

    def test_an_answer_without_a_word_is_none(self) -> None:
        assert understood("assistant", STEP) == []

    def test_what_nobody_knows_is_needed(self) -> None:
        assert read("user", {"type": "hologram"})[2] == ["messages.hologram"]
        assert read("oracle", words("a")) == ([], [], ["messages.role"])

    @pytest.mark.parametrize(
        ("role", "part", "field"),
        [
            ("user", {}, "type"),
            ("user", {"type": 5}, "type"),
            ("user", {"type": "text"}, "text"),
            ("user", {"type": "file", "url": PNG}, "mediaType"),
            ("user", {"type": "file", "mediaType": "image/png"}, "url"),
            ("assistant", {"type": "tool-f", "state": "input-available"}, "toolCallId"),
            ("assistant", {"type": "tool-f", "toolCallId": "c"}, "state"),
            ("assistant", {"type": "dynamic-tool", "toolCallId": "c", "state": "x"}, "toolName"),
            ("assistant", {"type": "tool-f", "toolCallId": "c", "state": "output-error"}, "errorText"),
        ],
    )
    def test_what_lacks_what_it_needs(self, role: str, part: Any, field: str) -> None:
        with pytest.raises(Refused) as caught:
            read(role, part)
        assert (caught.value.status, caught.value.param) == (400, f"messages[0].parts[0].{field}")


def write(*messages: Message) -> tuple[list[Any], list[str]]:
    dropped: list[str] = []
    told = write_messages(messages, "ui-messages", dropped)
    assert [message["id"] for message in told] == [f"msg_{n}" for n in range(len(told))]
    return [(message["role"], message["parts"]) for message in told], dropped


class TestWrite:
    def test_a_turn_with_tools_is_one_message(self) -> None:
        turn = [
            Message("assistant", "I look", tool_calls=[call('{"x":1}'), call("", "g", "c2")]),
            Message("tool", "no", tool_call_id="c2", is_error=True),
            Message("tool", [words("ra"), words("in")], tool_call_id="c1"),
            Message("assistant", "It rains"),
        ]
        assert write(Message("developer", "kind"), Message("user", "?"), *turn, Message("user", "!")) == (
            [
                ("system", [words("kind")]),
                ("user", [words("?")]),
                ("assistant", [
                    STEP, words("I look"), tool(input={"x": 1}, output="rain"),
                    tool("output-error", "g", "c2", input={}, errorText="no"), STEP, words("It rains"),
                ]),
                ("user", [words("!")]),
            ],
            [],
        )  # fmt: skip

    def test_a_call_without_a_result(self) -> None:
        told, _ = write(Message("assistant", None, tool_calls=[call("not json")]))
        assert told == [("assistant", [STEP, tool("input-available", input="not json")])]

    def test_pictures_and_files(self) -> None:
        told, dropped = write(
            Message("user", [
                {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "https://x/a", "detail": "auto"}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,AA==", "filename": "a"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "refusal", "refusal": "no"},
            ], name="Ann"),
        )  # fmt: skip
        assert told == [("user", [
            {"type": "file", "mediaType": "image/png", "url": PNG},
            {"type": "file", "mediaType": "image/*", "url": "https://x/a"},
            {"type": "file", "mediaType": "text/plain", "url": "data:text/plain;base64,AA==", "filename": "a"},
            {"type": "file", "mediaType": "audio/wav", "url": "data:audio/wav;base64,AA=="},
            words("no"),
        ])]  # fmt: skip
        assert dropped == ["messages.name", "messages.image_url.detail"]

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (Message("user", [{"type": "file", "file": {"file_id": "f"}}]), "unsupported_translation"),
            (Message("user", [{"type": "video"}]), "unsupported_translation"),
            (Message("user", [{"type": "image_url", "image_url": "x"}]), "invalid_request"),
            (Message("user", [{}]), "invalid_request"),
            (Message("oracle", "x"), "unsupported_translation"),
            (Message("system", [{"type": "image_url", "image_url": {"url": PNG}}]), "unsupported_translation"),
            (Message("assistant", None, tool_calls=[{"type": "custom"}]), "unsupported_translation"),
            (Message("assistant", None, tool_calls=[{}]), "invalid_request"),
            (Message("tool", "x"), "invalid_request"),
            (Message("tool", "x", tool_call_id="unknown"), "invalid_request"),
        ],
    )
    def test_what_can_not_be_told_is_refused(self, message: Message, code: str) -> None:
        with pytest.raises(Refused) as caught:
            write(message)
        assert (caught.value.status, caught.value.code) == (400, code)

    def test_a_picture_as_a_result_is_refused(self) -> None:
        picture = [{"type": "image_url", "image_url": {"url": PNG}}]
        with pytest.raises(Refused, match="can't be translated"):
            write(Message("assistant", None, tool_calls=[call()]), Message("tool", picture, tool_call_id="c1"))
