"""The page: static files, read once when the server starts.

`make setup` and every wheel build it from `web/apps/studio` into `built/` beside this file, with compressed twins of all text:
nothing is compressed here, and streams never are. Files under `/assets/` have a hash of themselves in their names and are
kept by browsers for ever; the page itself is asked for anew each time.

The content security policy allows the page's own files and its own server, and nothing else: no inline script, no foreign
address, so that not even an answer that tries to can make the browser fetch something.
"""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from penstock.faces.asgi import Scope, Send, header, respond

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
"""By preference, with the ends of their files' names."""


class Variant(NamedTuple):
    """A file in one encoding."""

    body: bytes
    etag: bytes


class File(NamedTuple):
    """One file as it is sent, by encoding; `identity` is always there."""

    variants: dict[str, Variant]
    kind: bytes
    lasting: bool
    """Its name changes with what it holds."""


class Page:
    """`index.html` at `/` and at the conversations' addresses, `/c/...`; all others at their names."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        built = files(__name__) / "built"
        if built.is_dir():
            self._read(built, "")

    def _read(self, folder: Traversable, prefix: str) -> None:
        entries = {entry.name: entry for entry in folder.iterdir()}
        for name, entry in entries.items():
            if entry.is_dir():
                self._read(entry, f"{prefix}/{name}")
            elif not name.endswith(tuple(end for _, end in ENCODINGS)):
                variants = {"identity": _variant(entry)}
                variants |= {word: _variant(entries[name + end]) for word, end in ENCODINGS if name + end in entries}
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                if kind.startswith("text/") or name.endswith(".js"):
                    kind += "; charset=utf-8"
                address = "/" if (prefix, name) == ("", "index.html") else f"{prefix}/{name}"
                self._files[address] = File(variants, kind.encode(), prefix == "/assets")

    def find(self, path: str) -> File | None:
        """The file at `path`, if there is one."""
        return self._files.get("/" if path.startswith("/c/") and path.count("/") == 2 else path)

    async def send(self, file: File, scope: Scope, send: Send) -> None:
        """Answer with `file`, or with 304 when the browser has it."""
        accepted = {word.partition(";")[0].strip() for word in (header(scope, b"accept-encoding") or "").split(",")}
        word = next((word for word, _ in ENCODINGS if word in accepted and word in file.variants), "identity")
        body, etag = file.variants[word]
        headers = [
            (b"etag", etag),
            (b"cache-control", b"public, max-age=31536000, immutable" if file.lasting else b"no-cache"),
            (b"vary", b"accept-encoding"),
            (b"content-security-policy", POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]
        if header(scope, b"if-none-match") == etag.decode():
            await respond(send, 304, b"", headers)
            return
        if word != "identity":
            headers.append((b"content-encoding", word.encode()))
        await respond(send, 200, body, headers, file.kind)


def _variant(entry: Traversable) -> Variant:
    body = entry.read_bytes()
    return Variant(body, b'"%b"' % hashlib.sha256(body).hexdigest()[:20].encode())
