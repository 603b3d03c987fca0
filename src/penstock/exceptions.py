"""What can go wrong, in one place.

    PenstockError
    ├── ConfigError            a wrong configuration file: names key and line
    ├── InvalidPosition        not `epoch:offset` or `epoch:offset.part`
    ├── ProtocolError          bytes that break the rules of their format
    ├── Refused                no answer was begun; told by an HTTP status and JSON in the caller's dialect
    │   ├── UpstreamFailed     the upstream did not begin an answer
    │   └── StorageFailed      what was to be kept could not be, or what is kept not be read
    └── Overdue                a deadline passed (internal to the connection)

Once an answer has begun, trouble is not raised but told: by an `Error` event (`penstock.wire.events`).
"""

from __future__ import annotations

from collections.abc import Sequence


class PenstockError(Exception):
    """The root of every error that Penstock raises on purpose."""


class ConfigError(PenstockError):
    """A configuration that cannot be served. The message is one line that names file, line and key."""


class InvalidPosition(PenstockError, ValueError):
    """Text that is no position, or a position that the stream cannot have."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a stream position: {text[:64]!r}")


class ProtocolError(PenstockError):
    """Bytes from outside that break the rules of the format they should be in."""

    before: Sequence[bytes] = ()
    """What the same bytes held before that, and is in order."""


class Overdue(PenstockError):
    """A deadline passed while a connection was being made."""


class Refused(PenstockError):
    """A request that is answered with an HTTP status instead of a stream.

    `status` is the HTTP status, `code` a stable word, `message` for people (never a secret, never a traceback),
    `param` the offending field if there is one, `retry_after` seconds, `retryable` whether the same request may succeed.
    """

    allow = ""
    """The methods that would have been right."""
    other_key = False
    """It was about one key of several, and another one is ready."""
    stream = ""
    """The stream that never began: its trace tells who was asked."""
    unread = False
    """It was refused before the request's body was read."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """What else the answer's head says."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.retryable = status in (408, 429) or status >= 500 if retryable is None else retryable


class UpstreamFailed(Refused):
    """The upstream refused, or failed before the first byte of an answer."""


class StorageFailed(Refused):
    """The storage does not work: full, locked, unreachable. Nothing was begun."""

    def __init__(self, message: str) -> None:
        super().__init__(503, "storage_unavailable", message, retry_after=5)
