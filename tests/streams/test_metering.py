"""Metering: what the upstream said, or an estimate that says so; several attempts together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects import DIALECTS
from penstock.dialects.base import Message, Request
from penstock.streams.metering import attachments, prompt_bytes, together, used
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


@pytest.mark.parametrize("number", [-1, 10**12 + 1, 10**400, True, 2.5, float("nan"), "many", [1]])
async def test_a_number_that_can_be_none_is_one_that_nobody_said(number: Any) -> None:
    attempt = Scene().answers(ROLE, HELLO, HELLO).attempt
    attempt.probe.usage = Usage(7, number, number, number, "final", number)
    assert used(attempt, DONE, 400) == Usage(7, 3, None, None, "estimated")
    attempt.probe.usage = Usage(number, 9)
    assert used(attempt, DONE, 400) == Usage(None, 9)
    attempt.probe.usage = Usage(number, number)
    assert used(attempt, DONE, 400) == Usage(100, 3, None, None, "estimated")


async def test_an_answer_that_nobody_counted_is_counted_here_and_a_zero_stays() -> None:
    attempt = Scene().answers(ROLE, HELLO, HELLO).attempt
    for told, counted in ((None, 3), (0, 0)):
        attempt.probe.usage = Usage(7, told)
        assert used(attempt, DONE, 400) == Usage(7, counted, source="final" if told == 0 else "estimated")
    lost = Scene().answers(ROLE).attempt
    lost.probe.usage = Usage(7, None)
    assert used(lost, CUT, 400) == Usage(7, None), "there was no answer to count"


def test_what_of_a_request_is_no_text() -> None:
    parts = [{"type": kind} for kind in ("text", "image_url", "file", "input_audio", "refusal", ["image_url"], None)]
    messages = [Message("user", parts), Message("user", "text"), Message("assistant", None), Message("user", [{}])]
    assert attachments(Request(dialect="native", model="m", messages=messages)) == 3


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
