"""How an answer is written: line ends, splits, drips, framing, status, headers."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.sim.process import SimProcess
from penstock.sim.truth import wait_for

from .raw import Reply, ask, connect, read, request


def unnumbered(reply: Reply) -> bytes:
    """The body without what differs between two requests."""
    event = reply.events[0]
    return reply.body.replace(event["id"].encode(), b"ID").replace(str(event["created"]).encode(), b"NOW")


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_end(sim: SimProcess, line_end: str) -> None:
    reply = ask(sim.port, {"text": "a b", "line_end": line_end})
    assert reply.body.count(line_end.encode() * 2) == 5
    reply.body = reply.body.replace(line_end.encode(), b"\n")
    assert b"\r" not in reply.body
    assert reply.text == "a b"
    assert reply.data[-1] == "[DONE]"


def test_bom(sim: SimProcess) -> None:
    assert ask(sim.port, {"text": "a", "bom": True}).body.startswith(b"\xef\xbb\xbfdata: ")
    assert ask(sim.port, {"text": "a"}).body.startswith(b"data: ")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offsets=st.lists(st.integers(1, 1200), min_size=1, max_size=6))
def test_split_at_offsets(sim: SimProcess, offsets: list[int]) -> None:
    reply = ask(sim.port, {"text": "Zürich 🌊", "split": offsets})
    assert reply.text == "Zürich 🌊"
    starts = [sum(map(len, reply.chunks[:number])) for number in range(1, len(reply.chunks))]
    assert starts == sorted({offset for offset in offsets if offset < len(reply.body)})


def test_split_every_byte_and_every_n_bytes(sim: SimProcess) -> None:
    every = ask(sim.port, {"text": "🌊", "split": "every"})
    assert {len(chunk) for chunk in every.chunks} == {1}
    assert every.text == "🌊"
    sevens = ask(sim.port, {"text": "🌊 b c", "split": 7})
    assert {len(chunk) for chunk in sevens.chunks[:-1]} == {7}
    assert sevens.text == "🌊 b c"


def test_split_pause(sim: SimProcess) -> None:
    began = time.monotonic()
    assert len(ask(sim.port, {"text": "a", "split": [50, 100], "split_pause": 0.05}).chunks) == 3
    assert time.monotonic() - began >= 0.1


def test_a_split_in_one_piece(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a 🌊", "split": 5}, stream=False)
    assert reply.json["choices"][0]["message"]["content"] == "a 🌊"


def test_coalesce(sim: SimProcess) -> None:
    chunks = ask(sim.port, {"text": "a b c d e f", "coalesce": 3}).chunks
    assert [chunk.count(b'"content":') - (number == 0) for number, chunk in enumerate(chunks)] == [3, 3, 0]
    assert len(ask(sim.port, {"text": "a b c d e f", "coalesce": 1}).chunks) == 7
    assert len(ask(sim.port, {"text": "a b c d e f"}).chunks) == 1


def test_drip(sim: SimProcess) -> None:
    began = time.monotonic()
    reply = ask(sim.port, {"text": "a b", "drip": 2000})
    assert reply.text == "a b"
    assert time.monotonic() - began >= len(reply.body) / 2000 * 0.8
    assert max(map(len, reply.chunks)) <= 40


def test_delays_and_pace(sim: SimProcess) -> None:
    began = time.monotonic()
    cue = {"stamp": True, "tokens": 4, "pace": 0.05, "header_delay": 0.1, "first_token_delay": 0.1}
    stamps = [int(stamp) / 1e9 for stamp in ask(sim.port, cue).text.split()]
    assert stamps[0] - began >= 0.19
    assert stamps[3] - stamps[0] >= 0.14
    began = time.monotonic()
    assert ask(sim.port, {"text": "a b", "pace": 0.05, "first_token_delay": 0.1}, stream=False).status == 200
    assert time.monotonic() - began >= 0.19


def test_stamps_are_of_this_machine_s_clock(sim: SimProcess) -> None:
    before = time.monotonic_ns()
    text = ask(sim.port, {"stamp": True, "tokens": 3, "pad": 5}).text
    stamps = [int(part) for part in text.split("..... ")[:-1]]
    assert len(stamps) == 3
    assert before < stamps[0] <= stamps[1] <= stamps[2] < time.monotonic_ns()


def test_comments_while_waiting(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b", "first_token_delay": 0.5, "comments": 0.1, "line_end": "\r\n"})
    assert 2 <= reply.body.count(b": keepalive\r\n\r\n") <= 5
    assert reply.body.endswith(b"data: [DONE]\r\n\r\n")


def test_status_with_retry_after(sim: SimProcess) -> None:
    reply = ask(sim.port, {"status": 429, "retry_after": 1.5})
    assert (reply.status, reply.headers["retry-after"]) == (429, "1.5")
    assert reply.json["error"]["code"] == "rate_limit_exceeded"
    assert (
        ask(sim.port, {"status": 503, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}).headers["retry-after"][:3]
        == "Wed"
    )


def test_error_body(sim: SimProcess) -> None:
    assert ask(sim.port, {"status": 500, "error_body": {"detail": "x"}}).json == {"detail": "x"}
    assert ask(sim.port, {"status": 502, "error_body": "<html>"}).body == b"<html>"
    told = ask(sim.port, {"text": "a", "error_after": 1, "error_body": {"error": {"message": "mine"}}})
    assert told.events[-1] == {"error": {"message": "mine"}}


def test_redirect(sim: SimProcess) -> None:
    reply = ask(sim.port, {"redirect": "http://127.0.0.1:1/x"})
    assert (reply.status, reply.headers["location"], reply.ended) == (302, "http://127.0.0.1:1/x", "length")


def test_headers_and_content_type(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a", "headers": {"X-More": "1", "Cache-Control": "max-age=9"}})
    assert (reply.headers["x-more"], reply.headers["cache-control"]) == ("1", "max-age=9")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert ask(sim.port, {"text": "a", "content_type": "text/plain"}).headers["content-type"] == "text/plain"


def test_http10(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b", "http10": True})
    assert reply.head.startswith(b"HTTP/1.0 200")
    assert not {"transfer-encoding", "content-length"} & set(reply.headers)
    assert (reply.text, reply.ended) == ("a b", "eof")


def test_content_length(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b", "content_length": True, "bad_utf8_after": 0})
    assert "transfer-encoding" not in reply.headers
    assert (int(reply.headers["content-length"]), reply.ended) == (len(reply.body), "length")


def test_raw(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"raw": "SSH-2.0-\u00ff\r\n"}))
        assert sock.recv(100) == b"SSH-2.0-\xff\r\n"
        assert sock.recv(100) == b""


def test_a_peer_that_does_not_read_holds_the_answer_back(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"endless": True, "token_size": 1000}, prompt="never read"))
        time.sleep(0.5)
    end = wait_for(sim.truth_path, lambda truth: truth.answer("never read"))
    # All that a socket can hold is some MB; a sender without backpressure would have made hundreds.
    assert 0 < end.bytes_sent < 32 * 1024 * 1024
    assert end.ended == "closed_by_peer"


def test_one_that_reads_late_gets_it_all(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"tokens": 10_000, "token_size": 400}, prompt="read late"))
        time.sleep(0.3)
        reply = read(sock)
    assert reply.ended == "chunked"
    assert len(reply.text) == 4_000_000
    assert wait_for(sim.truth_path, lambda truth: truth.answer("read late")).text == [reply.text]


def test_unnumbered_bodies_are_the_same_however_they_are_written(sim: SimProcess) -> None:
    plain = ask(sim.port, {"text": "x 🌊 y"})
    for how in ({"split": "every"}, {"coalesce": 2}, {"content_length": True}, {"http10": True}, {"drip": 20000}):
        assert unnumbered(ask(sim.port, {"text": "x 🌊 y", **how})) == unnumbered(plain)
