"""Reading an `anthropic` upstream's blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START

from .blocks import begin, block, data, delta, messages, reason, start, stop, text

DEEP = b"[" * 100_000 + b"]" * 100_000


class TestProbe:
    @pytest.mark.parametrize(
        ("read", "kind"),
        [
            (start(input_tokens=1), Kind.DATA),
            (begin(0, "text", text=""), Kind.DATA),
            (text("x"), Kind.DATA),
            (stop(), Kind.DATA),
            (reason("end_turn"), Kind.DATA),
            (reason(None), Kind.DATA),
            (block("message_stop"), Kind.END),
            (block("ping"), Kind.HELD),
            (data({"type": "ping"}), Kind.HELD),
            (b"event: ping\ndata: {}\n\n", Kind.HELD),
            (b"event: message_stop\ndata: {}\n\n", Kind.END),
            (b'event: message_stop\ndata: {"type":\ndata: "message_stop"}\n\n', Kind.END),
            (b'data: {"type":\ndata: "message_stop"}\n\n', Kind.END),
            (b'event: data: x\ndata: {"type": "message_stop"}\n\n', Kind.END),
            (block("error", error={"type": "api_error", "message": "no"}), Kind.FAILED),
            (b"event: error\ndata: {}\n\n", Kind.FAILED),
            (block("error", error=[1]), Kind.FAILED),
            (data({"error": {"message": "no"}}), Kind.FAILED),
            (data({"error": None}), Kind.DATA),
            (reason("error"), Kind.FAILED),
            (block("message_start", message=None), Kind.DATA),
            (block("message_start", message={"usage": "much"}), Kind.DATA),
            (block("content_block_start", index=0), Kind.DATA),
            (begin(0, "hologram", text=5), Kind.DATA),
            (delta(0, "hologram_delta", text=5), Kind.DATA),
            (block("weather", index="one", delta=5), Kind.DATA),
            (block("weather", error="rain"), Kind.DATA),
            (data({}), Kind.DATA),
        ],
        ids=lambda read: repr(read)[:90],
    )
    def test_kinds(self, read: bytes, kind: Kind) -> None:
        assert messages.probe()(read) is kind

    WRONG = (
        b"data: \n\n",
        b"data: hello\n\n",
        b"data: [DONE]\n\n",
        b"data: null\n\n",
        b"data: 1\n\n",
        b"data: []\n\n",
        b'event: message_stop\ndata: {"type": "message_stop"\n\n',
        b'event: message_stop\ndata: x{"type": "message_stop"}\n\n',
        b'data: hello\ndata: {"type": "message_stop"}\n\n',
        b'event: data: {"type": "message_stop"}\ndata: hello\n\n',
        b'data: {"type": 5}\n\n',
        b'data: {"type": "message_stop", "x": NaN}\n\n',
        block("content_block_delta", index="0", delta={"type": "text_delta", "text": "x"}),
        block("content_block_delta", index=0, delta="x"),
        block("content_block_delta", index=0, delta={"type": 5, "text": "x"}),
        block("content_block_start", index=0, content_block=[]),
        delta(0, "text_delta", text=5),
        delta(0, "input_json_delta", partial_json={}),
        begin(0, "tool_use", id=5),
        block("message_delta", delta={"stop_reason": 5}),
        b'data: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "\\ud800"}}\n\n',
        b'data: {"type": "weather", "x": ' + DEEP + b"}\n\n",
        b'data: {"type": "message_delta", "usage": ' + DEEP + b"}\n\n",
    )

    @pytest.mark.parametrize("read", WRONG, ids=lambda read: repr(read[:70]))
    @pytest.mark.parametrize("started", [False, True], ids=["at first", "later"])
    def test_wrong_shapes(self, read: bytes, started: bool) -> None:
        probe = messages.probe()
        if started:
            probe(text("x"))
        with pytest.raises(ProtocolError) as raised:
            probe(read)
        assert len(str(raised.value)) < 300

    @pytest.mark.parametrize(
        ("read", "started"),
        [
            (start(input_tokens=1, output_tokens=1), False),
            (block("ping"), False),
            (begin(0, "text", text=""), False),
            (begin(0, "thinking", thinking="", signature=""), False),
            (begin(0, "redacted_thinking", data="x"), False),
            (text(""), False),
            (delta(0, "signature_delta", signature="x"), False),
            (delta(0, "input_json_delta", partial_json=""), False),
            (reason("end_turn"), False),
            (text(" "), True),
            (begin(0, "text", text="x"), True),
            (begin(0, "thinking", thinking="x"), True),
            (begin(0, "tool_use", id="t", name="f", input={}), True),
            (begin(0, "server_tool_use", id="t", name="web_search", input={}), True),
            (delta(0, "thinking_delta", thinking="x"), True),
            (delta(0, "input_json_delta", partial_json="{"), True),
            (b'data: {"type": "content_block_delta",\ndata: "delta": {"text": "x"}}\n\n', True),
        ],
        ids=lambda read: repr(read)[:90],
    )
    def test_only_a_token_is_a_token(self, read: bytes, started: bool) -> None:
        probe = messages.probe()
        probe(read)
        assert probe.started is started
        probe(stop())
        assert probe.started is started

    @pytest.mark.parametrize(
        ("why", "outcome"),
        [
            ("end_turn", "completed"),
            ("stop_sequence", "completed"),
            ("pause_turn", "length"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("tool_use", "tool_calls"),
            ("refusal", "content_filter"),
            ("sunset", "completed"),
        ],
    )
    def test_how_it_ended(self, why: str, outcome: str) -> None:
        probe = messages.probe()
        assert probe.outcome == "completed"
        probe(reason(why))
        probe(reason(None))
        assert probe.outcome == outcome

    @pytest.mark.parametrize("why", ["error", "abort"])
    def test_broken_off_is_not_done(self, why: str) -> None:
        probe = messages.probe()
        assert probe(reason(why)) is Kind.FAILED
        assert probe.failure is not None
        assert (probe.failure.outcome, probe.failure.retryable) == ("upstream_error", True)
        assert why in probe.failure.message

    @pytest.mark.parametrize(
        ("at_first", "at_last", "fact"),
        [
            ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 9}, Usage(3, 9)),
            ({"input_tokens": 0, "output_tokens": 0}, {"output_tokens": 0}, Usage(0, 0)),
            ({}, {"output_tokens": 9}, Usage(None, 9)),
            ({"input_tokens": 3}, {}, Usage(3)),
            ({"input_tokens": 3}, {"input_tokens": 4, "output_tokens": 9}, Usage(4, 9)),
            ({"input_tokens": 3}, {"input_tokens": None, "output_tokens": 9}, Usage(3, 9)),
            ({"input_tokens": 3, "cache_read_input_tokens": 0}, {"output_tokens": 9}, Usage(3, 9, 0)),
            (
                {"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100},
                {"output_tokens": 9},
                Usage(113, 9, 10, cache_write_tokens=100),
            ),
            (
                {"input_tokens": 3, "cache_creation_input_tokens": 0},
                {"cache_creation_input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
                Usage(8, 9, None, 4, cache_write_tokens=5),
            ),
            ({"cache_read_input_tokens": 10}, {"output_tokens": 9}, Usage(None, 9, 10)),
            ({"input_tokens": 3}, {"output_tokens": 9, "source": "estimated"}, Usage(3, 9, source="estimated")),
            ({"input_tokens": 0, "source": "unknown"}, {"output_tokens": 0, "source": "unknown"}, Usage()),
        ],
    )
    def test_usage(self, at_first: Any, at_last: Any, fact: Usage) -> None:
        probe = messages.probe()
        probe(start(**at_first))
        probe(text("x"))
        assert probe(reason("end_turn", **at_last)) is Kind.DATA
        assert probe.usage == fact

    def test_until_the_end_only_the_input_is_known(self) -> None:
        probe = messages.probe()
        probe(start(input_tokens=3, cache_read_input_tokens=4, output_tokens=1))
        probe(text("x"))
        assert probe.usage == Usage(7, None, 4, source="estimated")

    def test_usage_of_another_shape_is_none(self) -> None:
        probe = messages.probe()
        for usage in ("many", 5, [1], {"output_tokens": "3"}, {"output_tokens": 1.5}, None):
            assert probe(block("message_start", message={"usage": usage})) is Kind.DATA
            assert probe(block("message_delta", delta={"stop_reason": "max_tokens"}, usage=usage)) is Kind.DATA
        assert probe.usage is None
        assert probe.outcome == "length"

    def test_the_end_is_kept_and_nothing_else(self) -> None:
        probe = messages.probe()
        for read in (start(), block("ping"), text("x"), reason("end_turn")):
            probe(read)
        assert probe.held is None
        end = b'event: message_stop\ndata: {"type":"message_stop","amazon-bedrock-invocationMetrics":{}}\n\n'
        assert probe(end) is Kind.END
        assert probe.held == end
        assert not probe.complete

    @pytest.mark.parametrize(
        ("error", "message", "retryable"),
        [
            ({"type": "overloaded_error", "message": "Overloaded"}, "Overloaded", True),
            ({"type": "invalid_request_error", "message": "too long"}, "too long", False),
            ({"type": "not_found_error", "message": None}, "the upstream reported an error", False),
            ({"message": {"text": "x"}}, "the upstream reported an error", True),
            ("overloaded", "overloaded", True),
            (7, "the upstream reported an error", True),
            ({"message": "x" * 5000}, "x" * 500, True),
        ],
    )
    def test_errors(self, error: Any, message: str, retryable: bool) -> None:
        for read in (block("error", error=error), data({"error": error})):
            probe = messages.probe()
            assert probe(read) is Kind.FAILED
            assert probe.failure == Error("upstream_error", message, retryable, "upstream_error")

    @given(st.data())
    def test_what_the_probe_lets_pass_the_decoder_can_tell(self, draw: st.DataObject) -> None:
        probe, decoder = messages.probe(), messages.decoder(ABOUT)
        for sent in draw.draw(st.lists(anything, max_size=8)):
            for read in sse.Splitter().feed(b"\n" + sent):
                try:
                    kind = probe(read)
                except ProtocolError:
                    with pytest.raises(ProtocolError):
                        decoder.decode(read)
                    continue
                events = decoder.decode(read)
                if kind is not Kind.DATA:
                    assert [event for event in events if event != START] in ([], [Finish("completed")])


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just({}) | st.just([])
fields = st.dictionaries(
    st.sampled_from(["type", "text", "thinking", "partial_json", "stop_reason", "id", "name", "input", "stop_details"]),
    values | st.sampled_from(["tool_use", "text_delta", "input_json_delta", "refusal", "error"]),
    max_size=4,
)
KINDS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "ping",
    "error",
    "sunset",
)
events = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS) | values,
        "index": st.integers(-1, 2) | values,
        "delta": fields | values,
        "content_block": fields | values,
        "message": fields | values,
        "usage": st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), values) | values,
        "error": fields | values,
    },
)
anything: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=60).map(sse.encode),
    events.map(lambda event: sse.encode(json.dumps(event))),
    st.builds(lambda event, name: sse.encode(json.dumps(event), name), events, st.sampled_from(KINDS)),
)


class TestDecoder:
    def decoded(self, *blocks: bytes) -> list[Event]:
        decoder = messages.decoder(ABOUT)
        assert decoder.decode(start()) == [START]
        return [event for read in blocks for event in decoder.decode(read)]

    def test_the_first_block_gives_the_start(self) -> None:
        decoder = messages.decoder(ABOUT)
        assert decoder.decode(text("a")) == [START, Token("a")]
        assert decoder.decode(text("b")) == [Token("b")]

    @pytest.mark.parametrize(
        ("read", "told"),
        [
            (text(""), []),
            (delta(0, "thinking_delta", thinking="x"), [Reasoning("x")]),
            (delta(0, "signature_delta", signature="x"), []),
            (delta(0, "citations_delta", citation={}), []),
            (delta(0, "smell_delta", text="x"), []),
            (begin(0, "text", text="x"), [Token("x")]),
            (begin(0, "thinking", thinking="x"), [Reasoning("x")]),
            (begin(0, "redacted_thinking", data="x"), []),
            (begin(0, "hologram", text="x"), []),
            (reason("max_tokens"), [Finish("length")]),
            (reason("sunset"), [Finish("completed")]),
            (reason(None), []),
            (block("content_block_delta", delta=None), []),
            (block("sunset"), []),
        ],
        ids=lambda read: repr(read)[:90],
    )
    def test_blocks(self, read: bytes, told: list[Event]) -> None:
        assert self.decoded(read) == told

    def test_calls_are_numbered_as_they_begin(self) -> None:
        assert self.decoded(
            begin(1, "tool_use", id="a", name="f", input={}),
            delta(1, "input_json_delta", partial_json='{"x":'),
            delta(1, "input_json_delta", partial_json=" 1}"),
            stop(1),
            begin(3, "tool_use", id="b", name="g", input={}),
            delta(3, "input_json_delta", partial_json="{}"),
            stop(3),
        ) == [
            ToolCall(0, "a", "f"),
            ToolCall(0, arguments='{"x":'),
            ToolCall(0, arguments=" 1}"),
            ToolCall(1, "b", "g"),
            ToolCall(1, arguments="{}"),
        ]

    @pytest.mark.parametrize("given", [{}, {"input": {}}, {"input": None}])
    def test_a_call_without_input_has_empty_arguments_and_not_none(self, given: Any) -> None:
        told = self.decoded(
            begin(0, "tool_use", id="a", name="f", **given),
            delta(0, "input_json_delta", partial_json=""),
            stop(0),
            stop(0),
        )
        assert told == [ToolCall(0, "a", "f"), ToolCall(0, arguments="{}")]

    def test_a_call_with_its_input_at_once(self) -> None:
        told = self.decoded(begin(0, "tool_use", id="a", name="f", input={"x": [1, "é"]}), stop(0))
        assert [type(event) for event in told] == [ToolCall]
        assert json.loads(told[0].arguments) == {"x": [1, "é"]}  # type: ignore[union-attr]

    def test_what_a_provider_does_itself_is_not_the_clients_call(self) -> None:
        told = self.decoded(
            begin(0, "server_tool_use", id="s", name="web_search", input={}),
            delta(0, "input_json_delta", partial_json='{"query": "x"}'),
            stop(0),
            begin(1, "tool_use", id="a", name="f", input={}),
            delta(1, "input_json_delta", partial_json="{}"),
        )
        assert told == [ToolCall(0, "a", "f"), ToolCall(0, arguments="{}")]

    @pytest.mark.parametrize(
        ("given", "missed"),
        [
            ([begin(0, "mcp_tool_use", id="s", name="n", input={}), begin(1, "mcp_tool_result", content=[])],
             "mcp_tool_use, mcp_tool_result"),
            ([begin(0, "web_search_tool_result", content=[]), text("It rains", 1)], None),
            ([begin(0, "image", source={}), text("look", 1)], "image"),
            ([begin(0, "redacted_thinking", data="x")], None),
        ],
    )  # fmt: skip
    def test_what_has_no_words_elsewhere(self, given: list[bytes], missed: str | None) -> None:
        last = self.decoded(*given, reason("end_turn"))[-1]
        if missed is None:
            assert last == Finish("completed")
        else:
            assert isinstance(last, Error)
            assert (last.code, last.message.rpartition(": ")[2]) == ("unsupported_translation", missed)

    def test_input_of_a_block_whose_start_is_forgotten(self) -> None:
        assert self.decoded(delta(2, "input_json_delta", partial_json="1}")) == [ToolCall(0, arguments="1}")]

    @pytest.mark.parametrize(
        ("details", "words"),
        [({"type": "refusal", "explanation": "No."}, [Refusal("No.")]), ({"explanation": None}, []), (None, [])],
    )
    def test_a_refusal_is_told_in_its_own_words(self, details: Any, words: list[Event]) -> None:
        read = block("message_delta", delta={"stop_reason": "refusal", "stop_details": details})
        assert self.decoded(read) == [*words, Finish("content_filter")]

    @pytest.mark.parametrize("read", TestProbe.WRONG[:12], ids=lambda read: repr(read[:70]))
    def test_wrong_shapes(self, read: bytes) -> None:
        with pytest.raises(ProtocolError):
            messages.decoder(ABOUT).decode(read)
