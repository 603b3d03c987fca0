"""The judge of gates itself: good answers pass, and no doctored one does."""

from __future__ import annotations

import pytest

from penstock.wire.events import Done, Error, Event, Token, ToolCall
from tests.support.dialects import READ
from tests.support.gates import REFUSED_WORD
from tests.support.history import History, Reading, Told, judge
from tests.support.renderings import rendered
from tests.support.said import only_text
from tests.support.verdicts import Verdict, behind_a_gate, judge_gate

BROKEN = Error("stalled", "silence", True, "stalled")


def checks(*news: str, final: bool = False, refused: bool = False) -> list[Verdict]:
    """One after the other; the last one is `final`, or refuses, or both."""
    made = []
    for number, new in enumerate(news, 1):
        last = number == len(news)
        made.append(Verdict("s", sum(map(len, news[:number])), new, final and last, refused and last))
    return made


def guarded(
    said: str,
    shown: list[Event],
    verdicts: list[Verdict],
    outcome: str = "completed",
    *,
    dialect: str = "native",
    whole: bool = True,
) -> list[str]:
    truth = Told(only_text(said), whole=whole)
    good = outcome in ("completed", "tool_calls")
    last = Done("completed") if good else Error("refused", "no", False, "refused") if outcome == "refused" else BROKEN
    readings = [Reading(dialect, rendered(dialect, shown, last))]
    history = History("none", readings, behind_a_gate(truth, verdicts))
    return [*judge(history), *judge_gate(verdicts, truth, history, outcome)]


BAD = f"one two {REFUSED_WORD} three"


@pytest.mark.parametrize("dialect", READ)
def test_gated_answers_pass(dialect: str) -> None:
    one, rest = Token("one two"), Token(" three")
    assert guarded("one two three", [one, rest], checks("one two", " three", final=True), dialect=dialect) == []
    refusal = checks("one two", f" {REFUSED_WORD} three", final=True, refused=True)
    assert guarded(BAD, [one], refusal, "refused", dialect=dialect) == []
    assert guarded(BAD, [], checks(BAD, final=True, refused=True), "refused", dialect=dialect) == []
    cut = checks("one", " two")
    assert guarded("one two three", [Token("one")], cut, "stalled", dialect=dialect, whole=False) == []


@pytest.mark.parametrize("dialect", READ)
@pytest.mark.parametrize(
    "shown",
    [
        [Token(f"one two {REFUSED_WORD}")],
        [Token("one two "), Token("bri"), Token("dge")],
        [Token("one two ")],
        [Token("one two"), Token(" three")],
        [Token("one two"), ToolCall(0, "c", "bridge", "{}")],
    ],
    ids=["the word", "the word in pieces", "its window", "what followed it", "it in a call"],
)
def test_what_a_gate_refused_is_found_with_any_reader(dialect: str, shown: list[Event]) -> None:
    refusal = checks("one two", f" {REFUSED_WORD}", refused=True)
    assert guarded(BAD, shown, refusal, "refused", dialect=dialect) != []


ONE_TWO: list[Event] = [Token("one two")]


@pytest.mark.parametrize(
    ("said", "shown", "verdicts", "outcome", "why"),
    [
        ("one two", ONE_TWO, [], "completed", "nobody looked"),
        ("one two", ONE_TWO, checks("one two"), "completed", "no last check"),
        ("one two", ONE_TWO, checks("one", final=True), "completed", "a part was not looked at"),
        ("one two", ONE_TWO, [Verdict("s", 7, "two", final=True, refused=False)], "completed", "a gap"),
        ("one two", ONE_TWO, checks("one too", final=True), "completed", "other words"),
        ("one two", [], checks("one two", final=True, refused=True), "refused", "refused without the word"),
        ("one two", [], checks("one two", final=True), "refused", "refused by nobody"),
        ("one two", [], checks("one two", final=True), "stalled", "not shown what passed"),
        ("one two", [Token("one")], checks("one", " two", final=True), "completed", "not shown all that passed"),
        (BAD, ONE_TWO, checks("one two", BAD[7:], final=True, refused=True), "completed", "ends as if it had passed"),
        (BAD, ONE_TWO, checks("one two", BAD[7:], final=True), "completed", "the gate was asleep"),
        (
            BAD,
            [],
            [*checks(BAD[:14], refused=True), Verdict("s", 20, BAD[14:], True, False)],
            "refused",
            "a second try",
        ),
    ],
)
def test_a_doctored_gate_is_found_out(
    said: str, shown: list[Event], verdicts: list[Verdict], outcome: str, why: str
) -> None:
    assert guarded(said, shown, verdicts, outcome) != [], why


def test_what_had_passed_long_ago_must_have_been_shown() -> None:
    """Only what the last check let pass may have come too late."""
    for shown, good in (("one two", True), ("one", False)):
        found = guarded("one two three", [Token(shown)], checks("one", " two", " three"), "stalled", whole=False)
        assert (found == []) is good
