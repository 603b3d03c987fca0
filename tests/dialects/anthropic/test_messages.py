"""The conversation in a request of the `anthropic` dialect, both ways."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.messages import Block, Turn, read_messages, write_messages
from penstock.dialects.base import Message, Noted
from penstock.exceptions import Refused

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def words(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def use(id: str, name: str, **input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def result(id: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, **({} if content is None else {"content": content}), **more}


def call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def read(*turns: tuple[str, Any], system: Any = None, noted: Noted | None = None) -> list[Message]:
    shaped = msgspec.convert([{"role": role, "content": content} for role, content in turns], list[Turn])
    return read_messages(msgspec.convert(system, str | list[Block] | None), shaped, noted or Noted())


def write(*messages: Message) -> tuple[Any, list[tuple[str, Any]], list[str]]:
    dropped: list[str] = []
    system, turns = write_messages(messages, "anthropic", dropped)
    return system, [(turn["role"], turn["content"]) for turn in turns], dropped


TOOLS = (
    ("user", "weather?"),
    ("assistant", [words("I'll look."), use("a", "weather", city="Köln"), use("b", "now")]),
    ("user", [result("a", "rain", is_error=True), result("b", [words("noon"), IMAGE]), words("and?")]),
    ("assistant", "It rains."),
)
SAID = [
    Message("user", "weather?"),
    Message(
        "assistant", "I'll look.", tool_calls=[call("a", "weather", '{"city":"Köln"}'), call("b", "now", "{}")]
    ),
    Message("tool", "rain", tool_call_id="a", is_error=True),
    Message("tool", [words("noon"), IMAGE_PART], tool_call_id="b"),
    Message("user", "and?"),
    Message("assistant", "It rains."),
]  # fmt: skip


class TestReadMessages:
    def test_a_conversation_with_tools(self) -> None:
        assert read(*TOOLS) == SAID

    @pytest.mark.parametrize(
        ("system", "content"),
        [("be kind", "be kind"), ([words("be kind")], "be kind"), ([words("a"), words("b")], [words("a"), words("b")])],
    )
    def test_system(self, system: Any, content: Any) -> None:
        assert read(("user", "hi"), system=system) == [Message("system", content), Message("user", "hi")]

    @pytest.mark.parametrize("system", [None, "", []])
    def test_no_system(self, system: Any) -> None:
        assert read(("user", "hi"), system=system) == [Message("user", "hi")]

    def test_a_system_turn_in_between(self) -> None:
        assert read(("user", "a"), ("system", "now be short"))[1] == Message("system", "now be short")

    def test_results_come_before_what_else_is_said(self) -> None:
        assert read(("user", [words("a"), result("x"), words("b")])) == [
            Message("tool", "", tool_call_id="x"),
            Message("user", [words("a"), words("b")]),
        ]

    @pytest.mark.parametrize(
        ("block", "hint"),
        [
            (words("x", cache_control={"type": "ephemeral"}), "cache_control"),
            (IMAGE | {"cache_control": {"type": "ephemeral"}}, "cache_control"),
            (result("a", "x", cache_control={"type": "ephemeral"}), "cache_control"),
            (result("a", [words("x", cache_control={"type": "ephemeral"})]), "cache_control"),
            (
                {"type": "document", "source": {"type": "file", "file_id": "f"}, "citations": {"enabled": True}},
                "messages.citations",
            ),
            ({"type": "document", "source": {"type": "file", "file_id": "f"}, "context": "x"}, "messages.context"),
        ],
    )
    def test_hints(self, block: Any, hint: str) -> None:
        noted = Noted()
        read(("user", [block, block]), noted=noted)
        assert (noted.others, noted.needs) == ([hint], [])

    def test_hints_of_the_assistant_and_the_system(self) -> None:
        noted = Noted()
        thoughts = [
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "redacted_thinking", "data": "x"},
        ]
        cached = use("a", "f") | {"cache_control": {"type": "ephemeral"}}
        (message,) = read(("assistant", [*thoughts, cached]), noted=noted)
        assert (message.content, noted.others, noted.needs) == (None, ["messages.thinking", "cache_control"], [])
        noted = Noted()
        read(("user", "x"), system=[words("x", cache_control={"type": "ephemeral"})], noted=noted)
        assert noted.others == ["cache_control"]

    @pytest.mark.parametrize(
        ("role", "block", "need"),
        [
            ("user", {"type": "image", "source": {"type": "file", "file_id": "x"}}, "messages.image.source.file"),
            ("user", {"type": "document", "source": {"type": "url", "url": "x"}}, "messages.document.source.url"),
            (
                "user",
                {"type": "search_result", "source": "https://x", "title": "x", "content": []},
                "messages.search_result",
            ),
            ("user", {"type": "container_upload", "file_id": "x"}, "messages.container_upload"),
            (
                "assistant",
                {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
                "messages.server_tool_use",
            ),
            (
                "assistant",
                {"type": "web_search_tool_result", "tool_use_id": "x", "content": {"type": "e"}},
                "messages.web_search_tool_result",
            ),
            ("narrator", words("x"), "messages.role"),
        ],
    )
    def test_what_it_would_be_another_answer_without(self, role: str, block: Any, need: str) -> None:
        noted = Noted()
        read((role, [block, block]), noted=noted)
        assert (noted.others, noted.needs) == ([], [need])

    @pytest.mark.parametrize(
        ("role", "block", "param"),
        [
            ("user", {"type": "text"}, "text"),
            ("user", {"type": "image"}, "source"),
            ("user", {"type": "image", "source": "https://x"}, "source"),
            ("user", {"type": "tool_result"}, "tool_use_id"),
            ("user", {"type": "tool_result", "tool_use_id": "x", "content": {}}, "content"),
            ("user", result("x", [{"type": "text"}]), "content[0].text"),
            ("assistant", {"type": "tool_use", "name": "f"}, "id"),
            ("assistant", {"type": "tool_use", "id": "x"}, "name"),
        ],
    )
    def test_blocks_that_lack_something(self, role: str, block: Any, param: str) -> None:
        with pytest.raises(Refused) as refused:
            read(("user", "x"), (role, [words("ok"), block]))
        assert (refused.value.status, refused.value.param) == (400, f"messages[1].content[1].{param}")


class TestWriteMessages:
    def test_a_conversation_with_tools(self) -> None:
        assert write(*SAID) == ([], list(TOOLS), [])

    def test_system_and_developer(self) -> None:
        system, turns, dropped = write(
            Message("system", "a"), Message("developer", [words("b"), words("")]), Message("user", "hi")
        )
        assert (system, turns, dropped) == ([words("a"), words("b")], [("user", "hi")], [])

    @pytest.mark.parametrize(("late", "dropped"), [("b", ["messages.system-position"]), ("", [])])
    def test_a_system_message_that_loses_its_place(self, late: str, dropped: list[str]) -> None:
        told = write(Message("system", "a"), Message("user", "hi"), Message("system", late), Message("developer", late))
        assert told == ([words(text) for text in ("a", late, late) if text], [("user", "hi")], dropped)

    def test_the_same_role_twice_is_one_turn(self) -> None:
        _, turns, _ = write(
            Message("user", "a"),
            Message("user", [words("b"), IMAGE_PART]),
            Message("assistant", "c"),
            Message("assistant", None, tool_calls=[call("x", "f", "{}")]),
            Message("user", "d"),
            Message("tool", "e", tool_call_id="x"),
        )
        assert turns == [
            ("user", [words("a"), words("b"), IMAGE]),
            ("assistant", [words("c"), use("x", "f")]),
            ("user", [result("x", "e"), words("d")]),
        ]

    def test_nothing_said_is_no_turn(self) -> None:
        assert write(Message("user", ""), Message("assistant", None), Message("user", []))[1] == []

    def test_an_empty_result_is_a_result(self) -> None:
        assert write(Message("tool", "", tool_call_id="x"))[1] == [("user", [result("x")])]

    def test_ids_have_only_signs_that_are_allowed(self) -> None:
        _, turns, _ = write(
            Message("assistant", None, tool_calls=[call("functions.f:0", "f", "{}")]),
            Message("tool", "x", tool_call_id="functions.f:0"),
        )
        assert turns[0][1][0]["id"] == turns[1][1][0]["tool_use_id"] == "functions_f_0"

    def test_arguments_that_are_no_object(self) -> None:
        _, turns, _ = write(Message("assistant", None, tool_calls=[call("x", "f", '{"a'), call("y", "g", "")]))
        assert [block["input"] for block in turns[0][1]] == [{"INVALID_JSON": '{"a'}, {}]

    def test_hints(self) -> None:
        detailed = {"type": "image_url", "image_url": {"url": "https://x", "detail": "high"}}
        auto = {"type": "image_url", "image_url": {"url": "https://x", "detail": "auto"}}
        assert write(Message("user", [auto]))[2] == []
        _, _, dropped = write(Message("user", [detailed, detailed], name="anna"), Message("user", "x", name="bert"))
        assert dropped == ["messages.image_url.detail", "messages.name"]

    @pytest.mark.parametrize(
        ("message", "code", "param"),
        [
            (Message("narrator", "x"), "unsupported_translation", "role"),
            (Message("system", [IMAGE_PART]), "unsupported_translation", "content"),
            (Message("user", [{"type": "input_audio"}]), "unsupported_translation", "content[0].input_audio"),
            (Message("user", [{"type": "text"}]), "invalid_request", "content[0]"),
            (Message("tool", "x"), "invalid_request", "tool_call_id"),
            (
                Message("assistant", tool_calls=[{"id": "x", "type": "custom", "custom": {}}]),
                "unsupported_translation",
                "tool_calls[0]",
            ),
            (
                Message("assistant", tool_calls=[{"id": "x", "type": "function"}]),
                "invalid_request",
                "tool_calls[0].function",
            ),
            (Message("assistant", tool_calls=[{}]), "invalid_request", "tool_calls[0].function"),
            (
                Message("assistant", tool_calls=[{"id": "x", "function": {"name": "f", "arguments": {}}}]),
                "invalid_request",
                "tool_calls[0].function.arguments",
            ),
        ],
    )
    def test_what_is_wrong_or_has_no_words_is_refused_by_name(self, message: Message, code: str, param: str) -> None:
        with pytest.raises(Refused) as refused:
            write(Message("user", "x"), message)
        assert (refused.value.status, refused.value.code, refused.value.param) == (400, code, f"messages[1].{param}")


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
parts = st.lists(text.map(words) | st.just(IMAGE_PART), min_size=2, max_size=3)
said = text | parts
ids = st.text("abcXYZ019_-", min_size=1, max_size=8)
objects = st.dictionaries(text, st.none() | text | st.integers(0, 9), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """What both sides can say: a system prompt, then turns; every call is answered by what comes next."""
    messages = [Message("system", draw(text))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(said)))
        if draw(st.booleans()):
            named = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
            arguments = [json.dumps(draw(objects), ensure_ascii=False, separators=(",", ":")) for _ in named]
            calls = [call(id, draw(text), told) for id, told in zip(named, arguments, strict=True)]
            messages.append(Message("assistant", draw(st.none() | text), tool_calls=calls))
            messages += [
                Message("tool", draw(said), tool_call_id=id, is_error=draw(st.sampled_from([None, True])))
                for id in named
            ]
        messages.append(Message("assistant", draw(text)))
    return messages


@given(conversations())
def test_every_fact_survives(messages: list[Message]) -> None:
    dropped: list[str] = []
    system, turns = write_messages(messages, "anthropic", dropped)
    noted = Noted()
    again = read_messages(msgspec.convert(system, list[Block]), msgspec.convert(turns, list[Turn]), noted)
    assert again == messages
    assert (dropped, noted.others, noted.needs) == ([], [], [])
