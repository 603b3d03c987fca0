"""The `anthropic` dialect: Anthropic's Messages API, streamed and not.

Reference: https://platform.claude.com/docs/en/api/messages and /build-with-claude/streaming. An answer is `message_start`,
then content blocks one after the other (`content_block_start`, `_delta`s, `_stop`), then `message_delta` with the reason of
the end and the usage, then `message_stop`; `ping` may come anywhere; an error in the stream is `event: error`. Every event
names its type twice: as the block's `event`, and in its JSON, which is the one that counts here.

    request.py    parse_request, encode_request
    messages.py   the conversation in a request, both ways
    content.py    images and documents in it, both ways
    thinking.py   how much to think, and how much to say
    models.py     what models take
    read.py       the upstream's blocks: MessagesProbe, MessagesDecoder
    write.py      the client's blocks: MessagesEncoder
    collect.py    the answer in one piece
    errors.py     errors, in all their places
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.dialects.anthropic.assemble import assemble
from penstock.dialects.anthropic.collect import collect
from penstock.dialects.anthropic.errors import error_body, read_error
from penstock.dialects.anthropic.read import MessagesDecoder, MessagesProbe
from penstock.dialects.anthropic.request import encode_request, parse_request
from penstock.dialects.anthropic.write import MessagesEncoder, ending
from penstock.dialects.base import Description, Ending, Outgoing, Request
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Event

__all__ = ["VERSION", "Anthropic"]

VERSION = "2023-06-01"
"""The version of the API that is spoken here: https://platform.claude.com/docs/en/api/versioning.

What 2026-10-21 allows, this one allows too, and sampling besides; what it answers is the same.
"""


class Anthropic:
    """See the module. Has no state: one instance serves all."""

    name = "anthropic"
    max_event_bytes = sse.MAX_EVENT_BYTES
    request_headers: Sequence[str] = ("anthropic-beta", "anthropic-version")

    def parse_request(self, body: bytes) -> Request:
        return parse_request(body)

    def encode_request(self, request: Request, model: str) -> Outgoing:
        return encode_request(request, model)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        version = [("anthropic-version", VERSION)]
        return [("x-api-key", api_key), *version] if api_key else version

    def probe(self) -> MessagesProbe:
        return MessagesProbe()

    def decoder(self, about: Description) -> MessagesDecoder:
        return MessagesDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> MessagesEncoder:
        return MessagesEncoder(about)

    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        return ending(end)

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        return collect(about, events)

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        return assemble(about.model, blocks)

    def error_body(self, refused: Refused) -> bytes:
        return error_body(refused)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)
