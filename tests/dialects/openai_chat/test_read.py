"""Reading an `openai-chat` upstream's blocks."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import (
    Error,
    Event,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START

chat = OpenAIChat()


def block(chunk: Any) -> bytes:
    return b"data: %b\n\n" % (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())


def delta(**fields: Any) -> bytes:
    return block({"choices": [{"index": 0, "delta": fields}]})


class TestProbe:
    @pytest.mark.parametrize(
        ("read", "kind"),
        [
            (delta(role="assistant"), Kind.DATA),
            (delta(content="x"), Kind.DATA),
            (block({"choices": []}), Kind.DATA),
            (block({"choices": None}), Kind.DATA),
            (block({}), Kind.DATA),
            (block({"choices": [], "usage": None}), Kind.DATA),
            (block({"choices": [{"delta": None}]}), Kind.DATA),
            (block({"choices": [{"delta": {}}], "error": None}), Kind.DATA),
            (block({"choices": [], "usage": {"prompt_tokens": 1}}), Kind.HELD),
            (block({"usage": {"prompt_tokens": 1}}), Kind.HELD),
            (block({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}), Kind.DATA),
            (block({"choices": [], "usage": "many"}), Kind.DATA),
            (b"data: [DONE]\n\n", Kind.END),
            (b"data:  [DONE] \n\n", Kind.END),
            (b"event: done\ndata: [DONE]\n\n", Kind.END),
            (b"data: \ndata: [DONE]\n\n", Kind.END),
            (block({"error": {"message": "no"}}), Kind.FAILED),
            (block({"error": "no"}), Kind.FAILED),
            (block({"error": {}}), Kind.FAILED),
            (block({"error": [1]}), Kind.FAILED),
            (block({"error": {"message": "no"}, "choices": []}), Kind.FAILED),
            (b'event: error\ndata: {"error": {"message": "no"}}\n\n', Kind.FAILED),
            (block({"choices": [{"delta": {}, "finish_reason": "error"}]}), Kind.FAILED),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_kinds(self, read: bytes, kind: Kind) -> None:
        assert chat.probe()(read) is kind

    WRONG = (
        b"data: \n\n",
        b"data: hello\n\n",
        b"data: [done]\n\n",
        b"data: null\n\n",
        b"data: 1\n\n",
        b"data: []\n\n",
        b'data: {"choices": [\n\n',
        b'data: {"choices": []}}\n\n',
        b'data: {"choices": {}}\n\n',
        b'data: {"choices": [1]}\n\n',
        b'data: {"choices": [{"delta": 1}]}\n\n',
        b'data: {"choices": [{"delta": {"content": 1}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": {"text": "x"}}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": NaN}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": {}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": "0"}]}}]}\n\n',
        b'data: {"choices": [{"finish_reason": 0}]}\n\n',
        b'data: {"choices": [], "x": nan}\n\n',
        b'data: {"choices": 7, "x": NaN}\n\n',
        b'data: {"choices": [], "x": ' + b"9" * 5000 + b', "choices": NaN}\n\n',
        b'data: {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"usage": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'event: x\ndata: {"choices": 0}\n\n',
        b'data: {"choices":\ndata: 0}\n\n',
    )

    @pytest.mark.parametrize("read", WRONG, ids=lambda read: repr(read[:50]))
    @pytest.mark.parametrize("started", [False, True], ids=["at first", "later"])
    def test_wrong_shapes(self, read: bytes, started: bool) -> None:
        probe = chat.probe()
        if started:
            probe(delta(content="x"))
        with pytest.raises(ProtocolError) as raised:
            probe(read)
        assert len(str(raised.value)) < 300

    @pytest.mark.parametrize(
        ("read", "started"),
        [
            (delta(role="assistant", content=""), False),
            (delta(role="assistant", content=None, refusal=None, tool_calls=None), False),
            (delta(tool_calls=[]), False),
            (block({"choices": []}), False),
            (block({"choices": [{"delta": {}, "finish_reason": "stop"}]}), False),
            (delta(content=" "), True),
            (delta(reasoning_content="x"), True),
            (delta(reasoning="x"), True),
            (delta(refusal="x"), True),
            (delta(tool_calls=[{"index": 0}]), True),
            (delta(function_call={"name": "f", "arguments": ""}), True),
            (delta(function_call=None), False),
            (delta(content=[{"type": "text", "text": "x"}]), True),
            (delta(content=[]), False),
            (block({"choices": [{"delta": {}}, {"index": 1, "delta": {"content": "x"}}]}), True),
            (b'event: x\ndata: {"choices": [{"delta": {"content": "x"}}]}\n\n', True),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_only_a_token_is_a_token(self, read: bytes, started: bool) -> None:
        probe = chat.probe()
        probe(read)
        assert probe.started is started
        probe(delta(role="assistant"))
        assert probe.started is started

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            ("stop", "completed"),
            ("length", "length"),
            ("tool_calls", "tool_calls"),
            ("function_call", "tool_calls"),
            ("content_filter", "content_filter"),
            ("eos", "completed"),
        ],
    )
    def test_how_it_ended(self, reason: str, outcome: str) -> None:
        probe = chat.probe()
        assert probe.outcome == "completed"
        probe(block({"choices": [{"delta": {}, "finish_reason": reason}]}))
        probe(block({"choices": [{"delta": {}, "finish_reason": None}]}))
        assert probe.outcome == outcome

    @pytest.mark.parametrize("reason", ["error", "abort", "network_error", "insufficient_system_resource"])
    def test_broken_off_is_not_done(self, reason: str) -> None:
        probe = chat.probe()
        assert probe(block({"choices": [{"delta": {}, "finish_reason": reason}]})) is Kind.FAILED
        assert probe.failure is not None
        assert (probe.failure.outcome, probe.failure.retryable) == ("upstream_error", True)
        assert reason in probe.failure.message

    @pytest.mark.parametrize(
        ("usage", "fact"),
        [
            ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
            ({"prompt_tokens": 3}, Usage(3, None)),
            ({"prompt_tokens": 3, "completion_tokens": None}, Usage(3, None)),
            ({}, Usage()),
            ({"prompt_tokens_details": {"cached_tokens": 0}}, Usage(cached_tokens=0)),
            ({"prompt_tokens_details": None, "completion_tokens_details": {}}, Usage()),
            ({"completion_tokens_details": {"reasoning_tokens": 5}}, Usage(reasoning_tokens=5)),
            ({"completion_tokens": 5, "source": "estimated"}, Usage(None, 5, source="estimated")),
        ],
    )
    def test_usage(self, usage: Any, fact: Usage) -> None:
        probe = chat.probe()
        read = block({"choices": [], "usage": usage})
        assert probe(read) is Kind.HELD
        assert (probe.usage, probe.held) == (fact, read)

    def test_usage_of_another_shape_is_none(self) -> None:
        probe = chat.probe()
        for usage in ("many", 5, [1], {"prompt_tokens": "3"}, {"prompt_tokens": 1.5}, None):
            assert probe(block({"choices": [{"delta": {}}], "usage": usage})) is Kind.DATA
        assert probe.usage is None

    def test_the_last_usage_counts_and_null_does_not_take_it_back(self) -> None:
        probe = chat.probe()
        for usage in ({"completion_tokens": 1}, {"completion_tokens": 2}, None):
            assert probe(block({"choices": [{"delta": {}}], "usage": usage})) is Kind.DATA
        assert probe.usage == Usage(output_tokens=2)
        assert probe.held is None

    def test_a_chunk_without_choices_after_the_usage_is_not_the_usage(self) -> None:
        """Else a client that asked for the usage would be shown this instead of it."""
        probe = chat.probe()
        probe(block({"choices": [{"delta": {}}], "usage": {"completion_tokens": 1}}))
        assert probe(block({"choices": [], "x_note": "the end"})) is Kind.DATA
        assert probe.held is None

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            ({"message": "overloaded", "code": 503}, "overloaded"),
            ("overloaded", "overloaded"),
            ({"message": None}, "the upstream reported an error"),
            ({"message": {"text": "x"}}, "the upstream reported an error"),
            (" ", "the upstream reported an error"),
            (7, "the upstream reported an error"),
            ({"message": "x" * 5000}, "x" * 500),
        ],
    )
    def test_errors(self, error: Any, message: str) -> None:
        probe = chat.probe()
        assert probe(block({"error": error})) is Kind.FAILED
        assert probe.failure == Error("upstream_error", message, True, "upstream_error")

    @pytest.mark.parametrize(
        ("read", "message"),
        [
            (block({"object": "error", "message": "no memory", "code": 500}), "no memory"),
            (block({"object": "error", "message": "no memory", "choices": []}), "no memory"),
            (block({"object": "error"}), "the upstream reported an error"),
            (block({"type": "error", "message": ["no"]}), "the upstream reported an error"),
            (block({"message": "no memory", "code": 500}), "no memory"),
            (b'event: error\ndata: {"message": "no memory", "code": 500}\n\n', "no memory"),
            (b'event: error\ndata: {"error": {"message": "no memory"}, "message": "x"}\n\n', "no memory"),
            (b"event: error\ndata: no memory\n\n", "no memory"),
            (b"event: error\ndata: [DONE]\n\n", "[DONE]"),
            (b"event: error\ndata: \n\n", "the upstream reported an error"),
            (b'event: error\ndata: ["\xff"]\n\n', '["\N{REPLACEMENT CHARACTER}"]'),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_errors_without_the_word(self, read: bytes, message: str) -> None:
        """Else the `[DONE]` that follows would make a whole answer of them."""
        probe = chat.probe()
        assert probe(read) is Kind.FAILED
        assert probe.failure == Error("upstream_error", message, True, "upstream_error")

    @pytest.mark.parametrize(
        "read",
        [
            block({"message": "ok", "code": 200}),
            block({"message": "fine", "code": "500"}),
            block({"message": {"role": "assistant"}, "code": 500}),
            block({"choices": [{"delta": {"content": "x"}}], "message": "slow", "code": 500}),
            block({"choices": [], "object": "chat.completion.chunk", "code": True, "message": "x"}),
            b'event: errors\ndata: {"choices": []}\n\n',
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_what_is_no_error(self, read: bytes) -> None:
        assert chat.probe()(read) is Kind.DATA

    @pytest.mark.parametrize(
        "read",
        [
            b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n',
            b'data: {"choices": [{"delta": {"content": "\\ud800 and more"}}]}\n\n',
            b'data: {"choices": [], "x": NaN}\n\n',
            b'data: {"choices": [{"delta": {}, "logprobs": [-Infinity, 1e999]}]}\n\n',
            delta(content=[{"type": "image_url"}, 7, None, {"type": "text", "text": None}]),
            delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": {"a": [1]}}}]),
            delta(tool_calls=[{"index": None, "id": "a", "function": {"name": "f"}}]),
        ],
        ids=lambda read: repr(read)[:90],
    )
    def test_what_other_clients_read_passes(self, read: bytes) -> None:
        assert chat.probe()(read) is Kind.DATA
        chat.decoder(ABOUT).decode(read)

    @given(
        st.binary(max_size=60)
        | st.text(max_size=30).map(
            lambda t: b'{"choices": [{"delta": {"content": %b}}]}' % t.encode("utf-8", "replace")
        )
    )
    def test_what_the_probe_lets_pass_the_decoder_can_tell(self, data: bytes) -> None:
        for read in sse.Splitter().feed(b"\n" + sse.encode(data)):
            try:
                kind = chat.probe()(read)
            except ProtocolError:
                continue
            if kind is Kind.DATA:
                chat.decoder(ABOUT).decode(read)


class TestDecoder:
    def test_the_first_block_gives_the_start(self) -> None:
        decoder = chat.decoder(ABOUT)
        assert decoder.decode(delta(content="a")) == [START, Token("a")]
        assert decoder.decode(delta(content="b")) == [Token("b")]

    @pytest.mark.parametrize(
        ("fields", "events"),
        [
            ({"reasoning_content": "x"}, [Reasoning("x")]),
            ({"reasoning": "x"}, [Reasoning("x")]),
            ({"reasoning": "x", "reasoning_content": "x"}, [Reasoning("x")]),
            ({"reasoning": "x", "reasoning_content": None}, [Reasoning("x")]),
            ({"reasoning": "x", "reasoning_content": "y"}, [Reasoning("y"), Reasoning("x")]),
            ({"refusal": "x"}, [Refusal("x")]),
            ({"content": ""}, []),
            ({"content": "b", "reasoning": "a"}, [Reasoning("a"), Token("b")]),
            (
                {"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f"}}, {"index": 0, "function": None}]},
                [ToolCall(1, "c", "f"), ToolCall(0)],
            ),
            ({"tool_calls": [{"function": {"arguments": None}}]}, [ToolCall(0)]),
            ({"annotations": [], "audio": {}}, []),
        ],
    )
    def test_deltas(self, fields: Any, events: list[Event]) -> None:
        assert chat.decoder(ABOUT).decode(delta(**fields)) == [START, *events]

    @pytest.mark.parametrize("read", TestProbe.WRONG[5:9])
    def test_wrong_shapes(self, read: bytes) -> None:
        with pytest.raises(ProtocolError):
            chat.decoder(ABOUT).decode(read)

    def decoded(self, *reads: bytes) -> list[Event]:
        decoder = chat.decoder(ABOUT)
        events = [event for read in reads for event in decoder.decode(read)]
        assert events[0] == START
        return events[1:]

    def test_calls_of_different_choices_do_not_mix(self) -> None:
        calls = [{"index": 0, "id": "a", "function": {"name": "f"}}, {"index": 0, "id": "b", "function": {"name": "g"}}]
        read = block({"choices": [{"index": i, "delta": {"tool_calls": [calls[i]]}} for i in (0, 1)]})
        assert self.decoded(read) == [ToolCall(0, "a", "f"), ToolCall(0, "b", "g", choice=1)]

    def test_a_function_call_beside_tool_calls_is_a_call_of_its_own(self) -> None:
        told = {"function_call": {"name": "f", "arguments": "{}"}, "tool_calls": [{"index": 0, "id": "a"}]}
        assert self.decoded(delta(**told)) == [ToolCall(0, "a"), ToolCall(1, None, "f", "{}")]

    def test_every_text_tool_is_closed_with_its_choice(self) -> None:
        calls = [{"index": i, "id": f"c{i}", "type": "custom", "custom": {"name": "sh", "input": "ls"}} for i in (0, 1)]
        end = block({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        events = self.decoded(delta(tool_calls=calls), end, end)
        whole = dict.fromkeys((0, 1), "")
        for event in events:
            if isinstance(event, ToolCall):
                whole[event.index] += event.arguments
        assert [json.loads(text) for text in whole.values()] == [{"input": "ls"}, {"input": "ls"}]

    @given(
        st.text(st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0x10000), min_size=1), st.data()
    )
    def test_characters_cut_in_halves_are_whole_again(self, text: str, data: st.DataObject) -> None:
        escaped = [f"\\u{unit:04x}" for unit in units(text)]
        cuts = sorted(data.draw(st.sets(st.integers(0, len(escaped)))) | {0, len(escaped)})
        pieces = ["".join(escaped[a:b]) for a, b in pairwise(cuts)]
        reads = [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % piece.encode() for piece in pieces]
        probe = chat.probe()
        assert all(probe(read) is Kind.DATA for read in reads)
        events = self.decoded(*reads)
        assert "".join(event.text for event in events if isinstance(event, Token)) == text
        assert all(event.text for event in events if isinstance(event, Token))

    def test_a_half_whose_other_half_does_not_come(self) -> None:
        half = b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n'
        thought = b'data: {"choices": [{"delta": {"reasoning": "\\ude00 hm \\ud83d"}}]}\n\n'
        assert self.decoded(half, thought, delta(refusal="no")) == [
            Token("\N{REPLACEMENT CHARACTER}"),
            Reasoning("\N{REPLACEMENT CHARACTER} hm "),
            Reasoning("\N{REPLACEMENT CHARACTER}"),
            Refusal("no"),
        ]

    def test_halves_in_calls(self) -> None:
        begun = rb'{"index": 0, "id": "\ud800", "function": {"name": "f\ude00", "arguments": "{\"a\": \"\ud83d"}}'
        rest = rb'{"index": 0, "function": {"arguments": "\ude00\"}"}}'
        reads = [b'data: {"choices": [{"delta": {"tool_calls": [%b]}}]}\n\n' % call for call in (begun, rest)]
        events = self.decoded(*reads)
        replaced = "\N{REPLACEMENT CHARACTER}"
        assert events == [
            ToolCall(0, replaced, f"f{replaced}", '{"a": "'),
            ToolCall(0, arguments='\N{GRINNING FACE}"}'),
        ]


def units(text: str) -> list[int]:
    """Of UTF-16, in which JSON escapes characters."""
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
