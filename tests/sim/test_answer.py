"""What is said: the exact text, in pieces, and why it ends."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from penstock.sim.answer import Answer, Ask, split_words
from penstock.sim.cue import Cue, ToolCall


def said(cue: Cue, choice: int = 0, seed: int = 0, prompt: str = "hello you", **ask: int) -> list[str]:
    answer = Answer(cue, Ask(model="m", prompt=prompt, **ask), seed)  # type: ignore[arg-type]
    return [piece.text for piece in itertools.islice(answer, 1000) if piece.choice == choice]


@given(st.text(), st.none() | st.integers(1, 5))
def test_splitting_a_text_loses_nothing(text: str, size: int | None) -> None:
    pieces = split_words(text, size)
    assert "".join(pieces) == text
    assert all(pieces)


def test_without_a_cue_the_prompt_is_echoed() -> None:
    assert said(Cue()) == ["You", " said:", " hello", " you"]
    assert "".join(said(Cue(), prompt="")) == "You said nothing."


def test_pieces_are_said_as_they_are() -> None:
    assert said(Cue(pieces=["a", "", "\r\n", "🌊b"])) == ["a", "", "\r\n", "🌊b"]


def test_random_tokens_follow_from_seed_prompt_and_choice() -> None:
    cue = Cue(tokens=20)
    assert said(cue) == said(cue)
    assert len(said(cue)) == 20
    others = [said(cue, seed=1), said(cue, prompt="else"), said(Cue(tokens=20, seed=1)), said(cue, 1, choices=2)]
    assert all(other != said(cue) for other in others)


def test_tokens_have_the_size_asked_for() -> None:
    assert {len(token) for token in said(Cue(tokens=50, token_size=12))} == {12}
    assert {len(token) for token in said(Cue(tokens=50, token_size=1))} == {1}


def test_unicode_tokens_hold_what_breaks_careless_code() -> None:
    text = "".join(said(Cue(tokens=900, unicode=True)))
    assert all(part in text for part in ["🌊", "Straße", '"', "\\", "\n", "\r\n", "\u2028", "data: [DONE]"])
    assert "".join(said(Cue(tokens=900))).isascii()


def test_choices_take_turns() -> None:
    answer = Answer(Cue(text="a b"), Ask(model="m", prompt="", choices=2))
    assert [(piece.choice, piece.text) for piece in answer] == [(0, "a"), (1, "a"), (0, " b"), (1, " b")]


def test_reasoning_then_refusal_then_tools() -> None:
    cue = Cue(reasoning="let me", refusal="no", tool_calls=[ToolCall(name="f", arguments={"city": "Zürich"})])
    pieces = list(Answer(cue, Ask(model="m", prompt="")))
    assert [piece.kind for piece in pieces] == [
        "reasoning",
        "reasoning",
        "refusal",
        "tool_call",
        "tool_call",
        "tool_call",
    ]
    assert "".join(piece.text for piece in pieces[3:]) == '{"city": "Zürich"}'
    assert [piece.name for piece in pieces[3:]] == ["f", "", ""]


def test_the_reason_of_the_end_is_true() -> None:
    short = Answer(Cue(text="a b c"), Ask(model="m", prompt="", limit=2))
    assert [piece.text for piece in short] == ["a", " b"]
    assert short.finish_reason(0) == "length"
    exact = Answer(Cue(text="a b c"), Ask(model="m", prompt="", limit=3))
    assert len(list(exact)) == 3
    assert exact.finish_reason(0) == "stop"
    tools = Answer(Cue(tool_calls=[ToolCall(name="f")]), Ask(model="m", prompt=""))
    assert list(tools)
    assert tools.finish_reason(0) == "tool_calls"
    assert Answer(Cue(finish_reason="content_filter"), Ask(model="m", prompt="")).finish_reason(0) == "content_filter"


def test_endless_does_not_end() -> None:
    assert len(said(Cue(endless=True))) == 1000
    assert all(token.strip().isdigit() for token in said(Cue(endless=True, stamp=True)))
