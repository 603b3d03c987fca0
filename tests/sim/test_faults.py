"""Every way an answer goes wrong, as the wire and the truth show it."""

import json
import socket

import pytest

from penstock.sim.process import SimProcess
from penstock.sim.truth import Closed, End, wait_for

from .raw import Reply, ask, connect, read, request


def end_of(sim: SimProcess, prompt: str) -> End:
    return wait_for(sim.truth_path, lambda truth: truth.answer(prompt))


def closing_of(sim: SimProcess, prompt: str) -> Closed:
    number = end_of(sim, prompt).id
    return wait_for(sim.truth_path, lambda truth: truth.closed(during=number))[0]


@pytest.mark.parametrize(
    ("cut", "ended"), [("eof", "eof"), ("reset", "reset"), ("half_close", "eof"), ("clean", "chunked"), (None, "eof")]
)
def test_cut_after(sim: SimProcess, cut: str | None, ended: str) -> None:
    prompt = f"cut after, {cut}"
    reply = ask(sim.port, {"text": "a b c d", "cut_after": 2} | ({"cut": cut} if cut else {}), prompt=prompt)
    assert (reply.text, reply.ended) == ("a b", ended)
    assert "[DONE]" not in reply.data
    end = end_of(sim, prompt)
    assert (end.ended, end.text, end.tokens_sent, end.finish_reason) == ("cut", ["a b"], 2, None)
    assert end.bytes_sent == len(reply.body)


def test_cut_after_more_tokens_than_there_are_is_before_the_finish_chunk(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b", "cut_after": 9})
    assert (reply.text, reply.ended) == ("a b", "eof")
    assert reply.events[-1]["choices"][0]["finish_reason"] is None


@pytest.mark.parametrize("at", [0, 1, 100, 500])
@pytest.mark.parametrize("cut", ["eof", "reset"])
def test_cut_at_byte(sim: SimProcess, at: int, cut: str) -> None:
    prompt = f"cut at {at}, {cut}"
    reply = ask(sim.port, {"text": "a b c d", "cut_at_byte": at, "cut": cut}, prompt=prompt)
    assert (len(reply.body), reply.ended) == (at, cut)
    assert end_of(sim, prompt).bytes_sent == at
    assert end_of(sim, prompt).text == ["a" if b'"content":"a"' in reply.body else ""]


def test_cut_without_a_place_is_after_the_end_marker(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b", "cut": "reset"})
    assert (reply.data[-1], reply.ended) == ("[DONE]", "reset")
    clean = ask(sim.port, {"text": "a b", "cut": "clean"})
    assert (clean.events[-1]["choices"][0]["finish_reason"], clean.data[-1] == "[DONE]", clean.ended) == (
        "stop",
        False,
        "chunked",
    )


def test_half_close_leaves_the_other_half_open(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"text": "a b", "cut_after": 1, "cut": "half_close"}, prompt="one half only"))
        assert read(sock).ended == "eof"
        assert wait_for(sim.truth_path, lambda truth: truth.answer("one half only")).ended == "cut"
        sock.sendall(b"G")  # no RST comes of it
    assert closing_of(sim, "one half only").by == "peer"


@pytest.mark.parametrize("cut", ["eof", "reset"])
def test_cut_before_headers(sim: SimProcess, cut: str) -> None:
    reply = ask(sim.port, {"cut_before_headers": True, "cut": cut}, prompt=f"before headers {cut}")
    assert (reply.head, reply.ended) == (b"", cut)
    assert end_of(sim, f"before headers {cut}").status is None


@pytest.mark.parametrize(("length", "ended"), [({}, "eof"), ({"content_length": True}, "eof")])
def test_a_declared_length_that_does_not_come(sim: SimProcess, length: dict[str, bool], ended: str) -> None:
    reply = ask(sim.port, {"text": "a b c", "cut_after": 1, **length})
    assert (reply.text, reply.ended) == ("a", ended)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("cue", "seen"),
    [
        ({"hang": "connect"}, b""),
        ({"hang": "headers"}, b"HTTP/1.1 200 OK"),
        ({"text": "a b c", "stall_after": 2}, b'" b"'),
        ({"text": "a b c", "stall_after": 2, "comments": 0.05}, b": keepalive"),
        ({"text": "a b c", "first_token_delay": 30}, b'"role"'),
        ({"header_delay": 30}, b""),
    ],
)
def test_a_peer_that_leaves_is_noticed_at_once(sim: SimProcess, cue: dict[str, object], seen: bytes, how: str) -> None:
    prompt = f"leaves {json.dumps(cue)} {how}"
    with connect(sim.port) as sock:
        sock.sendall(request(cue, prompt=prompt))
        got = b""
        while seen not in got:
            got += sock.recv(4096)
        if not seen:
            wait_for(sim.truth_path, lambda truth: truth.answers(prompt))
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    closed = closing_of(sim, prompt)
    assert closed.by == "peer"
    waiting = "first_token_delay" in cue or "header_delay" in cue
    assert end_of(sim, prompt).ended == ("closed_by_peer" if waiting else "stalled")
    if "stall_after" in cue:
        assert end_of(sim, prompt).text == ["a b"]


@pytest.mark.parametrize("then_done", [False, True])
def test_error_after(sim: SimProcess, then_done: bool) -> None:
    prompt = f"error, done {then_done}"
    reply = ask(sim.port, {"text": "a b c", "error_after": 2, "error_then_done": then_done}, prompt=prompt)
    assert (reply.text, reply.ended) == ("a b", "chunked")
    assert reply.events[-1]["error"]["type"] == "server_error"
    assert (reply.data[-1] == "[DONE]") is then_done
    assert (end_of(sim, prompt).ended, end_of(sim, prompt).text) == ("error", ["a b"])


