"""The `openai-chat` dialect: OpenAI's chat completions, streamed and not.

Reference: https://platform.openai.com/docs/api-reference/chat and /chat-streaming. An answer is a sequence of
`chat.completion.chunk` objects, then `data: [DONE]`; the usage comes in an extra chunk without choices when
`stream_options.include_usage` was asked for; an error in the stream is `{"error": {...}}` as data.

    request.py    parse_request, encode_request
    messages.py   what only this dialect has of a conversation and of tools
    chunks.py     what is read of a chunk, also of one that is not quite one
    read.py       the upstream's blocks: ChatProbe, ChatDecoder
    write.py      the client's blocks: ChatEncoder; the answer in one piece: collect
    assemble.py   the answer in one piece, from this dialect's own chunks
    errors.py     errors, in all their places
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.dialects.base import Description, Ending, Outgoing, Request
from penstock.dialects.openai_chat.assemble import assemble
from penstock.dialects.openai_chat.errors import error_body, read_error
from penstock.dialects.openai_chat.messages import note
from penstock.dialects.openai_chat.read import ChatDecoder, ChatProbe
from penstock.dialects.openai_chat.request import (
    MAX_CHOICES,
    Sampling,
    build_fields,
    effort_of,
    encode_request,
    parse_request,
    read_options,
)
from penstock.dialects.openai_chat.write import DONE, ChatEncoder, collect, ending
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Event

__all__ = [
    "DONE",
    "MAX_CHOICES",
    "OpenAIChat",
    "Sampling",
    "build_fields",
    "effort_of",
    "note",
    "read_error",
    "read_options",
]


class OpenAIChat:
    """See the module. Has no state: one instance serves all."""

    name = "openai-chat"
    max_event_bytes = sse.MAX_EVENT_BYTES
    request_headers: Sequence[str] = ("openai-beta",)

    def parse_request(self, body: bytes) -> Request:
        return parse_request(body)

    def encode_request(self, request: Request, model: str) -> Outgoing:
        return encode_request(request, model)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}")] if api_key else []

    def probe(self) -> ChatProbe:
        return ChatProbe()

    def decoder(self, about: Description) -> ChatDecoder:
        return ChatDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> ChatEncoder:
        return ChatEncoder(about, include_usage=include_usage)

    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        return ending(about, end, include_usage=include_usage)

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        return collect(about, events)

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        try:
            return assemble(about, blocks, end)
        except RecursionError:
            return None  # what is nested without end is nothing that events tell

    def error_body(self, refused: Refused) -> bytes:
        return error_body(refused)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)
