"""HTTP upstreams: one request at one model endpoint, for one attempt."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time
from collections.abc import Callable, Collection, Sequence

from penstock.dialects import DIALECTS
from penstock.dialects.base import Request
from penstock.dialects.openai_chat.quirks import adapt
from penstock.dialects.openai_chat.read import ChatProbe
from penstock.exceptions import Overdue, Refused, UpstreamFailed
from penstock.policy.keys import KeyPool
from penstock.policy.notices import Notices
from penstock.streams.attempt import Attempt
from penstock.upstreams.connection import MAX_ERROR_BYTES, Connection
from penstock.upstreams.pool import Pool, Unreachable
from penstock.version import __version__

RESEND_SECONDS = 0.75
"""A kept connection that closes within this time of a request was closed while idle; later than that, it has been read."""

log = logging.getLogger("penstock.upstreams")


class HttpUpstream:
    """A model endpoint that speaks one of the dialects over HTTP. Its keys are used in turn (`penstock.policy.keys`)."""

    def __init__(
        self, name: str, dialect: str, pool: Pool, api_keys: Sequence[str], quirks: Collection[str] = ()
    ) -> None:
        self.name = name
        self._quirks = frozenset(quirks)
        self.dialect = dialect
        self.pool = pool
        self.keys = KeyPool(api_keys)
        self.notices = Notices()
        endpoint, proxy = pool.endpoint, pool.proxy
        self._base = endpoint.path
        head = []
        if proxy is not None and not endpoint.tls:
            self._base = f"http://{endpoint.authority}{endpoint.path}"
            if proxy.authorization:
                head.append(f"proxy-authorization: {proxy.authorization}")
        self._head = "\r\n".join(
            [
                " HTTP/1.1",
                f"host: {endpoint.authority}",
                f"user-agent: penstock/{__version__}",
                "accept: text/event-stream",
                "accept-encoding: identity",
                "content-type: application/json",
                *head,
                "",
            ]
        )

    def start(self, request: Request, model: str, attempt: Attempt) -> HttpCall:
        """Send the request, over an idle connection or a new one. Raises Refused."""
        dialect = DIALECTS[self.dialect]
        path, body, dropped = dialect.encode_request(request, model)
        own = request.headers if request.dialect == self.dialect else ()
        attempt.dropped = (*dropped, *(name for name, _ in request.headers if not own and name not in _ASSUMED))
        if self._quirks:
            body = adapt(body, self._quirks)
            if "no_done" in self._quirks and isinstance(attempt.probe, ChatProbe):
                attempt.probe.needs_done = False
        key = self.keys.take(time.monotonic())
        if self.keys.count > 1:
            attempt.facts["key"] = key + 1
        headers = dict(dialect.headers(self.keys.key(key))) | dict(own)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {self._base}{path}{self._head}{more}content-length: {len(body)}\r\n\r\n"
        call = HttpCall(self, attempt, key, head.encode("latin-1") + body)
        call.begin()
        return call


_ASSUMED = ("anthropic-version",)
"""Headers of a client's that ask for nothing, and are not missed where another dialect is spoken."""


