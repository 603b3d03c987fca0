"""Prefill: what was said so far becomes the request's last message, in every dialect that may carry it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.prefill import prefilled

HI = [{"role": "user", "content": "count"}]
SAID = {"role": "assistant", "content": "one two"}
ASKED: dict[str, dict[str, Any]] = {
    "openai-chat": {"model": "m", "messages": HI},
    "native": {"model": "m", "messages": HI},
    "anthropic": {"model": "m", "max_tokens": 9, "messages": HI},
    "openai-responses": {"model": "m", "input": "count"},
    "ui-messages": {
        "model": "m",
        "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "count"}]}],
    },
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("told", ["openai-chat", "anthropic", "gemini", "openai-responses"])
def test_every_upstream_is_told_what_was_said(asked: str, told: str) -> None:
    request = prefilled(DIALECTS[asked].parse_request(msgspec.json.encode(ASKED[asked])), "one two")
    assert request is not None
    body = msgspec.json.decode(DIALECTS[told].encode_request(request, "m").body)
    turns = body.get("messages") or body.get("contents") or body.get("input")
    assert [turn["role"] for turn in turns] == ["user", "model" if told == "gemini" else "assistant"]
    assert "count" in str(turns[0])
    assert "one two" in str(turns[1])


def test_the_same_dialect_keeps_every_field() -> None:
    body = {**ASKED["openai-chat"], "seed": 7, "unheard_of": {"a": 1}}
    request = prefilled(DIALECTS["openai-chat"].parse_request(msgspec.json.encode(body)), "one two")
    assert request is not None
    told = msgspec.json.decode(DIALECTS["openai-chat"].encode_request(request, "m").body)
    assert told["messages"] == [*HI, SAID]
    assert (told["seed"], told["unheard_of"]) == (7, {"a": 1})


def test_a_list_of_items_gets_one_more() -> None:
    body = {"model": "m", "input": HI}
    request = prefilled(DIALECTS["openai-responses"].parse_request(msgspec.json.encode(body)), "one two")
    assert request is not None
    assert request.fields["input"] == [*HI, SAID]


def test_who_speaks_something_else_is_not_continued() -> None:
    request = DIALECTS["openai-chat"].parse_request(msgspec.json.encode(ASKED["openai-chat"]))
    assert prefilled(msgspec.structs.replace(request, dialect="gemini"), "one") is None


@pytest.mark.parametrize(
    ("dialect", "limit"),
    [
        ("openai-chat", "max_tokens"),
        ("openai-chat", "max_completion_tokens"),
        ("anthropic", "max_tokens"),
        ("openai-responses", "max_output_tokens"),
    ],
)
def test_what_was_said_counts_towards_the_limit(dialect: str, limit: str) -> None:
    body = {**ASKED[dialect], limit: 9}
    request = DIALECTS[dialect].parse_request(msgspec.json.encode(body))
    for said, left in ((4, 5), (9, 1), (50, 1)):
        more = prefilled(request, "one", said)
        assert more is not None
        assert (more.max_tokens, more.fields[limit]) == (left, left)


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic", "native"])
def test_who_has_begun_the_answer_already_is_not_given_a_second_beginning(dialect: str) -> None:
    body = {**ASKED[dialect], "messages": [*HI, {"role": "assistant", "content": "Sure:"}]}
    assert prefilled(DIALECTS[dialect].parse_request(msgspec.json.encode(body)), "one") is None
