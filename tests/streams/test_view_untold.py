"""Views of an answer that holds what their dialect has no words for."""

from __future__ import annotations

import pytest

from penstock.dialects.native import decode_event
from penstock.streams.delivery import Delivery
from penstock.streams.framing import Format
from penstock.wire import sse
from penstock.wire.events import Done, Error, Terminal
from tests.streams.river import Bowl, Time, follow, new_stream

pytestmark = pytest.mark.anyio

IMAGE = b'data: {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}]}\n\n'
SPOKEN = b'data: {"candidates":[{"content":{"parts":[{"text":"look"}]}}]}\n\n'
STOPPED = b'data: {"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}\n\n'


@pytest.mark.parametrize("delivery", ["stream", "tools", "buffer"])
@pytest.mark.parametrize("last", [Done("completed"), Done("cancelled"), Error("stalled", "silent", True, "stalled")])
def test_what_another_dialect_can_not_say_is_no_good_end_there(delivery: Delivery, last: Terminal) -> None:
    """The log has it, for those who can read it; all others are told what they miss, and keep what was said."""
    stream, whole = new_stream(Time().wheel, "gemini"), Format("native", True, delivery)
    own, native, late = Bowl(), Bowl(), Bowl()
    follow(stream, own, Format("gemini"))
    follow(stream, native, whole)
    for block in (SPOKEN, IMAGE, STOPPED):
        stream.append(block)
    stream.finish(0.0, None, None, last)
    follow(stream, late, whole)
    assert late.data == native.data
    assert (b"error" in own.data) == (last != Done("completed"))
    told = decode_event(sse.encode(native.messages[-1].data, native.names[-1]))
    if last == Done("completed"):
        assert isinstance(told, Error)
        assert (told.code, told.retryable) == ("unsupported_translation", False)
        assert told.message.endswith("inlineData (image/png)")
        assert native.text == ("" if delivery == "buffer" else "look")
    else:
        assert told == last
