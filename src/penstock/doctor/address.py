"""Where the doctor asks: what was typed, and where a redirect leads."""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

PATH = "/v1/doctor"
_ENDS = (PATH, "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/streams", "/v1/models", "/v1")
"""What people copy from their clients: all of them are below the same place."""

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
"""A name, or a number of IPv6 with its zone."""


class Address(NamedTuple):
    """Scheme, host, port and the whole path with its query."""

    tls: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What a Host header says."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    @property
    def url(self) -> str:
        return self.origin + self.target


def parse_address(text: str) -> Address:
    """The doctor's address of the server that `text` names; its query is left out. Raises ValueError.

    >>> parse_address("example.com/ai/v1/").url
    'https://example.com/ai/v1/doctor'
    """
    if "://" not in text:
        host = text.partition("/")[0].rpartition("@")[2]
        local = host.startswith(("localhost", "127.", "[::1]"))
        text = f"{'http' if local else 'https'}://{text}"
    found = _split(text)
    path = urllib.parse.urlsplit(text).path.rstrip("/")
    for end in _ENDS:
        if path.endswith(end):
            path = path.removesuffix(end)
            break
    return found._replace(target=urllib.parse.quote(path, safe="/%:@!$&'()*+,;=-._~") + PATH)


def join(base: Address, location: str) -> Address:
    """Where a redirect leads. Raises ValueError for what is no http address."""
    return _split(urllib.parse.urljoin(base.url, location))


def _split(text: str) -> Address:
    if any(c <= " " or c == "\x7f" for c in text):
        raise ValueError("an address holds no spaces or control characters")
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no credentials: the key goes into --key or PENSTOCK_KEY")
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    except UnicodeError:
        host = ""
    if not _HOST.fullmatch(host):
        raise ValueError("the host is no name that can exist")
    tls = parts.scheme == "https"
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=-._~?")
    port = parts.port if parts.port is not None else (443 if tls else 80)
    if port == 0:
        raise ValueError("port 0 is no port")
    return Address(tls, host, port, f"{path}?{query}" if query else path)
