"""The `ui-messages` dialect: the Vercel AI SDK's UI message stream, version 1, as `useChat` speaks it.

Reference: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol. An answer is parts, one in each block's `data` and nothing
in `event`: `start`, `start-step`, then text and reasoning (`text-start`, `-delta`, `-end`) and calls of tools
(`tool-input-start`, `-delta`, `-available`), then `finish-step` and `finish`, and at last `data: [DONE]`. An answer that
failed has `error` in the place of `finish`, one that was cancelled `abort`. A request is the conversation as the page holds
it: messages of parts. Its model is named in the field `model`, which a page adds through the `body` of its transport.

    request.py    parse_request, encode_request
    messages.py   the conversation in a request, both ways
    read.py       the upstream's blocks: UIProbe, UIDecoder
    write.py      the client's blocks: UIEncoder
    collect.py    the answer in one piece
    errors.py     errors, in all their places
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.dialects.base import Description, Ending, Outgoing, Request
from penstock.dialects.ui_messages.collect import collect
from penstock.dialects.ui_messages.errors import error_body, read_error
from penstock.dialects.ui_messages.read import UIDecoder, UIProbe
from penstock.dialects.ui_messages.request import encode_request, parse_request
from penstock.dialects.ui_messages.write import UIEncoder, ending
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Event

__all__ = ["UIMessages"]


class UIMessages:
    """See the module. Has no state: one instance serves all."""

    name = "ui-messages"
    max_event_bytes = sse.MAX_EVENT_BYTES
    request_headers: Sequence[str] = ()

    def parse_request(self, body: bytes) -> Request:
        return parse_request(body)

    def encode_request(self, request: Request, model: str) -> Outgoing:
        return encode_request(request, model)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}")] if api_key else []

    def probe(self) -> UIProbe:
        return UIProbe()

    def decoder(self, about: Description) -> UIDecoder:
        return UIDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> UIEncoder:
        return UIEncoder(about)

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
