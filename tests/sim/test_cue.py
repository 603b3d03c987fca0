"""Cues: how they are found in a message, and what is refused."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.sim import cue as module
from penstock.sim.cue import Cue, CueError, inline, parse

texts = st.text(st.characters(exclude_categories=["Cs"]))
cues = st.fixed_dictionaries(
    {}, optional={"text": texts, "tokens": st.integers(0, 1000), "stamp": st.booleans(), "pieces": st.lists(texts)}
)


def test_every_key_is_in_the_table_and_every_row_is_a_key() -> None:
    rows = set(re.findall(r"^\| `(\w+)` +\|", module.__doc__ or "", re.MULTILINE))
    assert rows == set(Cue.__struct_fields__)


@given(before=texts, keys=cues, after=texts)
def test_a_cue_is_found_wherever_it_stands_in_a_message(before: str, keys: dict[str, object], after: str) -> None:
    if "sim:{" in before or "sim:{" in after:
        return
    assert inline(f"{before} sim:{json.dumps(keys)}{after}") == [parse(keys)]


@given(first=cues, second=cues)
def test_braces_quotes_and_other_cues_inside_strings_do_not_end_a_cue(
    first: dict[str, object], second: dict[str, object]
) -> None:
    nested = first | {"text": 'a } b " c \\ sim:{"tokens": 1} {'}
    message = f"sim:{json.dumps(nested)} and then sim:{json.dumps(second, ensure_ascii=False)}"
    assert inline(message) == [parse(nested), parse(second)]


@given(texts)
def test_any_message_gives_cues_or_a_cue_error(message: str) -> None:
    with contextlib.suppress(CueError):
        assert isinstance(inline("sim:{" + message), list)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"colour": 1}, "colour"),
        ({"tokens": "five"}, "$.tokens"),
        ({"tokens": -1}, "$.tokens"),
        ({"tokens": True}, "$.tokens"),
        ({"pace": -0.5}, "$.pace"),
        ({"cut": "gently"}, "$.cut"),
        ({"split": 0}, "$.split"),
        ({"tool_calls": [{"name": "f", "argument": {}}]}, "argument"),
        ({"endless": True, "content_length": True}, "content_length"),
        ({"split": 3, "drip": 10}, "drip"),
        ([1], "object"),
    ],
)
def test_what_is_not_a_cue_is_refused_by_name(keys: object, said: str) -> None:
    with pytest.raises(CueError, match=re.escape(said)):
        parse(keys)


@pytest.mark.parametrize("message", ["sim:{", 'sim:{"tokens": }', 'sim:{"pace": NaN}', 'sim:{"pace": Infinity}'])
def test_what_is_not_json_is_refused(message: str) -> None:
    with pytest.raises(CueError, match="not JSON"):
        inline(message)


def test_without_the_mark_there_is_no_cue() -> None:
    assert inline("sim {} sim: {} SIM:{}") == []
