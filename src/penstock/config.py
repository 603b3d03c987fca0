"""Configuration: one TOML file, read strictly.

Any text value may be `env:NAME`, read from the environment. An unknown key, a wrong type or a name that leads nowhere is a
ConfigError of one line that names the file, the line and the key. What this version reads but does not act on yet is said
in `Config.notes`; what would be wrong to ignore is an error.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from penstock.dialects import DIALECTS, PLANNED
from penstock.exceptions import ConfigError
from penstock.faces.access import is_loopback
from penstock.policy.delivery import Wish
from penstock.upstreams.pool import parse_endpoint


class _Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Server(_Table):
    host: str = "127.0.0.1"
    port: int = 8080
    allowed_origins: list[str] = []
    grace: float = 30.0
    """Seconds that running streams have to finish after SIGTERM, before they are ended as `interrupted`."""
    max_body_bytes: int = 8 * 1024 * 1024


class Storage(_Table):
    database: str | None = None
    redis: str | None = None


class Upstream(_Table):
    name: str
    dialect: str
    base_url: str | None = None
    api_keys: list[str] = []
    function: str | None = None
    max_failures: int = 10
    """So many failures in a row, and it is left alone for a while (0 = never)."""


class Target(_Table):
    upstream: str
    model: str | None = None
    weight: int | None = None
    """The share of requests that are asked here first. Without any weight: in the order given."""


class Timeouts(_Table):
    """Seconds."""

    connect: float = 5.0
    first_token: float = 60.0
    silence: float = 30.0
    total: float = 600.0


class Route(_Table):
    model: str
    targets: list[Target]
    on_abandon: Literal["cancel", "finish"] = "cancel"
    grace: float = 15.0
    """Seconds without a reader after which an abandoned answer is cancelled."""
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    retries: int | None = None
    """Most attempts after the first one. Left out: each further target once."""
    delivery: Wish = "stream"
    """How answers are delivered, unless the client says."""
    gate: Gate | None = None
    hedge: float | None = None
    """Seconds without a token after which the next target is asked as well; the first token wins."""


class Gate(_Table):
    """Who sees an answer's text before any client does."""

    function: str | None = None
    url: str | None = None
    window: int | None = None
    """Characters that are held back at most; left out: the whole answer."""
    timeout: float = 10.0


class Limits(_Table):
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_day: int | None = None


class Tenant(_Table):
    name: str
    key_hashes: list[str] = []
    weight: int = 1
    limits: Limits | None = None
    models: list[str] | None = None


class Config(_Table):
    server: Server = msgspec.field(default_factory=Server)
    storage: Storage = msgspec.field(default_factory=Storage)
    upstream: list[Upstream] = []
    route: list[Route] = []
    tenant: list[Tenant] = []

    @property
    def notes(self) -> list[str]:
        """What this version reads and does not act on yet, one sentence each."""
        notes = []
        if self.storage.database is not None:
            notes.append("storage.database is read, but nothing is stored in it yet: streams live in memory")
        if any(tenant.limits is not None for tenant in self.tenant):
            notes.append("tenant.limits are read, but not enforced yet")
        if any(tenant.weight != 1 for tenant in self.tenant):
            notes.append("tenant.weight is read, but shares are not weighed yet")
        return notes


