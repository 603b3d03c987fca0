"""Server-sent events: the WHATWG's rules, at every split, against a slow reader written straight from the standard."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.sse import Decoder, Message, Splitter

# -- the reference: all bytes at once, in the standard's own steps ---------------------------------------------------


def reference(stream: bytes) -> list[Message]:
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)
    dispatched = []
    data, kind, last_id, retry = "", "", "", None
    for line in lines[:-1]:  # what follows the last line end is an incomplete line
        if line == "":
            if data:
                dispatched.append(Message(data[:-1], kind or "message", last_id, retry))
            data, kind, retry = "", "", None
        elif ":" in line:
            name, value = line.split(":", 1)
            value = value[1:] if value[:1] == " " else value
        else:
            name, value = line, ""
        if line == "" or line[0] == ":":
            continue
        if name == "event":
            kind = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and re.fullmatch("[0-9]{1,18}", value):
            retry = int(value)
    return dispatched


def decoded(pieces: Iterable[bytes]) -> list[Message]:
    decoder = Decoder()
    return [message for piece in pieces for message in decoder.feed(piece)]


def split(pieces: Iterable[bytes]) -> list[bytes]:
    splitter = Splitter()
    return [block for piece in pieces for block in splitter.feed(piece)]


def canonical(messages: list[Message]) -> list[bytes]:
    """What the splitter makes of messages: their data and names, in one form."""
    return [sse.encode(m.data, "" if m.event == "message" else m.event) for m in messages]


def unnamed_message(blocks: list[bytes]) -> list[bytes]:
    """To a reader, an event named `message` and one without a name are the same."""
    return [block.removeprefix(b"event: message\n") for block in blocks]


# -- the standard's cases --------------------------------------------------------------------------------------------

BOM = b"\xef\xbb\xbf"

CASES: dict[str, tuple[bytes, list[Message]]] = {
    "one": (b"data: hello\n\n", [Message("hello")]),
    "no space": (b"data:hello\n\n", [Message("hello")]),
    "only the first space goes": (b"data:  hello \n\n", [Message(" hello ")]),
    "a tab is no space": (b"data:\thello\n\n", [Message("\thello")]),
    "a colon in the value": (b"data: a:b: c\n\n", [Message("a:b: c")]),
    "several lines": (b"data: a\ndata\ndata:b\n\n", [Message("a\n\nb")]),
    "empty data is data": (b"data\n\n", [Message("")]),
    "empty data with a colon": (b"data:\n\n", [Message("")]),
    "two empty lines of data": (b"data\ndata\n\n", [Message("\n")]),
    "LF, CR and CRLF": (b"data: a\n\ndata: b\r\rdata: c\r\n\r\n", [Message("a"), Message("b"), Message("c")]),
    "line ends mixed in one event": (b"data: a\rdata: b\r\ndata: c\n\r", [Message("a\nb\nc")]),
    "LF CR are two ends": (b"data: a\n\rdata: b\n\n", [Message("a"), Message("b")]),
    "mark": (BOM + b"data: a\n\n", [Message("a")]),
    "only one mark": (BOM + BOM + b"data: a\n\ndata: b\n\n", [Message("b")]),
    "a mark elsewhere is text": (b"data: a\n\n" + BOM + b"data: b\n\n", [Message("a")]),
    "a mark in the data is text": (b"data: " + BOM + b"a\n\n", [Message("\ufeffa")]),
    "half a mark is no mark": (b"\xef\xbbdata: a\n\ndata: b\n\n", [Message("b")]),
    "comment": (b": ping\n\n:\n:data: x\ndata: a\n: in between\ndata: b\n\n", [Message("a\nb")]),
    "name": (b"event: token\ndata: a\n\ndata: b\n\n", [Message("a", "token"), Message("b")]),
    "the last name counts": (b"event: x\nevent: y\ndata: a\n\n", [Message("a", "y")]),
    "an empty name is none": (b"event: x\nevent\ndata: a\n\n", [Message("a")]),
    "a name after the data": (b"data: a\nevent: x\n\n", [Message("a", "x")]),
    "a name alone does not dispatch, nor stay": (b"event: x\n\ndata: a\n\n", [Message("a")]),
    "names are case sensitive": (b"Data: no\nDATA: no\ndata: a\n\n", [Message("a")]),
    "a leading space makes another field": (b" data: no\ndata: a\n\n", [Message("a")]),
    "unknown fields": (b"datum: no\ndata: a\ndata x: no\n\n", [Message("a")]),
    "id stays": (b"id: 1\ndata: a\n\ndata: b\n\n", [Message("a", id="1"), Message("b", id="1")]),
    "id without data": (b"id: 7\n\ndata: a\n\n", [Message("a", id="7")]),
    "an empty id resets": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [Message("a", id="1"), Message("b")]),
    "an id with NUL is none": (b"id: 1\nid: 2\x003\ndata: a\n\n", [Message("a", id="1")]),
    "retry": (b"retry: 1000\ndata: a\n\ndata: b\n\n", [Message("a", retry=1000), Message("b")]),
    "retry is digits only": (b"retry: 1000x\nretry: -1\nretry: 1.5\nretry:\ndata: a\n\n", [Message("a")]),
    "retry knows only ASCII digits": ("retry: \u0663\ndata: a\n\n".encode(), [Message("a")]),
    "retry with leading zeros": (b"retry: 0010\ndata: a\n\n", [Message("a", retry=10)]),
    "retry without end": (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [Message("a")]),
    "NUL is text": (b"data: a\x00b\n\n", [Message("a\0b")]),
    "text": ("data: Größe 水 🦦\n\n".encode(), [Message("Größe 水 🦦")]),
    "bad bytes": (b"data: a\xffb\xc3\n\n", [Message("a\ufffdb\ufffd")]),
    "half a character before a line end": (b"data: \xe6\xb0\ndata: \xb4\n\n", [Message("\ufffd\n\ufffd")]),
    "a surrogate is no character": (b"data: \xed\xa0\x80\n\n", [Message("\ufffd\ufffd\ufffd")]),
    "other Unicode line ends are text": ("data: a\u2028b\u0085c\vd\n\n".encode(), [Message("a\u2028b\u0085c\vd")]),
    "cut off before the empty line": (b"data: a\n\ndata: b\n", [Message("a")]),
    "cut off in a line": (b"data: a\n\ndata: b", [Message("a")]),
    "empty lines": (b"\n\n\r\r\n\ndata: a\n\n\n\n", [Message("a")]),
    "nothing": (b"", []),
}

named = pytest.mark.parametrize(("stream", "messages"), CASES.values(), ids=CASES)


@named
def test_the_reference_reads_the_cases(stream: bytes, messages: list[Message]) -> None:
    assert reference(stream) == messages


@named
def test_decoder(stream: bytes, messages: list[Message]) -> None:
    assert decoded([stream]) == messages


@named
def test_decoder_at_every_split(stream: bytes, messages: list[Message]) -> None:
    for at in range(min(len(stream), 100) + 1):
        assert decoded([stream[:at], b"", stream[at:]]) == messages
    assert decoded(bytes([byte]) for byte in stream) == messages


@named
def test_splitter_at_every_split(stream: bytes, messages: list[Message]) -> None:
    expected = canonical(messages)
    assert split([stream]) == expected
    for at in range(min(len(stream), 100) + 1):
        assert split([stream[:at], b"", stream[at:]]) == expected
    assert split(bytes([byte]) for byte in stream) == expected


# -- every stream, every split ---------------------------------------------------------------------------------------

PIECES = [
    b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"data: x\n\n", b"data: y\n",
    b"a", b"12", b"\0", b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\xf0\x9f\xa6\xa6", b"\xf0\x9f", b"\xff",
]  # fmt: skip
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=40).map(b"".join)


@st.composite
def streams_in_pieces(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(streams_in_pieces())
@example([b"data: a\r", b"\n\r", b"\ndata: b\n\n"])
@example([b"data: a\n\r", b"data: b\n\n"])
@example([b"\xef", b"\xbb", b"\xbf", b"data: a\n\n"])
def test_any_split_reads_as_the_standard_says(pieces: list[bytes]) -> None:
    expected = reference(b"".join(pieces))
    assert decoded(pieces) == expected
    assert unnamed_message(split(pieces)) == canonical(expected)


plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
blocks_of = st.lists(
    st.one_of(
        plain_text.map(lambda text: sse.encode(text)),
        plain_text.map(lambda text: sse.encode(text, "token")),
        st.sampled_from(
            [
                b": ping\n\n",
                b"\n",
                b"id: 1\n\n",
                b"event: x\n",
                b"data: a\r\n\r\n",
                b"data: a\rdata: b\n\n",
                b"data: \xff\n\n",
            ]
        ),
    ),
    max_size=6,
)


@given(st.lists(blocks_of.map(b"".join), max_size=6))
def test_the_fast_path_reads_as_the_slow_one(reads: list[bytes]) -> None:
    """Reads of whole blocks take the fast path when they can; line by line nothing ever does."""
    fast, slow = Splitter(), Splitter()
    for read in reads:
        assert fast.feed(read) == [block for line in read.splitlines(keepends=True) for block in slow.feed(line)]


@pytest.mark.parametrize(
    "before", [b"", b"data: 0\n\n", b"data: 0\r\n\r", b"data: 0\r\r", b"event: x\n", b"event\n", b"data: 0\n", b"da"]
)
@pytest.mark.parametrize(
    "read", [b"data: 1\n\n", b"\ndata: 1\n\n", b"data: 1\n\ndata: 2\n\n", b"data: \xff\n\n", b"data: 1\rdata: 2\n\n"]
)
def test_the_fast_path_knows_what_came_before(before: bytes, read: bytes) -> None:
    assert unnamed_message(split([before, read])) == canonical(reference(before + read))


def test_a_plain_read_is_not_copied() -> None:
    splitter = Splitter()
    splitter.feed(b"data: first\n\n")
    read = b"data: second\n\n"
    assert splitter.feed(read)[0] is read


@given(st.lists(streams, max_size=3).map(b"".join))
def test_canonical_blocks_stay_as_they_are(stream: bytes) -> None:
    blocks = split([stream])
    assert split([b"".join(blocks)]) == blocks
    for block in blocks:
        assert re.fullmatch(rb"(event: [^\r\n]+\n)?(data: [^\r\n]*\n)+\n", block)


# -- writing ---------------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=10)


@given(st.text(st.characters(exclude_categories=["Cs"])), words, words)
def test_what_is_written_is_read(data: str, event: str, id: str) -> None:
    block = sse.encode(data, event, id)
    normal = re.sub("\r\n|\r", "\n", data)
    assert decoded([block]) == [Message(normal, event or "message", id)]
    (read,) = split([block])
    assert sse.payload(read) == normal.encode()
    assert sse.event_name(read) == event


@pytest.mark.parametrize("forged", ["a\ndata: x", "a\rb", "a\0b"])
def test_a_field_can_not_be_forged(forged: str) -> None:
    with pytest.raises(ValueError, match="event holds"):
        sse.encode("x", event=forged)
    with pytest.raises(ValueError, match="id holds"):
        sse.encode("x", id=forged)


def test_the_keepalive_is_no_event() -> None:
    assert split([b"data: a\n", sse.KEEPALIVE.removesuffix(b"\n"), b"data: b\n\n"]) == [b"data: a\ndata: b\n\n"]
    assert decoded([sse.KEEPALIVE, sse.KEEPALIVE]) == []


# -- bounds ----------------------------------------------------------------------------------------------------------

READERS: list[Any] = [Splitter, Decoder]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 100 + b"\n\n",
        b"data: " + b"x" * 100,
        b"data: xxxx\n" * 11 + b"\n",
        b"data\n" * 30 + b"\n",
        b"event: xxxxxx\n" * 10,
        b": " + b"x" * 100,
        b": " + b"x" * 100 + b"\n",
        b"id: " + b"x" * 100 + b"\n",
        b"data: a\n\ndata: b\n\ndata: " + b"x" * 100 + b"\n\n",
    ],
    ids=["line", "open line", "lines", "empty lines", "names", "open comment", "comment", "id", "a later one"],
)
def test_what_is_too_large_is_refused_however_it_comes(reader: Any, stream: bytes) -> None:
    for pieces in ([stream], [stream[:40], stream[40:]], [bytes([byte]) for byte in stream]):
        fed = reader(limit=100)
        with pytest.raises(ProtocolError, match="longer than 100 bytes"):
            _ = [fed.feed(piece) for piece in pieces]


@pytest.mark.parametrize("reader", READERS)
def test_what_is_just_small_enough_is_read(reader: Any) -> None:
    fed = reader(limit=100)
    for _ in range(3):
        assert len(fed.feed(b"data: " + b"x" * 94 + b"\n\n")) == 1
        assert len(fed.feed(b"data: xxxx\n" * 10 + b"\n")) == 1
    assert len(fed.feed(b"data: xxx\n\n" * 50)) == 50


@pytest.mark.parametrize("reader", READERS)
def test_comments_without_end_are_only_signs_of_life(reader: Any) -> None:
    fed = reader(limit=100)
    for _ in range(100):
        assert fed.feed(b": still thinking\n") == []
    assert len(fed.feed(b"data: a\n\n")) == 1


def test_a_megabyte_is_the_limit() -> None:
    splitter = Splitter()
    assert len(splitter.feed(b"data: " + b"x" * (sse.MAX_EVENT_BYTES - 6) + b"\n\n")) == 1
    with pytest.raises(ProtocolError):
        splitter.feed(b"data: " + b"x" * (sse.MAX_EVENT_BYTES - 5))


@pytest.mark.parametrize("reader", READERS)
def test_a_large_event_byte_by_byte_is_searched_once(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is counted: bytes that were searched for a line end."""
    searched = 0
    pattern = sse._LINE_END

    class Counting:
        split = pattern.split

        @staticmethod
        def finditer(buffer: bytearray, start: int) -> Any:
            nonlocal searched
            searched += len(buffer) - start
            return pattern.finditer(buffer, start)

    monkeypatch.setattr(sse, "_LINE_END", Counting)
    fed = reader()
    stream = b"data: " + b"x" * 20_000 + b"\ndata: y\n\n"
    assert len([block for byte in stream for block in fed.feed(bytes([byte]))]) == 1
    assert searched <= 2 * len(stream)


@pytest.mark.parametrize("reader", READERS)
def test_nothing_is_kept_of_what_was_read(reader: Any) -> None:
    fed = reader()
    for _ in range(50):
        fed.feed(b": " + b"c" * 1000 + b"\r\ndata: " + b"x" * 1000 + b"\r\n\r\n")
    assert len(fed._lines._buffer) == 0
    assert fed._data == []
    assert fed._size == 0
