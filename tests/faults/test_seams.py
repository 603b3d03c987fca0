"""The judge of seams itself: good ones pass, and no doctored one does."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.sim.truth import Answered, Asked
from penstock.wire.events import Done, Reasoning, Token
from penstock.wire.events import Segment as Seam
from tests.support.client import Block
from tests.support.dialects import READ
from tests.support.history import History, Reading, Told, judge
from tests.support.renderings import rendered
from tests.support.said import Part, only_text
from tests.support.seams import Segment, beginning_of, sewn, shown_of

DONE = Done("completed")


def asked(beginning: str | None) -> Answered:
    """A request that goes on after `beginning`."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    if beginning is not None:
        turns.append({"role": "assistant", "content": beginning})
    return Answered(Asked(1, 0.0, 1, "POST", "/", {}, {"messages": turns}, {}), None)


def segment(said: str, beginning: str | None = None, *, whole: bool = False, exact: bool = True) -> Segment:
    return Segment("a", Told(only_text(said), whole=whole, exact=exact), asked(beginning))


def native(*pieces: str | int) -> list[Block]:
    """What a native reader is told: words, and numbers of segments."""
    return rendered("native", [Token(piece) if isinstance(piece, str) else Seam(piece) for piece in pieces], DONE)


@pytest.mark.parametrize(
    ("before", "said", "shown"),
    [
        ("one", " two", " two"),
        ("one ", " two", "two"),
        ("one ", "two", "two"),
        ("one \n", " two", "two"),
        ("one \n", "\n two", "\n two"),
        ("one ", "  two", " two"),
        ("one\u2028", "\u2028", ""),
        ("", " one", " one"),
    ],
)
def test_white_space_at_the_seam_is_shown_once(before: str, said: str, shown: str) -> None:
    assert shown_of(before, said) == shown


def test_what_two_upstreams_said_is_one_answer() -> None:
    segments = [segment("one two "), segment(" three", "one two", whole=True)]
    truth, found = sewn(segments, native("one", " two ", 2, "three"))
    assert (truth.text, truth.whole, truth.exact, found) == ("one two three", True, True, [])


def test_a_reset_shows_where_it_came() -> None:
    """What was said of the first segment was not all heard: the second one was asked to go on after what was."""
    segments = [segment("one two three ", exact=False), segment("and four", "one two", whole=True)]
    truth, found = sewn(segments, native("one", " two ", 2, "and four"))
    assert (truth.text, found) == ("one two and four", [])
    truth, found = sewn(segments, native("one", " two", 2, "and four"))
    assert (truth.text, found) == ("one twoand four", []), "the reader knows how much white space was shown"


def test_a_thought_that_was_broken_off_is_known_from_its_reader() -> None:
    thinks = Segment("b", Told([Part("reasoning", "so it is")], whole=False, exact=False), asked("one"))
    segments = [segment("one"), thinks, segment(" two", "one", whole=True)]
    for shown, good in (("so it", True), ("so be it", False)):
        blocks = rendered("native", [Token("one"), Seam(2), Reasoning(shown), Seam(3), Token(" two")], DONE)
        truth, found = sewn(segments, blocks)
        assert (found + judge(History("none", [Reading("native", blocks)], truth)) == []) is good


@pytest.mark.parametrize(
    ("segments", "blocks"),
    [
        ([segment("one two "), segment("three", "one")], native("one", " two ", 2, "three")),
        ([segment("one two "), segment("three", "one two ")], native("one", " two ", 2, "three")),
        ([segment("one two "), segment("three", None)], native("one", " two ", 2, "three")),
        ([segment("one two "), segment("three", "one two")], native("one", 2, "three")),
        ([segment("one two "), segment("three", "one two")], native("one", " two ", "three")),
        ([segment("one two "), segment("three", "one two")], native("one", " two ", 3, "three")),
        ([segment("one two "), segment("three", "one two")], native("one", " two ", 2, 3, "three")),
        ([segment("one two ", exact=False), segment("three", "one too")], native("one too ", 2, "three")),
        ([segment("one two ", exact=False), segment("three", "one")], native("one", " two ", 2, "three")),
        ([segment("one")], native("one", 2)),
    ],
    ids=[
        "asked to go on after less than was said",
        "asked with white space at the end",
        "asked without what was said",
        "shown less than was said",
        "no word of the seam",
        "another number",
        "a seam too many",
        "asked to go on after other words",
        "shown more than the next was asked with",
        "a seam where nobody went on",
    ],
)
def test_a_doctored_seam_is_found_out(segments: list[Segment], blocks: list[Block]) -> None:
    assert sewn(segments, blocks)[1] != []


def test_going_on_after_a_call_is_found_out() -> None:
    first = Told([*only_text("one"), Part("call", "{", "c1", "add")], whole=False)
    assert sewn([Segment("a", first, asked(None)), segment(" two", "one")], native("one", 2, " two"))[1] != []


@pytest.mark.parametrize("dialect", READ)
@pytest.mark.parametrize("shown", ["one two  three", "one two ", "one two", "two three", "one two onetwo three"])
def test_readers_who_see_the_seam_are_found_out(dialect: str, shown: str) -> None:
    truth, _ = sewn([segment("one two "), segment(" three", "one two", whole=True)], native("one two ", 2, "three"))
    good = rendered(dialect, [Token("one two "), Seam(2), Token("three")], DONE)
    bad = rendered(dialect, [Token(shown)], DONE)
    assert judge(History("none", [Reading(dialect, good)], truth)) == []
    assert judge(History("none", [Reading(dialect, bad)], truth)) != []


def test_the_beginning_of_an_answer_is_found_in_every_upstreams_request() -> None:
    rows = [
        {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "one"}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "o"}, {"text": "ne"}]}]},
        {"input": [{"role": "assistant", "content": "one"}]},
    ]
    for body in rows:
        assert beginning_of(Answered(Asked(1, 0.0, 1, "POST", "/", {}, body, {}), None)) == "one"
    for body in ({"input": "one"}, {"contents": [{"role": "user", "parts": [{"text": "one"}]}]}):
        assert beginning_of(Answered(Asked(1, 0.0, 1, "POST", "/", {}, body, {}), None)) is None
    assert beginning_of(None) is None
