"""A request as it came, and the head of the response to it."""

from http import HTTPStatus

import msgspec

from penstock.sim.cue import Cue


class Request(msgspec.Struct):
    """One HTTP request, whole."""

    method: str
    target: str
    headers: dict[str, str]
    """Lowercased names."""
    body: bytes
    keep_alive: bool
    http10: bool

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def api_key(self) -> str:
        """The key the client shows, by whichever header; empty when it shows none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
        return self.headers.get("x-api-key") or self.headers.get("x-goog-api-key", "")


class Head:
    """The head of a response, and how its body is framed."""

    def __init__(self, request: Request, cue: Cue, number: int, status: int, content_type: str, stream: bool) -> None:
        self.status = status
        self.length: int | None = None
        """Body bytes, where they are declared."""
        self.delay = 0.0
        """Seconds a body in one piece takes to be made, before the headers."""
        self.sent = False
        self._http10 = cue.http10 or request.http10
        self.chunked = stream and not self._http10 and not cue.content_length
        """Otherwise the body ends at its length, or by closing."""
        close_delimited = self._http10 and stream
        self.keep_alive = request.keep_alive and not close_delimited and not cue.http10 and not cue.connection_close
        self._raw = cue.raw
        if cue.raw is not None:
            self.chunked = self.keep_alive = False
        self._headers = {
            "content-type": content_type if cue.content_type is None else cue.content_type,
            "x-request-id": f"req_sim{number}",
        }
        if stream:
            self._headers["cache-control"] = "no-cache"
        if cue.retry_after is not None:
            after = cue.retry_after
            self._headers["retry-after"] = after if isinstance(after, str) else f"{after:g}"
        if cue.redirect is not None:
            self._headers["location"] = cue.redirect
        self._more = {name.lower(): value for name, value in cue.headers.items()}

    def encode(self) -> bytes:
        """The head's bytes, just before they are written."""
        self.sent = True
        if self._raw is not None:
            return self._raw.encode("latin-1", "replace")
        headers = dict(self._headers)
        if self.chunked:
            headers["transfer-encoding"] = "chunked"
        elif self.length is not None and not (self._http10 and not self.keep_alive):
            headers["content-length"] = str(self.length)
        if not self.keep_alive:
            headers["connection"] = "close"
        elif self._http10:
            headers["connection"] = "keep-alive"
        headers |= self._more
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.{0 if self._http10 else 1} {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