def load(path: str | Path) -> Config:
    """Read and check the file at `path`. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str = "configuration") -> Config:
    """Read and check a configuration. `name` is what messages call it. Raises ConfigError."""
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # also what is no TOMLDecodeError: a number of more digits than Python reads
        message, _, place = str(error).rpartition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f"{name}:{line[1] if line else text.count(chr(10)) + 1}" if place.startswith(("line", "end")) else name
        raise ConfigError(_one_line(f"{where}: {message or error}")) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    return convert(raw, name, _lines(text))


def convert(raw: dict[str, Any], name: str = "configuration", lines: dict[str, int] | None = None) -> Config:
    """Check a configuration that is a dictionary already. Raises ConfigError."""
    where = _Where(name, lines or {})
    resolved = _resolve(raw, "", where)
    try:
        config = msgspec.convert(resolved, Config)
    except msgspec.ValidationError as error:
        raise where.error_of(error) from None
    check(config, where)
    return config


def _one_line(message: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


class _Where:
    """Where a key stands in the file."""

    def __init__(self, name: str, lines: dict[str, int]) -> None:
        self._name = name
        self._lines = lines

    def error(self, key: str, message: str) -> ConfigError:
        line = None
        place = key
        while place and line is None:
            line = self._lines.get(place)
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return ConfigError(_one_line(f"{self._name}{f':{line}' if line else ''}: {key}: {message}"))

    def error_of(self, error: msgspec.ValidationError) -> ConfigError:
        message, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").removeprefix(".")
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
        missing = re.fullmatch(r"Object missing required field `(.*)`", message)
        if unknown:
            known = _fields_at(key)
            close = difflib.get_close_matches(unknown[1], known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            return self.error(f"{key}.{unknown[1]}".lstrip("."), f"unknown key ({hint})")
        if missing:
            return self.error(key, f"{missing[1]} is missing")
        if key in ("upstream", "route", "tenant") and message == "Expected `array`, got `object`":
            return self.error(key, f"there can be several: write [[{key}]], with two brackets")
        return self.error(key, message[:1].lower() + message[1:])


def _fields_at(key: str) -> list[str]:
    kinds: dict[str, type[msgspec.Struct]] = {
        "": Config,
        "server": Server,
        "storage": Storage,
        "upstream": Upstream,
        "route": Route,
        "route.targets": Target,
        "route.timeouts": Timeouts,
        "route.gate": Gate,
        "tenant": Tenant,
        "tenant.limits": Limits,
    }
    kind = kinds.get(re.sub(r"\[\d+\]", "", key))
    return list(kind.__struct_fields__) if kind else []


_TABLE = re.compile(r"^\s*(\[\[?)\s*([\w.\-\"]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([\w\-]+|\"[^\"]*\")\s*(?:\.[\w.\-]+\s*)?=")


def _lines(text: str) -> dict[str, int]:
    """Line numbers of tables and keys, by paths such as `upstream[1].dialect`. Inside inline tables: their key's line."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            *parents, name = head[2].replace('"', "").split(".")
            table = ""
            for parent in parents:
                table = _latest(f"{table}.{parent}".lstrip("."), counts)
            table = f"{table}.{name}".lstrip(".")
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = _latest(table, counts)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{key[1].strip(chr(34))}".lstrip("."), number)
    return found


def _latest(table: str, counts: dict[str, int]) -> str:
    """A table, or the latest of an array of tables: what `[route.timeouts]` after a `[[route]]` belongs to."""
    return f"{table}[{counts[table]}]" if table in counts else table


def _resolve(value: Any, key: str, where: _Where) -> Any:
    """Replace every `env:NAME`."""
    if isinstance(value, dict):
        return {name: _resolve(inner, f"{key}.{name}".lstrip("."), where) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, f"{key}[{index}]", where) for index, inner in enumerate(value)]
    if isinstance(value, str) and value.startswith("env:"):
        name = value[4:]
        if not os.environ.get(name):
            raise where.error(key, f"the environment variable {name} is not set")
        return os.environ[name]
    return value


def check(config: Config, where: _Where | None = None) -> None:
    """Check what types can't say. Called by every reader; call it again after changing a config. Raises ConfigError."""
    where = where or _Where("configuration", {})
    for problem in (*_server(config), *_upstreams(config), *_routes(config), *_tenants(config)):
        raise where.error(*problem)


Problems = Iterator[tuple[str, str]]


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
    if not config.tenant and not is_loopback(server.host):
        yield "server.host", "without a [[tenant]] only loopback may be served: anyone could use this server's keys"
    if config.storage.redis is not None:
        yield "storage.redis", "more than one node is not built yet: leave this out, and streams live in this process"


