"""The embedded demo model: what it promises about every prompt, and what a person meets who plays with it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstreams import demo
from penstock.upstreams.demo_quote import EXCERPT_CHARACTERS, fence, quote, visible
from penstock.upstreams.demo_tools import MOST_ARGUMENTS
from penstock.wire.events import Event, Finish, Reasoning, Token, ToolCall, Usage

MOST_CHARACTERS = 40_000
SCHEMAS: list[Any] = [{}, None, 1, {"type": "number"}, {"type": "integer"}, {"type": "array"}, {"enum": [1, "a"]}]


@dataclass
class Said:
    role: str
    text: str


@dataclass
class Tool:
    name: str
    parameters: dict[str, Any] | None


@dataclass
class Asked:
    messages: Sequence[Said]
    tools: Sequence[Tool] | None = None
    max_tokens: int | None = None


@dataclass
class Heard:
    """An answer as it arrived."""

    events: list[Event] = field(default_factory=list)

    def text(self, kind: type = Token) -> str:
        return "".join(event.text for event in self.events if isinstance(event, kind))

    def one(self, kind: type) -> Any:
        (event,) = [event for event in self.events if isinstance(event, kind)]
        return event


def reply(prompt: str, *before: Said) -> str:
    return demo.compose([*before, Said("user", prompt)]).text


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass; hand back the delays that would have."""
    delays: list[float] = []

    async def sleep(delay: float) -> None:
        delays.append(delay)

    monkeypatch.setattr(demo.asyncio, "sleep", sleep)
    return delays


def hear(asked: Asked) -> Heard:
    async def listen() -> Heard:
        return Heard([event async for event in demo.answer(asked)])

    return asyncio.run(listen())


def fences_are_balanced(markdown: str) -> bool:
    """CommonMark's rule: a fence closes with at least as many of the same character, and nothing after them."""
    opened = ""
    for line in markdown.split("\n"):
        fence_line = re.match(r" {0,3}(`{3,}|~{3,})(.*)$", line)
        if fence_line is None:
            continue
        marks, rest = fence_line.groups()
        if opened:
            if marks[0] == opened[0] and len(marks) >= len(opened) and not rest.strip():
                opened = ""
        elif marks[0] == "~" or "`" not in rest:
            opened = marks
    return not opened


hostile = st.text(st.sampled_from("`~|>-*#_[]()<&\\ \n\t\r\0\u202e\u2028,;:.?1aé漢🌊\ud800"), max_size=400)
prompts = st.one_of(st.text(max_size=400), hostile, st.lists(hostile, max_size=30).map("\n".join))
histories = st.lists(
    st.builds(Said, st.sampled_from(["system", "user", "assistant", "tool"]), prompts), min_size=0, max_size=4
)


class TestEveryPrompt:
    @given(histories)
    def test_the_same_messages_give_the_same_answer(self, messages: list[Said]) -> None:
        assert demo.compose(messages) == demo.compose([Said(m.role, m.text) for m in messages])

    @given(st.one_of(prompts, histories.map(lambda messages: demo.compose(messages).text)))
    def test_the_pieces_are_the_text_at_a_human_pace(self, text: str) -> None:
        pieces = list(demo.pieces(text))
        assert "".join(piece for _, piece in pieces) == text
        assert all(1 / 40 <= delay <= 1 / 25 and piece for delay, piece in pieces)

    @given(histories)
    def test_fences_are_balanced_and_the_label_stands_outside_them(self, messages: list[Said]) -> None:
        text = demo.compose(messages).text
        assert fences_are_balanced(text)
        assert text.endswith("no AI, only your own words, streamed.*")

    @given(histories)
    def test_the_answer_is_bounded_and_can_be_sent(self, messages: list[Said]) -> None:
        answer = demo.compose(messages)
        assert len(answer.text) < MOST_CHARACTERS
        assert len(answer.reasoning) < 400
        (answer.text + answer.reasoning).encode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", answer.text)

    @given(prompts.filter(lambda prompt: visible(prompt).strip() and len(prompt) <= EXCERPT_CHARACTERS))
    def test_the_prompt_is_quoted(self, prompt: str) -> None:
        assert quote(visible(prompt)) in reply(prompt)

    @given(st.text(st.characters(codec="utf-8", categories=["L"]), min_size=1, max_size=200))
    def test_plain_words_are_quoted_as_they_are(self, word: str) -> None:
        assert f"> {word}\n" in reply(word)

    @given(st.text("`~ab\n ", max_size=200))
    def test_no_text_closes_its_own_fence(self, text: str) -> None:
        assert fences_are_balanced(fence(text) + "\n\n" + fence(text))

    @pytest.mark.parametrize(
        "prompt",
        [
            "x" * 1_000_000,
            "word " * 200_000,
            "\n" * 1_000_000,
            "`" * 1_000_000,
            "a\n" + " \n" * 400_000 + "b",
            "1,2\n" * 200_000,
            "- x\n" * 200_000,
            "write 999999 words about " + "ab " * 300_000,
        ],
        ids=lambda prompt: prompt[:6],
    )
    def test_a_megabyte_stays_bounded(self, prompt: str) -> None:
        text = reply(prompt, Said("user", prompt))
        assert len(text) < MOST_CHARACTERS
        assert fences_are_balanced(text)