class HttpCall:
    """One request, on one connection or, if a kept one turns out to be dead, on a second."""

    __slots__ = (
        "_attempt",
        "_connection",
        "_error",
        "_error_bytes",
        "_key",
        "_reading",
        "_request",
        "_retry_after",
        "_sent_at",
        "_status",
        "_task",
        "_upstream",
    )

    def __init__(self, upstream: HttpUpstream, attempt: Attempt, key: int, request: bytes) -> None:
        self._upstream = upstream
        self._key = key
        self._attempt = attempt
        self._request: bytes | None = request
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading = True
        self._sent_at = 0.0
        self._status = 0
        self._retry_after: float | None = None
        self._error: list[bytes] = []
        self._error_bytes = 0

    def begin(self) -> None:
        """Over a kept connection if there is one."""
        connection = self._upstream.pool.take()
        if connection is not None:
            self._send(connection)
        else:
            self._connect()

    # -- the attempt's side ---------------------------------------------------------------------------------------

    def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        connection, self._connection = self._connection, None
        self._request = None
        if connection is not None:
            connection.close()

    def release(self) -> None:
        connection, self._connection = self._connection, None
        self._request = None
        if connection is not None:
            connection.release()

    def pause(self) -> None:
        self._reading = False
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._reading = True
        if self._connection is not None:
            self._connection.resume()

    # -- the connection's side ---------------------------------------------------------------------------------------

    def head(self, status: int, headers: dict[bytes, bytes]) -> Callable[[bytes], None]:
        self._request = None  # from here on it will not be sent again
        self._status = status
        if not 200 <= status < 300:
            self._retry_after = parse_retry_after(headers.get(b"retry-after"))
            return self._error_body
        kind = headers.get(b"content-type", b"text/event-stream").split(b";")[0].strip().lower()
        if kind != b"text/event-stream":
            self._refuse(
                "upstream_protocol_error", f"the upstream answered {kind[:64].decode('ascii', 'replace')}, not a stream"
            )
        elif headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            self._refuse("upstream_protocol_error", "the upstream compressed the stream, which was not asked for")
        else:
            self._attempt.began()
        return self._attempt.feed

    def _error_body(self, data: bytes) -> None:
        self._error.append(data)
        self._error_bytes += len(data)
        if self._error_bytes > MAX_ERROR_BYTES:
            self._tell_error()

    def complete(self) -> None:
        self._connection = None
        if 200 <= self._status < 300:
            self._attempt.ended()
        else:
            self._tell_error()

    def broken(self, *, answered: bool, reason: str) -> None:
        connection, self._connection = self._connection, None
        idle = connection is not None and connection.reused and time.monotonic() - self._sent_at < RESEND_SECONDS
        if not answered and self._request is not None and idle:
            # A kept connection that was closed while idle: the request was never read. Once more, on a new one.
            try:
                self._connect()
            except Refused as refused:
                self._fail(UpstreamFailed(503, refused.code, refused.message, retry_after=refused.retry_after))
        elif self._status == 0:
            code = "upstream_protocol_error" if answered else "upstream_unreachable"
            self._attempt.fail(code, f"{reason} before it answered")
        elif 200 <= self._status < 300:
            if reason.startswith("the upstream sent what"):
                self._attempt.fail("upstream_protocol_error", reason)
            else:
                self._attempt.fail("upstream_truncated", f"{reason} in the middle of the answer")
        else:
            self._tell_error()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _send(self, connection: Connection) -> None:
        assert self._request is not None
        self._connection = connection
        self._sent_at = time.monotonic()
        self._attempt.connected()
        connection.send(self, self._request)
        if not self._reading:
            self.pause()

    def _connect(self) -> None:
        if not self._upstream.pool.reserve():
            raise Refused(503, "overloaded", "this server holds as many streams as it can", retry_after=1)
        self._task = asyncio.get_running_loop().create_task(self._connect_and_send())

    async def _connect_and_send(self) -> None:
        try:
            connection = await self._upstream.pool.connect(self._attempt.timeouts.connect)
        except Unreachable as error:
            self._task = None
            self._attempt.fail("upstream_unreachable", str(error))
            return
        except Overdue as error:
            self._task = None
            self._attempt.fail("upstream_timeout", str(error))
            return
        if self._task is None or self._request is None:
            connection.close()  # cancelled just as it came about
            return
        self._task = None
        if connection.transport is None or connection.transport.is_closing():
            self._attempt.fail("upstream_unreachable", "the upstream closed the connection before it answered")
            return
        self._send(connection)

    def _tell_error(self) -> None:
        body = b"".join(self._error)[:MAX_ERROR_BYTES]
        dialect = DIALECTS[self._upstream.dialect]
        failure = dialect.read_error(self._status, body, self._retry_after)
        name, keys = self._upstream.name, self._upstream.keys
        failure.other_key = keys.refused(self._key, self._status, self._retry_after, time.monotonic())
        if self._status in (401, 403, 429):
            more = self._upstream.notices.due((self._key, self._status), time.monotonic())
            if more is not None:
                log.warning("upstream %s refused key number %d with %d%s", name, self._key + 1, self._status, more)
        self._fail(failure)

    def _refuse(self, code: str, message: str) -> None:
        self._fail(UpstreamFailed(502, code, message))

    def _fail(self, failure: UpstreamFailed) -> None:
        """The attempt closes this call as it ends."""
        self._attempt.failed(failure)


def parse_retry_after(value: bytes | None) -> float | None:
    """Seconds, from a number or an HTTP date (RFC 9110, section 10.2.3); None if it is neither."""
    if value is None:
        return None
    text = value.decode("ascii", "replace").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = when.timestamp() - time.time()
    return min(max(seconds, 0.0), 86400.0) if seconds == seconds else None