def _upstreams(config: Config) -> Problems:
    names: set[str] = set()
    for index, upstream in enumerate(config.upstream):
        key = f"upstream[{index}]"
        if not upstream.name:
            yield f"{key}.name", "must not be empty"
        if upstream.name in names:
            yield f"{key}.name", f"there are two upstreams named {upstream.name!r}"
        names.add(upstream.name)
        if upstream.max_failures < 0:
            yield f"{key}.max_failures", "must not be negative"
        if upstream.dialect in PLANNED:
            yield f"{key}.dialect", f"{upstream.dialect} is not built yet; there are: openai-chat, native, python, demo"
        elif upstream.dialect in DIALECTS:
            if upstream.base_url is None:
                yield key, "base_url is missing"
            elif upstream.function is not None:
                yield f"{key}.function", 'only dialect = "python" has a function'
            else:
                try:
                    parse_endpoint(upstream.base_url)
                except ValueError as error:
                    yield f"{key}.base_url", str(error)
            for number, api_key in enumerate(upstream.api_keys):
                if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
                    yield f"{key}.api_keys[{number}]", "a key is printable ASCII without spaces"
        elif upstream.dialect == "python":
            if upstream.function is None or not re.fullmatch(r"[\w.]+:[\w.<>]+", upstream.function):
                yield f"{key}.function" if upstream.function else key, 'function must be "package.module:name"'
            yield from _unused(upstream, key, "base_url", "api_keys")
        elif upstream.dialect == "demo":
            yield from _unused(upstream, key, "base_url", "api_keys", "function")
        else:
            known = ", ".join([*DIALECTS, *PLANNED, "python", "demo"])
            yield f"{key}.dialect", f"there is no dialect {upstream.dialect!r}; there are: {known}"


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
            if (target.weight or 0) < 0:
                yield f"{key}.targets[{number}].weight", "must not be negative"
        for name in Timeouts.__struct_fields__:
            if not 0 < getattr(route.timeouts, name) < 1e9:
                yield f"{key}.timeouts.{name}", "must be a positive number of seconds"
        if not 0 <= route.grace < 1e9:
            yield f"{key}.grace", "must be a number of seconds, and not negative"
        if route.retries is not None and not 0 <= route.retries <= 100:
            yield f"{key}.retries", "must be from 0 to 100"
        if route.gate is not None:
            yield from _gate(route.gate, f"{key}.gate")
        if route.hedge is not None and not 0 < route.hedge < 1e9:
            yield f"{key}.hedge", "must be a positive number of seconds"


def _gate(gate: Gate, key: str) -> Problems:
    if (gate.function is None) == (gate.url is None):
        yield key, "must have either a function or a url"
    if gate.function is not None and not re.fullmatch(r"[\w.]+:[\w.<>]+", gate.function):
        yield f"{key}.function", 'function must be "package.module:name"'
    if gate.url is not None:
        try:
            parse_endpoint(gate.url)
        except ValueError as error:
            yield f"{key}.url", str(error)
    if gate.window is not None and gate.window < 1:
        yield f"{key}.window", "must be at least 1"
    if not 0 < gate.timeout < 1e9:
        yield f"{key}.timeout", "must be a positive number of seconds"


def _tenants(config: Config) -> Problems:
    models = {route.model for route in config.route}
    names: set[str] = set()
    hashes: set[str] = set()
    for index, tenant in enumerate(config.tenant):
        key = f"tenant[{index}]"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", tenant.name):
            yield f"{key}.name", "must be 1 to 64 letters, digits, dots, dashes or underscores"
        if tenant.name in names:
            yield f"{key}.name", f"there are two tenants named {tenant.name!r}"
        names.add(tenant.name)
        if tenant.weight < 1:
            yield f"{key}.weight", "must be at least 1"
        for name in Limits.__struct_fields__:
            if tenant.limits is not None and (getattr(tenant.limits, name) or 0) < 0:
                yield f"{key}.limits.{name}", "must not be negative"
        if not tenant.key_hashes:
            yield key, "key_hashes is missing: keys made at run time are not built yet, so nobody could be this tenant"
        for number, digest in enumerate(tenant.key_hashes):
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                yield (
                    f"{key}.key_hashes[{number}]",
                    "must be sha256: and 64 lower-case hexadecimal digits (see `penstock key new`)",
                )
            if digest in hashes:
                yield f"{key}.key_hashes[{number}]", "this key belongs to two tenants"
            hashes.add(digest)
        for number, model in enumerate(tenant.models or ()):
            if model not in models:
                yield f"{key}.models[{number}]", f"there is no route for {model!r}"
