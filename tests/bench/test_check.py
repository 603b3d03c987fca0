import pytest

from bench.check import Answer, Dechunker, Tally

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def token(stamp: int, pad: str = "", ident: str = "") -> bytes:
    line = f"id: {ident}\n" if ident else ""
    return f'{line}data: {{"choices":[{{"delta":{{"content":"{stamp}{pad} "}}}}]}}\n\n'.encode()


ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"
GOOD = [ROLE, token(1_000), token(2_000, pad="..."), token(3_000), DONE]


def whole(blocks: list[bytes]) -> bytes:
    return HEAD + b"".join(map(chunk, blocks)) + b"0\r\n\r\n"


def read(wire: bytes, step: int, *, expected: int = 3, ids: bool = False) -> Answer:
    tally = Tally()
    tally.recording = True
    answer = Answer(tally, expected, ids=ids)
    answer.sent_ns = 500
    for at in range(0, len(wire), step):
        answer.feed(wire[at : at + step], 5_000)
    return answer


@pytest.mark.parametrize("step", [1, 2, 7, 64, 100_000])
def test_a_good_answer_however_it_arrives(step):
    answer = read(whole(GOOD), step)
    assert (answer.over, answer.failure, answer.status, answer.tokens) == (True, None, 200, 3)
    assert answer.tally.events == 3
    assert answer.tally.latency.percentile(100) == pytest.approx(4_000, rel=0.01)
    assert answer.tally.first.percentile(50) == pytest.approx(4_500, rel=0.01)


@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_json_with_spaces(step):
    blocks = [block.replace(b'"content":"', b'"content": "') for block in GOOD]
    assert read(whole(blocks), step).failure is None


def test_a_good_answer_of_the_messages_api():
    said = [
        b'event: message_start\ndata: {"type":"message_start","message":{"content":[]}}\n\n',
        b'event: content_block_start\ndata: {"content_block":{"type":"text","text":""}}\n\n',
        *(
            b'event: content_block_delta\ndata: {"delta":{"type":"text_delta","text":"%d "}}\n\n' % at
            for at in (1, 2, 3)
        ),
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]
    answer = Answer(Tally(), 3, spoken="messages")
    answer.feed(whole(said), 5_000)
    assert (answer.over, answer.failure, answer.tokens) == (True, None, 3)


def test_latency_is_recorded_only_when_asked():
    tally = Tally()
    answer = Answer(tally, 3)
    answer.feed(whole(GOOD), 5_000)
    assert (tally.events, tally.latency.total) == (3, 0)


@pytest.mark.parametrize(
    ("blocks", "failure"),
    [
        ([token(1), token(2), DONE], "wrong number of tokens"),
        ([token(1), token(3), token(2), DONE], "tokens out of order or twice"),
        ([token(1), token(1), token(2), DONE], "tokens out of order or twice"),
        ([token(1), token(2), token(3)], "no [DONE]"),
        ([token(1), token(2), token(3), DONE, DONE], "[DONE] twice"),
        ([token(1), token(2), DONE, token(3)], "a token after [DONE]"),
        ([token(1), b'data: {"error":{"message":"no"}}\n\n', DONE], "error event"),
    ],
)
def test_what_is_wrong_is_named(blocks, failure):
    answer = read(whole(blocks), 100_000)
    assert answer.failure == failure
    assert answer.tally.failures == {failure: 1}


def test_a_refusal_is_its_status():
    answer = read(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", 1_000)
    assert (answer.status, answer.failure, answer.over) == (503, "status 503", True)


def test_a_cut_connection():
    tally = Tally()
    answer = Answer(tally, 3)
    answer.feed(whole(GOOD)[:-80], 5_000)
    answer.end()
    assert answer.failure == "no [DONE]"
    untouched = Answer(tally, 3)
    untouched.end()
    assert untouched.failure == "closed before any status"


def numbered(*idents: str) -> bytes:
    *tokens, last = idents
    blocks = [token(number + 1, ident=ident) for number, ident in enumerate(tokens)]
    return whole([*blocks, f"id: {last}\n".encode() + DONE])


@pytest.mark.parametrize(
    "idents", [("e:1", "e:2", "e:3", "e:4"), ("e:1.1", "e:1.2", "e:1", "e:2"), ("e:1", "e:2.1", "e:2", "e:3")]
)
def test_contiguous_ids(idents):
    assert read(numbered(*idents), 100_000, ids=True).failure is None


@pytest.mark.parametrize(
    "idents",
    [
        ("e:1", "e:3", "e:4", "e:5"),
        ("e:1", "e:1", "e:2", "e:3"),
        ("e:2", "e:3", "e:4", "e:5"),
        ("e:1", "f:2", "f:3", "f:4"),
    ],
)
def test_a_gap_in_the_ids(idents):
    assert read(numbered(*idents), 100_000, ids=True).failure == "a gap in the ids"


def test_ids_that_are_missing():
    assert read(whole(GOOD), 100_000, ids=True).failure == "a block without id"


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_dechunking(step):
    wire = chunk(b"hello ") + chunk(b"w" * 300) + b"0\r\n\r\n"
    chunks = Dechunker()
    body = b"".join(chunks.feed(wire[at : at + step]) for at in range(0, len(wire), step))
    assert body == b"hello " + b"w" * 300
    assert chunks.ended


def test_broken_chunks_are_an_error():
    with pytest.raises(ValueError, match="invalid literal"):
        Dechunker().feed(b"zz\r\nhello\r\n")
