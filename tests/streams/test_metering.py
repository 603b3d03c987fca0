"""Metering: what the upstream said, or an estimate that says so; several attempts together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects import DIALECTS
from penstock.streams.metering import prompt_bytes, together, used
from penstock.wire.events import Done, Error, Usage
from tests.streams.scene import HELLO, ROLE, USED, Scene

pytestmark = pytest.mark.anyio
DONE, CUT = Done("completed"), Error("upstream_truncated", "cut", True, "upstream_truncated")
UNKNOWN = Usage(source="unknown")
counts = st.none() | st.integers(0, 1000)
usages = st.builds(Usage, counts, counts, counts, counts, st.sampled_from(["final", "estimated"]))


async def test_what_the_upstream_says_counts() -> None:
    scene = Scene().answers(ROLE, HELLO, USED)
    assert used(scene.attempt, DONE, 400) == Usage(7, 0)


async def test_without_its_word_it_is_an_estimate_and_says_so() -> None:
    scene = Scene().answers(ROLE, HELLO, HELLO)
    assert used(scene.attempt, DONE, 400) == Usage(100, 3, None, None, "estimated")


async def test_of_an_attempt_that_never_answered_nothing_is_known() -> None:
    assert used(None, DONE, 400) == UNKNOWN
    assert used(Scene().attempt, CUT, 400) == UNKNOWN
    assert used(Scene().answers(ROLE).attempt, CUT, 400) == UNKNOWN


def test_a_prompt_is_what_a_model_reads_of_a_request() -> None:
    def size(**fields: Any) -> int:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
        return prompt_bytes(DIALECTS["openai-chat"].parse_request(msgspec.json.encode(body)))

    assert size() == 2
    assert size(temperature=0.5, stream=True, metadata={"much": "x" * 1000}) == 2
    assert size(messages=[{"role": "user", "content": "日"}]) == 3
    assert size(messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]) == 2
    assert size(tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]) > 20


def test_several_attempts_are_added_up() -> None:
    parts = [Usage(5, 7, 1, None), UNKNOWN, Usage(5, 2, None, None, "estimated")]
    assert together(parts) == Usage(10, 9, 1, None, "estimated")
    assert together([UNKNOWN, UNKNOWN]) == UNKNOWN
    assert together([]) == UNKNOWN


@given(usages)
def test_one_alone_is_as_it_was(usage: Usage) -> None:
    assert together([usage, UNKNOWN]) == usage


@given(st.lists(usages, min_size=1))
def test_nothing_that_was_said_is_lost(parts: list[Usage]) -> None:
    whole = together(parts)
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"):
        said = [getattr(part, name) for part in parts if getattr(part, name) is not None]
        assert getattr(whole, name) == (sum(said) if said else None)
    assert (whole.source == "final") == all(part.source == "final" for part in parts)
    assert whole.cache_write_tokens is msgspec.UNSET
