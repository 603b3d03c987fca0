"""The truth file and its reader."""

import time
from pathlib import Path

import pytest

from penstock.sim.process import SimProcess
from penstock.sim.truth import Asked, End, read_truth, wait_for

from .raw import ask, connect, read, request


def test_a_request_and_its_end(sim: SimProcess) -> None:
    before = time.monotonic()
    reply = ask(
        sim.port,
        {"text": "a 🌊", "reasoning": "hm", "pace": 0.01},
        prompt="the truth",
        stream_options={"include_usage": True},
    )
    row = wait_for(sim.truth_path, lambda truth: [row for row in truth.answers("the truth") if row.end])[0]
    assert (row.request.method, row.request.path) == ("POST", "/v1/chat/completions")
    assert row.request.headers["host"] == "sim"
    assert row.request.body["stream"] is True
    assert row.request.cue == {"text": "a 🌊", "reasoning": "hm", "pace": 0.01}
    end = row.end
    assert end is not None
    assert (end.id, end.ended, end.status) == (row.request.id, "done", 200)
    assert (end.text, end.reasoning, end.refusal, end.tool_calls) == (["a 🌊"], ["hm"], [""], [[]])
    assert (end.finish_reason, end.tokens_sent, end.bytes_sent) == (["stop"], 3, len(reply.body))
    assert end.usage == reply.events[-1]["usage"]
    assert end.first_token_at is not None
    assert end.last_token_at is not None
    assert before < row.request.at <= end.first_token_at < end.last_token_at <= end.at < time.monotonic()


def test_lines_are_there_while_the_answer_still_runs(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"hang": "headers"}, prompt="while running"))
        row = wait_for(sim.truth_path, lambda truth: truth.answers("while running"))[0]
        assert row.end is None
        assert any(line.connection == row.request.connection for line in read_truth(sim.truth_path).opened())
        assert not read_truth(sim.truth_path).closed(row.request.connection)
    assert wait_for(sim.truth_path, lambda truth: truth.closed(row.request.connection))[0].during == row.request.id


def test_an_idle_connection_s_closing_is_told(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"text": "a"}, prompt="then idle"))
        read(sock)
        asked = wait_for(sim.truth_path, lambda truth: truth.answers("then idle"))[0].request
    closed = wait_for(sim.truth_path, lambda truth: truth.closed(asked.connection))[0]
    assert (closed.by, closed.during) == ("peer", None)


def test_a_bad_body_is_shown_as_text(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 9\r\n\r\nno json \xff")
        assert read(sock).status == 400
    assert wait_for(sim.truth_path, lambda truth: truth.answer("no json \ufffd")).ended == "error"


def asked(number: int, prompt: str) -> Asked:
    return Asked(number, 0.0, 1, "POST", "/", {}, {"messages": [{"content": prompt}]}, {})


def test_a_file_that_is_missing_or_half_written(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    assert read_truth(path).lines == []
    path.write_text('{"type":"closed","at":1.5,"connection":3,"by":"peer","during":null}\n{"type":"clo')
    assert [line.connection for line in read_truth(path).closed()] == [3]


def test_answer_wants_exactly_one(sim: SimProcess) -> None:
    ask(sim.port, {"text": "a"}, prompt="asked twice")
    ask(sim.port, {"text": "a"}, prompt="asked twice")
    both = wait_for(
        sim.truth_path, lambda truth: len(truth.answers("asked twice")) == 2 and truth.answers("asked twice")
    )
    with pytest.raises(LookupError, match="2 requests"):
        read_truth(sim.truth_path).answer("asked twice")
    assert isinstance(wait_for(sim.truth_path, lambda truth: truth.answer(both[0].request.id)), End)


def test_waiting_has_a_deadline(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="nothing found"):
        wait_for(tmp_path / "none", lambda truth: truth.ends, seconds=0.05)
