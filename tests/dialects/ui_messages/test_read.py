"""Reading a `ui-messages` upstream's blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.dialects.base import Kind
from penstock.dialects.ui_messages import UIMessages
from penstock.exceptions import ProtocolError
from penstock.wire.events import Error, Event, Finish, Reasoning, Start, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START

ui = UIMessages()
DONE = b"data: [DONE]\n\n"


def part(type: str, **fields: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"type": type, **fields}).encode()


def data(value: bytes) -> bytes:
    return b"data: %b\n\n" % value


def events(*blocks: bytes) -> list[Event]:
    decoder = ui.decoder(ABOUT)
    told = [event for block in blocks for event in decoder.decode(block)]
    assert told[0] == START
    return told[1:]


BROKEN = [
    data(b"{"), data(b""), data(b"7"), data(b"null"), data(b"[]"), data(b"{}"), data(b'{"type":null}'),
    data(b'{"type":""}'), data(b'{"type":"text-delta","delta":"\xff"}'), data(b'{"a":' + b"[" * 50_000),
    data(b"[DONE"), part("text-delta", delta=7), part("tool-input-delta", toolCallId=["a"]), part("finish", finishReason=1),
    part("error", errorText={"a": 1}), part("tool-input-available", toolCallId="a", providerExecuted="yes"),
]  # fmt: skip


class TestWhatHasNoWordsElsewhere:
    FILE = part("file", url="data:image/png;base64,AA==", mediaType="image/png")
    THEIRS = part("tool-input-available", toolCallId="a", toolName="search", input={}, providerExecuted=True)

    @pytest.mark.parametrize("before", [[], [part("text-delta", id="t", delta="look")]])
    def test_a_picture(self, before: list[bytes]) -> None:
        last = events(*before, self.FILE, part("finish", finishReason="stop"))[-1]
        assert isinstance(last, Error)
        assert last.code == "unsupported_translation"
        assert last.message.endswith(": file (image/png)")

    def test_work_of_the_provider_where_it_is_all(self) -> None:
        finish = part("finish", finishReason="stop")
        last = events(self.THEIRS, finish)[-1]
        assert isinstance(last, Error)
        assert last.message.endswith(": tool-search")
        assert events(self.THEIRS, part("text-delta", id="t", delta="x"), finish)[-1] == Finish("completed")


class TestProbe:
    @pytest.mark.parametrize(
        ("block", "started"),
        [
            (part("text-delta", id="0", delta="a"), True),
            (part("reasoning-delta", id="0", delta="a"), True),
            (part("tool-input-start", toolCallId="a", toolName="f"), True),
            (part("tool-input-available", toolCallId="a", toolName="f", input={}), True),
            (part("file", url="data:,", mediaType="image/png"), True),
            (part("text-delta", id="0", delta=""), False),
            (part("text-start", id="0"), False),
            (part("start", messageId="a"), False),
            (part("data-x", data=1), False),
            (part("message-metadata", messageMetadata={}), False),
        ],
    )
    def test_the_first_token(self, block: bytes, started: bool) -> None:
        probe = ui.probe()
        assert probe(block) is Kind.DATA
        assert probe.started is started
        assert not probe.complete

    def test_finish_is_the_end(self) -> None:
        probe = ui.probe()
        metadata = {"usage": {"input_tokens": 3, "output_tokens": 0}, "mine": [1]}
        assert probe(part("finish", finishReason="length", messageMetadata=metadata)) is Kind.LAST
        assert (probe.outcome, probe.usage, probe.held) == ("length", Usage(3, 0), None)

    def test_so_is_the_marker_without_it(self) -> None:
        probe = ui.probe()
        assert probe(DONE) is Kind.LAST
        assert (probe.outcome, probe.usage, probe.held) == ("completed", None, DONE)

    @pytest.mark.parametrize(
        ("blocks", "outcome"),
        [
            ([part("tool-input-available", toolCallId="a", input={})], "tool_calls"),
            ([part("tool-input-available", toolCallId="a", input={}, providerExecuted=True),
              part("text-delta", id="t", delta="x")], "completed"),
            ([part("tool-input-available", toolCallId="a", input={}), part("tool-output-available", toolCallId="a")],
             "completed"),
            ([part("tool-input-available", toolCallId="a", input={}), part("tool-output-error", toolCallId="b")],
             "tool_calls"),
            ([part("tool-input-start", toolCallId="a", toolName="f")], "completed"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("end", [DONE, part("finish"), part("finish", messageMetadata={"outcome": None})])
    def test_without_a_reason_the_open_calls_are_it(self, blocks: list[bytes], outcome: str, end: bytes) -> None:
        probe = ui.probe()
        for block in [*blocks, end]:
            kind = probe(block)
        assert (kind, probe.outcome) == (Kind.LAST, outcome)
        finish = events(*blocks, end)[-1]
        assert isinstance(finish, Finish)
        assert finish.reason == outcome

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            (part("error", errorText=" overloaded "), "overloaded"),
            (part("error"), "the upstream reported an error"),
            (part("abort"), "the upstream aborted the answer: it did not say why"),
            (part("abort", reason="tired"), "the upstream aborted the answer: tired"),
            (part("finish", finishReason="error"), "the upstream ended the answer with an error"),
        ],
    )
    def test_failures(self, block: bytes, message: str) -> None:
        probe = ui.probe()
        assert probe(block) is Kind.FAILED
        assert probe.failure is not None
        assert (probe.failure.message, probe.failure.outcome) == (message, "upstream_error")

    @pytest.mark.parametrize("block", BROKEN, ids=lambda block: repr(block[6:40]))
    def test_what_is_no_part_breaks_the_rules(self, block: bytes) -> None:
        with pytest.raises(ProtocolError, match="no part of a UI message stream"):
            ui.probe()(block)
        with pytest.raises(ProtocolError):
            ui.decoder(ABOUT).decode(block)

    @pytest.mark.parametrize(
        "metadata",
        [
            None,
            7,
            "x",
            [1],
            {"usage": 7},
            {"usage": {}},
            {"usage": {"inputTokens": 5}},
            {"usage": {"input_tokens": "5"}},
        ],
    )
    def test_usage_of_others_is_none(self, metadata: Any) -> None:
        probe = ui.probe()
        assert probe(part("finish", finishReason="stop", messageMetadata=metadata)) is Kind.LAST
        assert (probe.usage, probe.outcome) == (None, "completed")

    def test_any_framing(self) -> None:
        block = b'event: data: x\ndata: {"type":"text-delta",\ndata: "delta":"a"}\n\n'
        probe = ui.probe()
        assert probe(block) is Kind.DATA
        assert probe.started
        assert events(block) == [Token("a")]


class TestDecoder:
    def test_the_first_block_gives_the_start(self) -> None:
        decoder = ui.decoder(ABOUT)
        assert decoder.decode(part("data-x")) == [Start("s1", "m")]
        assert decoder.decode(part("start")) == []

    def test_words(self) -> None:
        told = [part("text-delta", id="1", delta="a"), part("reasoning-delta", id="2", delta="b")]
        assert events(*told, part("text-delta", delta="")) == [Token("a"), Reasoning("b")]

    def test_calls_are_numbered_as_they_begin(self) -> None:
        assert events(
            part("tool-input-start", toolCallId="a", toolName="f"),
            part("tool-input-start", toolCallId="b", toolName="g"),
            part("tool-input-delta", toolCallId="b", inputTextDelta="{"),
            part("tool-input-start", toolCallId="a", toolName="f"),
            part("tool-input-delta", toolCallId="a", inputTextDelta="{}"),
            part("tool-input-delta", toolCallId="b", inputTextDelta="}"),
            part("tool-input-available", toolCallId="a", toolName="f", input={}),
            part("tool-input-available", toolCallId="b", toolName="g", input={}),
        ) == [
            ToolCall(0, "a", "f"),
            ToolCall(1, "b", "g"),
            ToolCall(1, arguments="{"),
            ToolCall(0, arguments="{}"),
            ToolCall(1, arguments="}"),
        ]

    def test_an_input_that_comes_whole(self) -> None:
        told = part("tool-input-available", toolCallId="a", toolName="f", input={"x": [1]})
        assert events(told, told) == [ToolCall(0, "a", "f", '{"x": [1]}')]

    def test_a_delta_whose_start_nobody_saw(self) -> None:
        assert events(part("tool-input-delta", toolCallId="a", inputTextDelta="{}")) == [ToolCall(0, "a", None, "{}")]

    def test_after_the_finish_nothing_counts(self) -> None:
        late = [part("text-delta", delta="no"), part("finish", finishReason="stop"), DONE]
        assert events(part("finish", finishReason="length"), *late) == [Finish("length")]
