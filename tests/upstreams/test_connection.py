"""The upstream connection's reading of a response: however it is cut, the body is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.upstreams.connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport:
    """What a connection needs of one."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Pool:
    def __init__(self) -> None:
        self.kept: list[Connection] = []

    def put(self, connection: Connection) -> None:
        self.kept.append(connection)

    def gone(self, connection: Connection) -> None: ...
    def close_later(self, connection: Connection) -> None: ...


class Asked:
    """An exchange that writes down what it is told."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[bytes, bytes] = {}
        self.deliveries = 0
        self.end = ""

    def head(self, status: int, headers: dict[bytes, bytes]) -> Callable[[bytes], None]:
        self.headers = headers
        return self.deliver

    def deliver(self, data: bytes) -> None:
        self.body += data
        self.deliveries += 1

    def complete(self) -> None:
        self.end = "complete"

    def broken(self, *, answered: bool, reason: str) -> None:
        self.end = reason


class Scene:
    def __init__(self) -> None:
        self.pool = Pool()
        self.transport = Transport()
        self.connection = Connection(self.pool)  # type: ignore[arg-type]
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def ask(self, *reads: bytes) -> Asked:
        asked = Asked()
        self.connection.send(asked, b"GET / HTTP/1.1\r\n\r\n")
        for data in reads:
            if data and not self.transport.closed:
                self.connection.data_received(data)
        return asked


def chunk(data: bytes, size: str = "%x") -> bytes:
    return b"%b\r\n%b\r\n" % ((size % len(data)).encode(), data)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


# Line ends and hexadecimal digits in the text are what could be taken for framing.
texts = st.lists(st.text("\r\n0a5;", min_size=1, max_size=24).map(str.encode), max_size=8)


@given(
    texts,
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from(["%x", "%X", "%04x", "%x;part=1"]),
    st.booleans(),
)
@example([b"a", b"5\r\nhello\r\n"], [91, 97], "%x", True)
def test_a_body_is_the_same_however_it_is_cut(parts: list[bytes], places: list[int], size: str, whole: bool) -> None:
    scene = Scene()
    chunks = [chunk(part, size) for part in parts]
    wire = [HEAD, *chunks, b"0\r\n\r\n"] if whole else cut(HEAD + b"".join(chunks) + b"0\r\n\r\n", places)
    for _ in range(2):  # the second time over the kept connection
        asked = scene.ask(*wire)
        assert asked.body == b"".join(parts)
        assert asked.end == "complete"
    assert scene.pool.kept == [scene.connection] * 2


@given(texts, st.lists(st.integers(0, 60), max_size=6))
def test_a_body_without_chunks_is_the_same_however_it_is_cut(parts: list[bytes], places: list[int]) -> None:
    body = b"".join(parts)
    head = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(body))
    asked = Scene().ask(head, *cut(body, places))
    assert (asked.body, asked.end) == (body, "complete")


def test_one_read_is_one_delivery() -> None:
    asked = Scene().ask(HEAD, chunk(b"one"), chunk(b"two") + chunk(b"three"), chunk(b"four"), b"0\r\n\r\n")
    assert (asked.body, asked.deliveries) == (b"onetwothreefour", 3)


@pytest.mark.parametrize(
    "broken",
    [
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"6\r\nhello\r\n",
        b"4\r\nhello\r\n",
    ],
    ids=repr,
)
def test_what_is_no_chunk_is_not_taken_for_one(broken: bytes) -> None:
    """The parser's word counts: what it refuses is refused, and what it waits for is waited for."""
    asked = Scene().ask(HEAD, chunk(b"fine"), broken, chunk(b"more"))
    assert asked.body != b"finehellomore"
    assert asked.end != "complete"


def test_a_chunk_that_ends_like_a_whole_one_is_waited_for() -> None:
    """70,000 bytes of which the first 65,536 came: they end in a line end, and so does a whole chunk."""
    text = (b"x" * 65_529 + b"\r\n").ljust(70_000, b"y")
    wire = chunk(text)
    asked = Scene().ask(HEAD, chunk(b"-"), wire[:65_538], wire[65_538:], b"0\r\n\r\n")
    assert asked.body == b"-" + text
    assert asked.end == "complete"


def test_what_nobody_waits_for_closes_an_idle_connection() -> None:
    scene = Scene()
    scene.ask(HEAD, chunk(b"a"), b"0\r\n\r\n")
    scene.connection.data_received(chunk(b"b"))
    assert scene.transport.closed


def test_the_end_of_one_answer_is_not_the_middle_of_the_next() -> None:
    scene = Scene()
    scene.ask(HEAD, chunk(b"a"), chunk(b"b"), b"0\r\n\r\n")
    asked = scene.ask(chunk(b"c"))
    assert asked.body == b""
    assert scene.transport.closed


def test_trailers_are_not_the_next_head() -> None:
    scene = Scene()
    asked = scene.ask(HEAD, chunk(b"a"), b"0\r\nContent-Encoding: gzip\r\nX: y\r\n\r\n")
    assert (asked.body, asked.end) == (b"a", "complete")
    again = scene.ask(HEAD, chunk(b"b"), b"0\r\n\r\n")
    assert (again.body, again.end) == (b"b", "complete")
    assert b"content-encoding" not in again.headers


@pytest.mark.parametrize("surplus", [HEAD, HEAD + chunk(b"second") + b"0\r\n\r\n", b"junk\r\n\r\n", b"\x00"], ids=repr)
def test_what_follows_an_answer_in_its_last_read_is_no_part_of_it(surplus: bytes) -> None:
    scene = Scene()
    asked = scene.ask(HEAD + chunk(b"first") + b"0\r\n\r\n" + surplus)
    assert (asked.body, asked.end) == (b"first", "complete")
    assert scene.pool.kept == []
    assert scene.transport.closed


@pytest.mark.parametrize("junk", [b"zz\r\n", b"\x00\x00\r\n\r\n"], ids=repr)
def test_what_came_before_junk_in_one_read_is_delivered(junk: bytes) -> None:
    asked = Scene().ask(HEAD, chunk(b"one"), chunk(b"two") + junk)
    assert asked.body == b"onetwo"
    assert asked.end.startswith("the upstream sent what is not HTTP")