def test_garbage_after(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b c", "garbage_after": 2})
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.data[3])
    assert [json.loads(reply.data[at])["choices"][0]["delta"]["content"] for at in (2, 4)] == [" b", " c"]


def test_bad_sse(sim: SimProcess) -> None:
    bare = ask(sim.port, {"text": "a b", "bad_sse": "bare_json"})
    assert [json.loads(line)["object"] for line in bare.body.split(b"\n\n")[:4]] == ["chat.completion.chunk"] * 4
    joined = ask(sim.port, {"text": "a b", "bad_sse": "one_newline"})
    assert b"\n\n" not in joined.body
    assert joined.text == "a b"
    page = ask(sim.port, {"text": "a b", "bad_sse": "html"}, prompt="html page")
    assert page.body.startswith(b"<!doctype html>")
    assert page.headers["content-type"].startswith("text/event-stream")
    assert end_of(sim, "html page").tokens_sent == 0
    odd = ask(sim.port, {"text": "a b", "bad_sse": "odd_fields"})
    assert b"\nretry: soon\n" in odd.body
    assert odd.text == "a b"


def test_bad_utf8_after(sim: SimProcess) -> None:
    for style in ("compact", "escaped"):
        reply = ask(sim.port, {"text": "a b c", "bad_utf8_after": 1, "json_style": style}, prompt=f"bad bytes {style}")
        with pytest.raises(UnicodeDecodeError):
            reply.body.decode()
        assert reply.body.count(b"\xff") == 1
        reply.body = reply.body.decode("utf-8", "replace").encode()
        assert reply.text == "a b\ufffd c"
        assert end_of(sim, f"bad bytes {style}").text == ["a b\ufffd c"]


def test_oversize_line(sim: SimProcess) -> None:
    reply = ask(sim.port, {"text": "a b c", "oversize_line": 2_000_000, "oversize_after": 2})
    lengths = [len(line) for line in reply.body.split(b"\n")]
    assert max(lengths) == lengths[6] == 2_000_000
    assert reply.text == "a b c"
    usual = ask(sim.port, {"text": "a b c", "oversize_line": 5000})
    assert len(usual.body.split(b"\n")[4]) == 5000


def test_the_end_marker_missing_doubled_or_not_last(sim: SimProcess) -> None:
    assert ask(sim.port, {"text": "a", "omit_done": True}).data.count("[DONE]") == 0
    assert ask(sim.port, {"text": "a", "duplicate_done": True}).data[-2:] == ["[DONE]", "[DONE]"]
    late = ask(sim.port, {"text": "a", "late_tokens": 2}, prompt="late ones")
    assert late.data[-3] == "[DONE]"
    assert late.text == "alate0 late1 "
    assert end_of(sim, "late ones").text == ["a"]


def test_endless(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"endless": True, "pace": 0.001}, prompt="never ends"))
        got = b""
        while got.count(b"data: ") < 100:
            got += sock.recv(1 << 16)
    end = end_of(sim, "never ends")
    assert end.ended == "closed_by_peer"
    assert end.tokens_sent >= 99
    assert closing_of(sim, "never ends").at - (end.last_token_at or 0) < 5


def kept(sim: SimProcess, cue: dict[str, object]) -> tuple[Reply, Reply]:
    """Two answers asked for on one connection."""
    with connect(sim.port) as sock:
        sock.sendall(request(cue))
        first = read(sock)
        try:
            sock.sendall(request({"text": "second"}))
            return first, read(sock)
        except (ConnectionResetError, BrokenPipeError):
            return first, Reply(ended="reset")


def test_connections_are_kept_and_closed(sim: SimProcess) -> None:
    first, second = kept(sim, {"text": "first"})
    assert (first.text, second.text) == ("first", "second")
    announced, none = kept(sim, {"text": "first", "connection_close": True})
    assert (announced.headers["connection"], announced.ended, none.head) == ("close", "chunked", b"")
    stale, none = kept(sim, {"text": "first", "close_idle_after": 1})
    assert ("connection" in stale.headers, stale.ended, none.head) == (False, "chunked", b"")
    late, second = kept(sim, {"text": "first", "close_idle_after": 2})
    assert (late.text, second.text) == ("first", "second")
    raced, none = kept(sim, {"text": "first", "close_next_request": True})
    assert (raced.text, none.head, none.ended) == ("first", b"", "reset")


@pytest.mark.parametrize(
    ("cue", "ended", "status"),
    [
        ({"cut_after": 1}, "eof", 200),
        ({"cut_after": 1, "cut": "reset"}, "reset", 200),
        ({"cut_at_byte": 10}, "eof", 200),
        ({"garbage_after": 1}, "length", 200),
        ({"error_after": 1}, "length", 500),
        ({"status": 503}, "length", 503),
    ],
)
def test_an_answer_in_one_piece_fails_too(sim: SimProcess, cue: dict[str, object], ended: str, status: int) -> None:
    reply = ask(sim.port, {"text": "a b c", **cue}, stream=False)
    assert (reply.ended, reply.status) == (ended, status)
    if status == 200:
        with pytest.raises(json.JSONDecodeError):
            json.loads(reply.body)


def test_an_answer_in_one_piece_stalls_in_its_middle(sim: SimProcess) -> None:
    with connect(sim.port) as sock:
        sock.sendall(request({"text": "a b c", "stall_after": 1}, stream=False, prompt="half a piece"))
        got = b""
        while b'{"id":"chatcmpl' not in got:
            got += sock.recv(4096)
    assert end_of(sim, "half a piece").ended == "stalled"
