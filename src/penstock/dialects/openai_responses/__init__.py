"""The `openai-responses` dialect: OpenAI's Responses API, streamed and not.

Reference: https://platform.openai.com/docs/api-reference/responses and /responses-streaming. An answer is a list of items
(reasoning, message, function calls), each added, filled and done, between `response.created` and one of
`response.completed`, `response.incomplete` and `response.failed`, which repeat all of it. Events are numbered from 0 by
`sequence_number`, and name their type twice: as the block's `event`, and in its JSON, which is the one that counts here.

    request.py    parse_request, encode_request
    items.py      the conversation in a request, both ways
    shapes.py     the shapes of an upstream's events
    read.py       the upstream's blocks: ResponsesProbe, ResponsesDecoder
    heard.py      what of an answer has been told, for all is said several times
    write.py      the client's blocks: ResponsesEncoder
    whole.py      the response object: the answer in one piece
    errors.py     errors, in all their places
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.dialects.base import Description, Ending, Outgoing, Request
from penstock.dialects.openai_chat.errors import error_body, read_error
from penstock.dialects.openai_responses.errors import error_block
from penstock.dialects.openai_responses.read import ResponsesDecoder, ResponsesProbe
from penstock.dialects.openai_responses.request import encode_request, parse_request
from penstock.dialects.openai_responses.whole import assemble, collect
from penstock.dialects.openai_responses.write import ResponsesEncoder
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Event

__all__ = ["OpenAIResponses"]


class OpenAIResponses:
    """See the module. Has no state: one instance serves all."""

    name = "openai-responses"
    # The last event repeats the whole answer, the first one the instructions and tools.
    max_event_bytes = 8 * sse.MAX_EVENT_BYTES
    request_headers: Sequence[str] = ("openai-beta",)

    def parse_request(self, body: bytes) -> Request:
        return parse_request(body)

    def encode_request(self, request: Request, model: str) -> Outgoing:
        return encode_request(request, model)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}")] if api_key else []

    def probe(self) -> ResponsesProbe:
        return ResponsesProbe()

    def decoder(self, about: Description) -> ResponsesDecoder:
        return ResponsesDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> ResponsesEncoder:
        return ResponsesEncoder(about)

    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        # The upstream's own last event is in its log; an answer that did not end well has none.
        if isinstance(end.last, Done) and end.last.outcome != "cancelled":
            return []
        return [error_block(end.last, end.entries)]

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        return collect(about, events)

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        return assemble(about, blocks)

    def error_body(self, refused: Refused) -> bytes:
        return error_body(refused)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)
