"""What types can't say of a configuration: names that lead somewhere, numbers that make sense."""

from __future__ import annotations

import re
import socket
import urllib.parse
from collections.abc import Iterator

from penstock.config.tables import Config, Gate, Limits, Timeouts, Upstream
from penstock.dialects import DIALECTS
from penstock.faces.access import is_loopback
from penstock.policy.limits import MOST
from penstock.upstreams.pool import parse_endpoint

MOST_WEIGHT = 1_000_000

TENANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TENANT_NAME_RULE = "must be 1 to 64 letters, digits, dots, dashes or underscores, and begin with a letter or a digit"

Problems = Iterator[tuple[str, str]]
"""Keys, and what is wrong with them."""


def problems(config: Config) -> Problems:
    """Everything that is wrong, in the file's order."""
    yield from _server(config)
    yield from _upstreams(config)
    yield from _routes(config)
    yield from _tenants(config)


def _server(config: Config) -> Problems:
    server = config.server
    if not 0 <= server.port <= 65535:
        yield "server.port", "must be from 0 to 65535"
    if not 0 <= server.grace < 1e9:
        yield "server.grace", "must be a number of seconds, and not negative"
    if server.max_body_bytes < 1024:
        yield "server.max_body_bytes", "must be at least 1024"
    for index, origin in enumerate(server.allowed_origins):
        if not re.fullmatch(r"https?://[^/\s*]+", origin):
            yield f"server.allowed_origins[{index}]", "an origin is scheme://host[:port], without a path"
    if not _is_host(server.host):
        yield "server.host", f"{server.host!r} is neither a name nor an address"
    if not config.tenant and not is_loopback(server.host):
        yield "server.host", "without a [[tenant]] only loopback may be served: anyone could use this server's keys"
    if config.storage.database is not None:
        yield from _database(config.storage.database)
    if config.storage.redis is not None:
        yield "storage.redis", "more than one node is not built yet: leave this out, and streams live in this process"


def _database(url: str) -> Problems:
    # The address itself is not shown: it may hold a password.
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql"):
        yield "storage.database", "PostgreSQL is not built yet: write sqlite:/// and a file's path"
    elif scheme != "sqlite" or not (rest == "" or rest.startswith("/")):
        yield "storage.database", "must be sqlite:/// and a file's path (a fourth slash begins an absolute one)"


def _upstreams(config: Config) -> Problems:
    names: set[str] = set()
    for index, upstream in enumerate(config.upstream):
        key = f"upstream[{index}]"
        if not upstream.name:
            yield f"{key}.name", "must not be empty"
        if upstream.name in names:
            yield f"{key}.name", f"there are two upstreams named {upstream.name!r}"
        names.add(upstream.name)
        if upstream.quirks and upstream.dialect != "openai-chat":
            yield f"{key}.quirks", 'only dialect = "openai-chat" has quirks'
        if upstream.max_failures < 0:
            yield f"{key}.max_failures", "must not be negative"
        if upstream.concurrent_streams is not None and upstream.concurrent_streams < 1:
            yield f"{key}.concurrent_streams", "must be at least 1; leave it out for any number"
        if upstream.dialect in DIALECTS:
            if upstream.base_url is None:
                yield key, "base_url is missing"
            elif upstream.function is not None:
                yield f"{key}.function", 'only dialect = "python" has a function'
            else:
                yield from _address(upstream.base_url, f"{key}.base_url")
            for number, api_key in enumerate(upstream.api_keys):
                if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
                    yield f"{key}.api_keys[{number}]", "a key is printable ASCII without spaces"
        elif upstream.dialect == "python":
            if upstream.function is None:
                yield key, f"function is missing: {FUNCTION}"
            else:
                yield from _function(upstream.function, f"{key}.function")
            yield from _unused(upstream, key, "base_url", "api_keys")
        elif upstream.dialect == "demo":
            yield from _unused(upstream, key, "base_url", "api_keys", "function")
        else:
            known = ", ".join([*DIALECTS, "python", "demo"])
            yield f"{key}.dialect", f"there is no dialect {upstream.dialect!r}; there are: {known}"


FUNCTION = '"package.module:name"'


def _function(path: str, key: str) -> Problems:
    """What can be known of a function's name without importing it."""
    module, _, name = path.partition(":")
    # A function that was given as such has its qualified name here, which may hold `<locals>` or `<lambda>`.
    words = [*module.split("."), *re.sub("<(locals|lambda)>", "_", name).split(".")]
    if not all(word.isidentifier() for word in words):
        yield key, f"a function is {FUNCTION}, not {path!r}"


def _address(url: str, key: str) -> Problems:
    """What can be known of an address without asking for it."""
    try:
        host = parse_endpoint(url).host
        port = urllib.parse.urlsplit(url).port
    except ValueError as error:
        yield key, str(error)
        return
    if not url.isascii():
        yield key, "an address is ASCII: a host is written as xn--..., and a path with %XX"
    if port == 0:
        yield key, "there is no port 0"
    if not _is_host(host):
        yield key, f"{host!r} is neither a name nor an address"


def _is_host(host: str) -> bool:
    """Whether there could be such a host: one that ends in digits is an IPv4 address, and has to be a true one."""
    try:
        if ":" in host:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        elif host.rpartition(".")[2].isdigit():
            socket.inet_aton(host)
        else:
            host.encode("idna")
    except (OSError, UnicodeError):
        return False
    return True


