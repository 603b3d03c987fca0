"""The bytes of an answer, however they are cut, compressed or broken."""

from __future__ import annotations

import gzip
import itertools
import zlib
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.doctor.answer import MAX_SHOWN_BYTES, Answer
from penstock.doctor.observation import Asked, Observation

START = (
    b'id: abc123:1\nevent: start\ndata: {"events":2,"http":"1.0","via":"1.1 x","forwarded":["cf-ray"],"comments":1}\n\n'
    b": keepalive\n\n"
)
BLOCKS = [
    START,
    b'id: abc123:2\nevent: probe\ndata: {"n":1,"at":0.001}\n\n',
    b'id: abc123:3\nevent: probe\ndata: {"n":2,"at":0.101,"pad":"..."}\n\n',
    b'id: abc123:4\nevent: done\ndata: {"at":0.2}\n\n',
]
BODY = b"".join(BLOCKS)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nServer-Timing: penstock;dur=1.5\r\n"


def chunked(*parts: bytes, end: bool = True) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if end else b"")


WHOLE = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*BLOCKS)


def read(*reads: bytes, how: Literal["closed", "reset", "late"] | None = "closed", most: int = 100_000) -> Observation:
    """One read each second; then the connection ends."""
    seen = Observation(url="http://x/", asked=Asked(events=2))
    answer = Answer(seen, most)
    for now, data in enumerate(reads):
        answer.feed(data, float(now))
    if how is not None:
        answer.end(how, float(len(reads)))
    return seen


def test_every_event_has_the_time_of_the_read_that_completed_it() -> None:
    seen = read(WHOLE[:60], WHOLE[60:-90], WHOLE[-90:], how=None)
    assert (seen.status, seen.http, seen.chunked, seen.ended, seen.ended_at) == (200, "1.1", True, "complete", 2.0)
    assert seen.times.first_byte == 0.0
    assert seen.times.server == pytest.approx(0.0015)
    assert seen.start is not None
    assert (seen.start.http, seen.start.via, seen.start.forwarded) == ("1.0", "1.1 x", ["cf-ray"])
    assert [(one.number, one.sent, one.came, one.id, one.read) for one in seen.arrivals] == [
        (1, 0.001, 1.0, "abc123:2", 2),
        (2, 0.101, 2.0, "abc123:3", 3),
    ]
    assert (seen.start_id, seen.comments, seen.done, seen.body) == ("abc123:1", 1, True, "")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_cuts_change_nothing_but_times(places: list[int]) -> None:
    cuts = [0, *sorted(places), len(WHOLE)]
    seen = read(*(WHOLE[a:b] for a, b in itertools.pairwise(cuts) if a < b))
    whole = read(WHOLE)
    assert [(one.number, one.sent, one.id) for one in seen.arrivals] == [
        (one.number, one.sent, one.id) for one in whole.arrivals
    ]
    assert (seen.comments, seen.done, seen.ended, seen.headers) == (1, True, "complete", whole.headers)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compression_is_undone_as_it_comes(coding: str) -> None:
    packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    parts = [packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH) for block in BLOCKS]
    head = OK + b"Content-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % coding.encode()
    seen = read(head, *(chunked(part, end=False) for part in parts))
    assert [one.came for one in seen.arrivals] == [2.0, 3.0]
    assert (seen.done, seen.comments) == (True, 1)


def test_an_answer_without_length_and_chunks_ends_with_its_connection() -> None:
    assert read(b"HTTP/1.0 200 OK\r\n\r\n" + BODY).ended == "complete"
    assert read(OK + b"\r\n" + BODY, how="reset").ended == "reset"
    assert read(OK + b"Content-Length: 9999\r\n\r\n" + BODY).ended == "closed"
    assert read(WHOLE[:-5]).ended == "closed"
    assert read(OK).ended == "closed", "the head itself was not whole"
    assert read().ended == "closed"


def test_early_hints_and_trailers_are_no_heads() -> None:
    seen = read(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + WHOLE[:-2] + b"Server: late\r\n\r\n")
    assert (seen.status, seen.ended, seen.done) == (200, "complete", True)
    assert (seen.header("link"), seen.header("server")) == ("", "")


def test_what_is_no_stream_of_ours_is_shown_in_part() -> None:
    page = b"<!doctype html>" + b"x" * 10_000
    seen = read(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
    assert (seen.begun, len(seen.body)) == (False, MAX_SHOWN_BYTES)
    refused = read(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")
    assert (refused.status, refused.body, refused.ended) == (401, "{}", "complete")


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/2 200 OK\r\n\r\n", "no HTTP"),
        (OK + b"Content-Encoding: br\r\n\r\nx", "br"),
        (OK + b"Content-Encoding: gzip\r\n\r\nnot gzip at all", "compression is broken"),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"\0" * 10_000_000), "compression hides"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (OK + b"\r\nevent: start\ndata: [1]\n\n", "not the doctor's"),
        (OK + b"\r\n" + BLOCKS[0] + b'event: probe\ndata: {"n":"x"}\n\n', "not the doctor's"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol"),
    ],
)
def test_what_can_not_be_read_says_why(wire: bytes, why: str) -> None:
    seen = read(wire)
    assert seen.ended == "broken"
    assert why in seen.why


def test_a_flood_is_stopped() -> None:
    flood = chunked(b"data: x\n\n" * 100, end=False)
    seen = read(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BLOCKS[0], end=False), *[flood] * 50, most=10_000)
    assert seen.ended == "flood"
    assert seen.ended_at < 30
    assert read(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, how=None).ended in ("flood", "broken")


def test_what_is_no_comment_is_not_counted() -> None:
    body = b'event: start\ndata: {"events":1}\n\nevent: probe\ndata: {"n":1,"at":0.5,"pad":" : :"}\n\n'
    assert read(OK + b"\r\n" + body).comments == 0
    assert read(OK + b"\r\n" + b":one\n\n" + body, b":two\n\n").comments == 2


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_too_wild(noise: bytes, in_body: bool) -> None:
    seen = read(
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BLOCKS[0], end=False) if in_body else b"") + noise
    )
    assert seen.ended in ("complete", "closed", "broken", "flood")
    msgspec.json.encode(seen)
