"""The history checker itself: good histories pass, and no broken one does."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.client import Block
from tests.support.history import History, Reading, Told, judge
from tests.support.said import only_text

words = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=12)


def native(pieces: list[str], last: str = "done", epoch: str = "abc") -> list[Block]:
    """What a reader of the log's own dialect gets."""
    blocks = [Block(f"{epoch}:1", "start", '{"stream":"s","model":"m"}')]
    for number, piece in enumerate(pieces, 2):
        blocks.append(Block(f"{epoch}:{number}", "token", json.dumps({"text": piece})))
    end = len(pieces) + 2
    blocks.append(Block(f"{epoch}:{end}.1", "usage", "{}"))
    outcome = {"outcome": {"done": "completed", "cancelled": "cancelled", "error": "stalled"}[last]}
    told = {"code": "stalled", **outcome} if last == "error" else outcome
    blocks.append(Block(f"{epoch}:{end}.2", "error" if last == "error" else "done", json.dumps(told)))
    return blocks


def chat(pieces: list[str], last: str = "done", epoch: str = "abc") -> list[Block]:
    """The same in a dialect that has nothing to say of the first entry but to open, and no usage."""
    choice = {"index": 0, "finish_reason": None}
    blocks = [
        Block(f"{epoch}:{number}", "", json.dumps({"choices": [{**choice, "delta": {"content": piece}}]}))
        for number, piece in enumerate(pieces, 2)
    ]
    errors = {"cancelled": {"error": {"code": "cancelled"}}, "error": {"error": {"code": "stalled"}}}
    blocks.append(Block(f"{epoch}:{len(pieces) + 2}", "", "[DONE]" if last == "done" else json.dumps(errors[last])))
    return blocks


class Case(NamedTuple):
    pieces: list[str]
    last: str
    seen: int
    """How many blocks a reader that left early has."""

    def history(self, *, cancelled: bool = False) -> History:
        whole_native, whole_chat = native(self.pieces, self.last), chat(self.pieces, self.last)
        readings = [
            Reading("native", whole_native),
            Reading("native", list(whole_native)),
            Reading("native", whole_native[: self.seen], whole=False),
            Reading("openai-chat", whole_chat),
            Reading("openai-chat", list(whole_chat)),
        ]
        truth = Told(only_text("".join(self.pieces)), whole=self.last == "done", exact=self.last != "cancelled")
        return History("native", readings, truth, cancelled=cancelled or self.last == "cancelled")


cases = st.builds(Case, words, st.sampled_from(["done", "error", "cancelled"]), st.integers(0, 14))


def with_blocks(history: History, reader: int, blocks: list[Block]) -> History:
    readings = list(history.readings)
    readings[reader] = readings[reader]._replace(blocks=blocks)
    return history._replace(readings=readings)


@given(cases)
def test_a_good_history_passes(case: Case) -> None:
    assert judge(case.history()) == []


@given(cases, st.sampled_from([0, 1, 3, 4]), st.data())
def test_a_mutated_history_is_always_found_out(case: Case, reader: int, data: st.DataObject) -> None:
    """One whole reading in which one block is lost, doubled, moved, changed or invented."""
    history = case.history()
    blocks = list(history.readings[reader].blocks)
    at = data.draw(st.integers(0, len(blocks) - 1))
    match data.draw(
        st.sampled_from(["lose", "double", "repeat later", "move", "renumber", "text", "end early", "epoch"])
    ):
        case "lose":
            del blocks[at]
        case "double":
            blocks.insert(at, blocks[at])
        case "repeat later":
            blocks.append(blocks[at])
        case "move":
            to = data.draw(st.integers(0, len(blocks) - 1).filter(lambda to: to != at))
            blocks.insert(to, blocks.pop(at))
        case "renumber":
            other = data.draw(st.integers(1, 40))
            block = Block(f"abc:{other}", blocks[at].event, blocks[at].data)
            if block == blocks[at]:
                return
            blocks[at] = block
        case "text":
            extra = native(["other"])[1] if history.readings[reader].dialect == "native" else chat(["other"])[0]
            blocks[at] = Block(blocks[at].id, extra.event, extra.data)
            if blocks[at] == history.readings[reader].blocks[at]:
                return
        case "end early":
            blocks.insert(at, Block(blocks[at].id, blocks[-1].event, blocks[-1].data))
        case "epoch":
            blocks[at] = Block("fff:" + blocks[at].id.split(":")[1], blocks[at].event, blocks[at].data)
    assert judge(with_blocks(history, reader, blocks)) != []


@given(words, st.booleans())
def test_a_cut_answer_that_looks_complete_is_found_out(pieces: list[str], exact: bool) -> None:
    """Every reader agrees, every id is right: only the truth tells."""
    history = Case(pieces, "done", 0).history()
    found = judge(history._replace(truth=Told(only_text("".join(pieces)), whole=False, exact=exact)))
    assert any("false end" in what for what in found)


@given(words, words)
def test_text_that_all_readers_miss_is_found_out(pieces: list[str], more: list[str]) -> None:
    for last in ("done", "error"):
        history = Case(pieces, last, 0).history()
        truth = history.truth._replace(said=only_text("".join(pieces + more)))
        assert any("text is missing" in what for what in judge(history._replace(truth=truth)))


@given(words, st.sampled_from(["error", "cancelled"]))
def test_a_whole_answer_that_is_told_as_failed_or_cancelled_is_found_out(pieces: list[str], last: str) -> None:
    history = Case(pieces, last, 0).history()
    assert judge(history._replace(truth=Told(only_text("".join(pieces)), whole=True), cancelled=False)) != []


@pytest.mark.parametrize(
    ("last", "good"),
    [
        (["finish", "[DONE]"], True),
        (["finish"], False),
        (["[DONE]"], False),
        (["finish", "[DONE]", "[DONE]"], False),
        (["[DONE]", "finish"], False),
        (["finish", "finish-step", "[DONE]"], False),
        (["finish-step", "finish", "[DONE]"], True),
    ],
)
def test_an_end_with_a_marker_after_it_is_both(last: list[str], good: bool) -> None:
    parts = [json.dumps({"type": "text-delta", "delta": "a"})]
    parts += [what if what == "[DONE]" else json.dumps({"type": what}) for what in last]
    reading = Reading("ui-messages", [Block(f"abc:2.{number}", "", part) for number, part in enumerate(parts, 1)])
    assert (judge(History("native", [reading], Told(only_text("a"), whole=True))) == []) is good


@pytest.mark.parametrize("reader", range(5))
def test_a_reading_in_which_nobody_ends_is_no_whole_one(reader: int) -> None:
    history = Case(["a", "b"], "done", 3).history()
    blocks = history.readings[reader].blocks[:2]
    found = judge(with_blocks(history, reader, list(blocks)))
    assert bool(found) is history.readings[reader].whole
