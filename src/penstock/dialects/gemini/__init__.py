"""The `gemini` dialect: Google's Gemini API, `models/NAME:streamGenerateContent?alt=sse`.

Reference: https://ai.google.dev/api/generate-content. An answer is a sequence of whole `GenerateContentResponse` objects,
each with the parts that are new: text, thoughts (`thought: true`), function calls with all their arguments at once.
`usageMetadata` in any of them is the count so far. There is no end marker: the last object has a `finishReason` (or, for
a prompt that was blocked, `promptFeedback.blockReason`), and then the connection ends; without it the answer was cut.

    request.py    encode_request: everybody's words -> a `GenerateContentRequest`
    parse.py      parse_request: a `GenerateContentRequest` -> everybody's words
    read.py       the upstream's blocks: GeminiProbe, GeminiDecoder
    write.py      the client's blocks: GeminiEncoder; the answer in one piece: collect
    schema.py     the JSON of functions: their arguments and their schemas
    errors.py     errors, in all their places
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.dialects.base import Description, Ending, Outgoing, Request
from penstock.dialects.gemini.errors import error_body, read_error
from penstock.dialects.gemini.parse import parse_request
from penstock.dialects.gemini.read import GeminiDecoder, GeminiProbe
from penstock.dialects.gemini.request import encode_request
from penstock.dialects.gemini.write import GeminiEncoder, collect, ending
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Event

__all__ = ["Gemini"]


class Gemini:
    """See the module. Has no state: one instance serves all."""

    name = "gemini"
    max_event_bytes = 8 * sse.MAX_EVENT_BYTES  # an image comes in one event
    request_headers: Sequence[str] = ()

    def parse_request(self, body: bytes) -> Request:
        return parse_request(body)

    def encode_request(self, request: Request, model: str) -> Outgoing:
        return encode_request(request, model)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("x-goog-api-key", api_key)] if api_key else []

    def probe(self) -> GeminiProbe:
        return GeminiProbe()

    def decoder(self, about: Description) -> GeminiDecoder:
        return GeminiDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> GeminiEncoder:
        return GeminiEncoder(about, include_usage=include_usage)

    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        return ending(end)

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        return collect(about, events)

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        return None

    def error_body(self, refused: Refused) -> bytes:
        return error_body(refused)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)
