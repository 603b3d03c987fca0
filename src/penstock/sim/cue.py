"""A cue: how the sim answers one request.

One table of keys serves wherever a cue comes from: `sim:{...}` in the last user message, or `[[cue]]` in a script file.

Which requests (all given must match; none given: every request)

| key                  | meaning |
|----------------------|---------|
| `model`              | glob on the requested model |
| `prompt`             | text contained in the last user message |
| `api_key`            | glob on the bearer token, `x-api-key` or `x-goog-api-key` |
| `times`              | used at most so often, then the next matching cue; an inline cue is counted per prompt |

What is said (a *token* below is one streamed piece of text, reasoning, refusal or tool arguments, in any choice)

| key                  | meaning |
|----------------------|---------|
| `text`               | the exact answer; split into words, or by `token_size` |
| `pieces`             | the exact answer, already split |
| `tokens`             | so many random tokens; the same for the same seed, prompt and choice |
| `token_size`         | characters in a token |
| `unicode`            | random tokens hold multi-byte text, emoji, quotes and newlines |
| `stamp`              | every token is the sender's `time.monotonic_ns()` and a space; `tokens`: how many (16) |
| `pad`                | characters of padding (`.`) before a stamp's space |
| `endless`            | random tokens (or stamps) until the peer closes, at most 600 s |
| `reasoning`          | said first, as reasoning |
| `refusal`            | said instead of text |
| `tool_calls`         | list of `{id, name, arguments}`; arguments: a string or any JSON; pieces of 8 characters |
| `seed`               | added to the server's seed for random tokens |
| `finish_reason`      | instead of the true one (`stop`, `length`, `tool_calls`) |
| `usage`              | object: sent instead of the true counts; `false`: never; `true`: even if not asked for |
| `usage_every_chunk`  | every chunk carries the usage so far |
| `usage_at`           | `chunk` (its own, `choices: []`), `finish` (in that chunk), `bare` (own, no `choices`) |
| `role_chunk`         | `false`: no chunk with only the role |
| `json_style`         | `compact`, `spaced` (after `:` and `,`), `escaped` (spaced, and all but ASCII as `\\uXXXX`) |

When (seconds)

| key                  | meaning |
|----------------------|---------|
| `header_delay`       | before the response headers |
| `first_token_delay`  | between headers (and role chunk) and the first token |
| `pace`               | between tokens, and before the finish chunk; 0: as fast as the peer reads, many in one write |
| `comments`           | send a `: keepalive` comment after so long without a byte, also while hanging or stalled |

How it is written

| key                  | meaning |
|----------------------|---------|
| `line_end`           | `"\\n"`, `"\\r\\n"` or `"\\r"` in the event stream |
| `bom`                | the body begins with a byte order mark |
| `split`              | body offsets to split writes at; a number N: every N bytes; `"every"`: at every byte |
| `split_pause`        | seconds between split writes; 0: one turn of the event loop |
| `coalesce`           | so many tokens in one write; `pace` still counts for each |
| `drip`               | body bytes per second |
| `status`             | answer with this status and an error body |
| `retry_after`        | the `Retry-After` header: seconds, or any string |
| `error_body`         | object: the error body of `status` or `error_after`; string: exactly these bytes |
| `redirect`           | 302 to this address |
| `headers`            | more response headers, or others instead of the usual ones |
| `content_type`       | instead of the right one |
| `http10`             | an HTTP/1.0 answer, the body ended by closing |
| `content_length`     | a stream with its length declared, not chunked |
| `connection_close`   | announce `Connection: close`, and close |
| `close_idle_after`   | close unannounced, once the connection has had so many answers |
| `close_next_request` | leave the connection open, and reset it when its next request comes |
| `raw`                | write exactly this (Latin-1) instead of an HTTP answer, and close |

Faults of a stream (`*_after`: so many tokens; beyond the last token means right after it, before the finish chunk)

| key                  | meaning |
|----------------------|---------|
| `hang`               | `connect`: accept, never answer; `headers`: headers, then nothing |
| `stall_after`        | then silence, the connection open |
| `cut_before_headers` | `cut` before any response byte |
| `cut_after`          | `cut` here |
| `cut_at_byte`        | `cut` after so many body bytes |
| `cut`                | `eof` (close, body not ended; the default), `reset` (RST), `half_close` (FIN, still reads), |
|                      | `clean` (body ended, but no end marker). Without a place: at the end of the body |
| `error_after`        | an error in the stream, and its end |
| `error_then_done`    | after that error, the end marker nevertheless |
| `garbage_after`      | an event that is not JSON; the answer goes on |
| `bad_sse`            | `bare_json` (no `data:`), `one_newline` (no empty lines), `html` (a page, no stream), |
|                      | `odd_fields` (lines that a decoder must ignore; the answer is whole) |
| `bad_utf8_after`     | the next token ends with the byte FF; the truth says U+FFFD |
| `oversize_line`      | one event's `data` line is this many bytes (JSON, then spaces) |
| `oversize_after`     | which one (1) |
| `omit_done`          | no end marker |
| `duplicate_done`     | the end marker twice |
| `late_tokens`        | so many tokens after the end marker; they are not part of the truth's text |

An answer that is not streamed waits `first_token_delay + pace * tokens`. In it, `stall_after`, `cut_after` and
`garbage_after` take place in the middle of the body, and `error_after` is a 500.
"""

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Positive = Annotated[int, Meta(ge=1, le=100_000_000)]