def _unused(upstream: Upstream, key: str, *names: str) -> Problems:
    for name in names:
        if getattr(upstream, name):
            yield f"{key}.{name}", f'an upstream with dialect = "{upstream.dialect}" has no {name}'


def _routes(config: Config) -> Problems:
    if not config.route:
        yield "route", "there is no [[route]]: nothing could be asked for"
    names = {upstream.name for upstream in config.upstream}
    models: set[str] = set()
    for index, route in enumerate(config.route):
        key = f"route[{index}]"
        if not route.model:
            yield f"{key}.model", "must not be empty"
        if route.model in models:
            yield f"{key}.model", f"there are two routes for {route.model!r}"
        models.add(route.model)
        if not route.targets:
            yield f"{key}.targets", "must not be empty"
        for number, target in enumerate(route.targets):
            if target.upstream not in names:
                yield f"{key}.targets[{number}].upstream", f"there is no upstream {target.upstream!r}"
            if not 0 <= (target.weight or 0) <= MOST_WEIGHT:
                yield f"{key}.targets[{number}].weight", f"must be from 0 to {MOST_WEIGHT}"
        for name in Timeouts.__struct_fields__:
            if name == "min_tokens_per_second":
                if not 0 <= route.timeouts.min_tokens_per_second < 1e9:
                    yield f"{key}.timeouts.{name}", "must be a number of tokens, and not negative"
            elif not 0 < getattr(route.timeouts, name) < 1e9:
                yield f"{key}.timeouts.{name}", "must be a positive number of seconds"
        if not 0 <= route.grace < 1e9:
            yield f"{key}.grace", "must be a number of seconds, and not negative"
        if route.retries is not None and not 0 <= route.retries <= 100:
            yield f"{key}.retries", "must be from 0 to 100"
        if route.max_tokens is not None and route.max_tokens < 1:
            yield f"{key}.max_tokens", "must be at least 1; leave it out for no limit"
        if not 0 <= route.queue.length <= 100_000:
            yield f"{key}.queue.length", "must be from 0 to 100000"
        if not 0 < route.queue.seconds < 1e9:
            yield f"{key}.queue.seconds", "must be a positive number of seconds"
        if route.gate is not None:
            yield from _gate(route.gate, f"{key}.gate")
        if route.price is not None and not (0 <= route.price.input < 1e9 and 0 <= route.price.output < 1e9):
            yield f"{key}.price", "a price is a number, and not negative"
        if route.hedge is not None and not 0 < route.hedge < 1e9:
            yield f"{key}.hedge", "must be a positive number of seconds"


def _gate(gate: Gate, key: str) -> Problems:
    if (gate.function is None) == (gate.url is None):
        yield key, "must have either a function or a url"
    if gate.function is not None:
        yield from _function(gate.function, f"{key}.function")
    if gate.url is not None:
        # Unlike an upstream's, this address is called as it is.
        yield from _address(re.sub(r"\?[^#]*", "", gate.url, count=1), f"{key}.url")
        if not gate.url.isascii() or not gate.url.isprintable() or " " in gate.url:
            yield f"{key}.url", "an address is printable ASCII: write the rest as %XX"
    if gate.window is not None and gate.window < 1:
        yield f"{key}.window", "must be at least 1"
    if not 0 < gate.timeout < 1e9:
        yield f"{key}.timeout", "must be a positive number of seconds"


def _hashes(digests: list[str], key: str, known: set[str]) -> Problems:
    for number, digest in enumerate(digests):
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            yield f"{key}[{number}]", "must be sha256: and 64 lower-case hexadecimal digits (see `penstock key new`)"
        if digest in known:
            yield f"{key}[{number}]", "this key is somebody's already"
        known.add(digest)


def _tenants(config: Config) -> Problems:
    models = {route.model for route in config.route}
    names: set[str] = set()
    hashes: set[str] = set()
    for index, tenant in enumerate(config.tenant):
        key = f"tenant[{index}]"
        if not TENANT_NAME.fullmatch(tenant.name):
            yield f"{key}.name", TENANT_NAME_RULE
        if tenant.name in names:
            yield f"{key}.name", f"there are two tenants named {tenant.name!r}"
        names.add(tenant.name)
        if not 1 <= tenant.weight <= MOST_WEIGHT:
            yield f"{key}.weight", f"must be from 1 to {MOST_WEIGHT}"
        for name in Limits.__struct_fields__:
            limit = getattr(tenant.limits, name) if tenant.limits is not None else None
            if limit is not None and limit < 1:
                yield f"{key}.limits.{name}", "must be at least 1; leave it out for no limit"
            if limit is not None and limit >= MOST:
                yield f"{key}.limits.{name}", f"must be below {MOST}; leave it out for no limit"
        if not tenant.key_hashes:
            yield key, "key_hashes is missing: keys made at run time are not built yet, so nobody could be this tenant"
        yield from _hashes(tenant.key_hashes, f"{key}.key_hashes", hashes)
        for number, model in enumerate(tenant.models or ()):
            if model not in models:
                yield f"{key}.models[{number}]", f"there is no route for {model!r}"
    yield from _hashes(config.server.admin_key_hashes, "server.admin_key_hashes", hashes)