class TestShapes:
    def test_a_greeting_gets_a_short_answer(self) -> None:
        assert len(reply("hello")) < 300

    def test_nothing_gets_an_answer_too(self) -> None:
        assert "The message was empty" in reply(" \n ")
        assert demo.compose([]).text

    def test_a_question_is_turned_over(self) -> None:
        text = reply("Why is the sea salty?")
        assert "> Why is the sea salty?" in text
        assert "| 2 | sea | 3 |" in text

    def test_a_list_comes_back_numbered_and_sorted(self) -> None:
        text = reply("Pack: tent, rope, lamp and map")
        assert "1. `tent`\n2. `rope`\n3. `lamp`\n4. `map`" in text
        assert "- `lamp`\n- `map`\n- `rope`\n- `tent`" in text
        assert "1. `one`\n2. `two`" in reply("- one\n- two\n- three")

    def test_csv_becomes_a_table_and_is_added_up(self) -> None:
        text = reply("name,qty\nbolt,3\nnut,10.5")
        assert "| name | qty |\n| --- | --- |\n| bolt | 3 |\n| nut | 10.5 |" in text
        assert "`qty` adds up to **13.5**" in text

    def test_the_program_prints_what_the_answer_says(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = reply('write "code" that counts\nwords')
        (program,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
        exec(program, {})
        assert f"It prints:\n\n```text\n{capsys.readouterr().out.rstrip()}\n```" in text

    @pytest.mark.parametrize("wanted", [200, 1_000, 3_000])
    def test_a_long_answer_is_as_long_as_asked(self, wanted: int) -> None:
        assert wanted <= len(reply(f"write {wanted} words about rivers").split()) < wanted + 150

    def test_earlier_turns_show(self) -> None:
        text = reply("and now?", Said("system", "Be brief"), Said("user", "My boat is red"), Said("assistant", "Noted"))
        assert "2 messages came before this one. The first was:\n\n> My boat is red" in text
        assert "My instructions were:\n\n> Be brief" in text
        assert "Before this" not in reply("and now?")

    def test_what_cannot_be_seen_is_made_visible(self) -> None:
        assert "a␀b␛[31m" in reply("a\0b\x1b[31m")
        assert "\u202e" not in reply("gnp.\u202eexe")


@pytest.mark.usefixtures("hurried")
class TestEvents:
    def test_thinking_then_words_then_usage(self, hurried: list[float]) -> None:
        heard = hear(Asked([Said("user", "Why is the sea salty?")]))
        composed = demo.compose([Said("user", "Why is the sea salty?")])
        assert [kind.__name__ for kind in dict.fromkeys(map(type, heard.events))] == ["Reasoning", "Token", "Usage"]
        assert heard.text(Reasoning) == composed.reasoning
        assert heard.text() == composed.text
        assert len(hurried) == len(heard.events)
        usage = heard.one(Usage)
        assert usage.output_tokens == len(heard.events) - 1
        assert (usage.input_tokens, usage.source) == (5, "final")

    def test_max_tokens_ends_it_as_length(self) -> None:
        whole = hear(Asked([Said("user", "hi")])).text()
        heard = hear(Asked([Said("user", "hi")], max_tokens=5))
        assert whole.startswith(heard.text())
        assert heard.one(Finish) == Finish("length")
        assert heard.one(Usage).output_tokens == 5
        assert not heard.text(Reasoning)

    def test_enough_max_tokens_changes_nothing(self) -> None:
        assert hear(Asked([Said("user", "hi")], max_tokens=5_000)) == hear(Asked([Said("user", "hi")]))

    def test_a_tool_is_called_by_its_name(self) -> None:
        schema = {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "alerts": {"type": "boolean"},
            },
        }
        prompt = 'Use get_weather for "Nouméa", 3 days, in Fahrenheit'
        heard = hear(Asked([Said("user", prompt)], tools=[Tool("get", {}), Tool("get_weather", schema)]))
        calls = [event for event in heard.events if isinstance(event, ToolCall)]
        assert (calls[0].name, calls[0].id is not None) == ("get_weather", True)
        assert json.loads("".join(call.arguments for call in calls)) == {
            "city": "Nouméa",
            "days": 3,
            "unit": "fahrenheit",
            "alerts": True,
        }
        assert heard.one(Finish) == Finish("tool_calls")
        assert not heard.text()

    def test_a_tool_not_named_is_left_alone_and_a_result_is_answered(self) -> None:
        tools = [Tool("get_weather", None)]
        assert "> hi" in hear(Asked([Said("user", "hi")], tools=tools)).text()
        told = [Said("user", "get_weather now"), Said("assistant", ""), Said("tool", "sunny")]
        assert "The tool answered:\n\n> sunny" in hear(Asked(told, tools=tools)).text()

    @given(prompts, st.dictionaries(st.text(max_size=9), st.sampled_from(SCHEMAS), max_size=MOST_ARGUMENTS))
    def test_any_prompt_and_schema_give_json(self, prompt: str, properties: dict[str, Any]) -> None:
        tools = [Tool("t", {"type": "object", "properties": properties})]
        heard = hear(Asked([Said("user", f"t {prompt}")], tools=tools))
        arguments = "".join(event.arguments for event in heard.events if isinstance(event, ToolCall))
        assert json.loads(arguments).keys() == properties.keys()


def test_it_takes_real_time() -> None:
    async def first() -> Event:
        return await anext(demo.answer(Asked([Said("user", "hi")])))

    async def listen() -> tuple[float, Event]:
        started = asyncio.get_running_loop().time()
        event = await first()
        return asyncio.get_running_loop().time() - started, event

    waited, event = asyncio.run(listen())
    assert isinstance(event, Reasoning)
    assert waited >= demo.THINKING_PAUSE / 2