MARK = "sim:{"


class CueError(ValueError):
    """A cue that cannot be understood; the message names the key."""


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A tool call to make; see `tool_calls`."""

    name: str
    arguments: Any = msgspec.field(default_factory=dict)
    id: str | None = None

    def argument_text(self) -> str:
        """The arguments as they go over the wire."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


class Cue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How one request is answered; the module's docstring has the meaning of every key."""

    model: str | None = None
    prompt: str | None = None
    api_key: str | None = None
    times: Positive | None = None

    text: str | None = None
    pieces: list[str] | None = None
    tokens: Count | None = None
    token_size: Positive | None = None
    unicode: bool = False
    stamp: bool = False
    pad: Count = 0
    endless: bool = False
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    seed: int = 0
    finish_reason: str | None = None
    usage: dict[str, Any] | bool | None = None
    usage_every_chunk: bool = False
    usage_at: Literal["chunk", "finish", "bare"] = "chunk"
    role_chunk: bool = True
    json_style: Literal["compact", "spaced", "escaped"] = "compact"

    header_delay: Seconds = 0.0
    first_token_delay: Seconds = 0.0
    pace: Seconds = 0.0
    comments: Annotated[float, Meta(gt=0, le=3600)] | None = None

    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    bom: bool = False
    split: list[Positive] | Positive | Literal["every"] | None = None
    split_pause: Seconds = 0.0
    coalesce: Positive | None = None
    drip: Annotated[float, Meta(gt=0)] | None = None
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: float | str | None = None
    error_body: dict[str, Any] | str | None = None
    redirect: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    content_type: str | None = None
    http10: bool = False
    content_length: bool = False
    connection_close: bool = False
    close_idle_after: Positive | None = None
    close_next_request: bool = False
    raw: str | None = None

    hang: Literal["connect", "headers"] | None = None
    stall_after: Count | None = None
    cut_before_headers: bool = False
    cut_after: Count | None = None
    cut_at_byte: Count | None = None
    cut: Literal["eof", "reset", "half_close", "clean"] | None = None
    error_after: Count | None = None
    error_then_done: bool = False
    garbage_after: Count | None = None
    bad_sse: Literal["bare_json", "one_newline", "html", "odd_fields"] | None = None
    bad_utf8_after: Count | None = None
    oversize_line: Positive | None = None
    oversize_after: Count = 1
    omit_done: bool = False
    duplicate_done: bool = False
    late_tokens: Count = 0

    @property
    def cuts(self) -> bool:
        """Whether the answer ends other than it should."""
        return self.cut is not None or self.cut_after is not None or self.cut_at_byte is not None


def parse(keys: object) -> Cue:
    """A cue from a JSON object or a TOML table. Raises CueError, whose message names the key."""
    try:
        cue = msgspec.convert(keys, Cue)
    except msgspec.ValidationError as error:
        raise CueError(str(error)) from None
    if cue.endless and cue.content_length:
        raise CueError("`endless` has no `content_length`")
    if cue.split is not None and cue.drip is not None:
        raise CueError("`split` and `drip` exclude each other")
    return cue


def _no_constant(word: str) -> object:
    raise CueError(f"`{word}` is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def inline(message: str) -> list[Cue]:
    """Every `sim:{...}` in a message, in order. Raises CueError when one is not JSON or not a cue."""
    cues = []
    at = message.find(MARK)
    while at >= 0:
        try:
            keys, end = _decoder.raw_decode(message, at + len(MARK) - 1)
        except (json.JSONDecodeError, RecursionError) as error:
            raise CueError(f"not JSON after `sim:`: {error}") from None
        cues.append(parse(keys))
        at = message.find(MARK, end)
    return cues
