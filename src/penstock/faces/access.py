"""Who is asking: one function for every header and every transport.

With tenants configured, every request but the pages and the health checks carries a key. Without, the server listens on
loopback only, and everybody there is the tenant `local`; but a page of some other site, running in a browser on this
machine, is not: it names itself by its `Origin`, or by the name under which it reached us.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from penstock.exceptions import Refused
from penstock.faces.asgi import Scope, header
from penstock.gateway import Tenant

LOCAL = Tenant("local")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """The host is this machine's loopback, by name or address."""
    return host in LOOPBACK_NAMES or (host.startswith("127.") and host.replace(".", "").isdigit())


class Access:
    """Maps keys to tenants and origins to trust.

    `keys` maps a key's SHA-256 in hex to its tenant; empty = open. `admins` are such hashes of those who run the server.
    """

    def __init__(
        self,
        keys: Mapping[str, Tenant],
        allowed_origins: frozenset[str],
        *,
        check_host: bool,
        admins: Collection[str] = (),
    ) -> None:
        self._keys = keys
        self._admins = frozenset(admins)
        self._origins = allowed_origins
        self._check_host = check_host and not keys

    def tenant(self, scope: Scope) -> Tenant:
        """Raises Refused: 403 for a foreign page, 401 without a good key."""
        self.check_origin(scope)
        if not self._keys:
            return LOCAL
        key = _key(scope)
        if not key:
            raise Refused(401, "missing_api_key", "an API key is needed: `Authorization: Bearer <key>` or `x-api-key`")
        # What is compared is a hash of the whole key: how long the look-up takes says nothing about the key.
        tenant = self._keys.get(_digest(key))
        if tenant is None:
            raise Refused(401, "invalid_api_key", "this API key is not valid")
        return tenant

    def trace_reader(self, scope: Scope) -> Tenant | None:
        """Whose traces the caller may read; None = everybody's, for it runs this server. Raises Refused as `tenant` does."""
        self.check_origin(scope)
        key = _key(scope)
        if key and _digest(key) in self._admins:
            return None
        return self.tenant(scope)

    def check_origin(self, scope: Scope) -> None:
        """Raises Refused (403) for a page of a site that was not allowed, and for a foreign name of an open server."""
        host = header(scope, b"host") or ""
        if self._check_host and not is_loopback(_hostname(f"//{host}")):
            raise Refused(403, "host_not_allowed", "an open server answers only to its loopback names")
        origin = header(scope, b"origin")
        if origin is not None and not self.allows(origin) and _netloc(origin) != host:
            raise Refused(403, "origin_not_allowed", "this origin is not in server.allowed_origins")

    def allows(self, origin: str) -> bool:
        """The origin is one of `server.allowed_origins`."""
        return origin in self._origins


def _key(scope: Scope) -> str | None:
    return _bearer(header(scope, b"authorization")) or header(scope, b"x-api-key")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("latin-1")).hexdigest()


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _bearer(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, _, key = value.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
