"""The first page: static files, read once, without a build step.

The content security policy allows the page's own files and its own server, and nothing else: no inline script, no foreign
address, so that not even an answer that tries to can make the browser fetch something.
"""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files
from typing import NamedTuple

from penstock.faces.asgi import Scope, Send, header, respond

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = frozenset({".html", ".css", ".js", ".svg", ".woff2"})


class File(NamedTuple):
    """One file as it is sent."""

    body: bytes
    kind: bytes
    etag: bytes


class Page:
    """The files beside this one: `index.html` at `/`, all others under `/static/`."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        for entry in files(__name__).iterdir():
            if not any(entry.name.endswith(kind) for kind in KINDS):
                continue
            body = entry.read_bytes()
            kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
            if kind.startswith("text/") or entry.name.endswith(".js"):
                kind += "; charset=utf-8"
            etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:20].encode()
            address = "/" if entry.name == "index.html" else f"/static/{entry.name}"
            self._files[address] = File(body, kind.encode(), etag)

    def find(self, path: str) -> File | None:
        """The file at `path`, if there is one."""
        return self._files.get(path)

    async def send(self, file: File, scope: Scope, send: Send) -> None:
        """Answer with `file`, or with 304 when the browser has it."""
        headers = [
            (b"etag", file.etag),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]
        if header(scope, b"if-none-match") == file.etag.decode():
            await respond(send, 304, b"", headers)
        else:
            await respond(send, 200, file.body, headers, file.kind)
