"""Where the parts are joined, and only here."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock import config as configuration
from penstock.config import Config
from penstock.conversations.conversations import Conversations
from penstock.exceptions import ConfigError
from penstock.faces.access import Access, is_loopback
from penstock.faces.asgi import Receive, Scope, Send
from penstock.faces.control import control
from penstock.faces.conversations import ConversationFaces
from penstock.faces.page import Page
from penstock.faces.root import Root
from penstock.faces.streams import StreamFaces
from penstock.gateway import Gateway, Tenant
from penstock.policy.admission import Admission
from penstock.policy.capacity import Capacity
from penstock.policy.course import Price, Queue, Route, Target
from penstock.policy.health import Breaker
from penstock.policy.limits import Limits
from penstock.policy.slots import Slots
from penstock.stores.sql import SqlStore, engine_for
from penstock.streams.attempt import Upstream
from penstock.streams.gate import GateRule
from penstock.streams.journal import MemoryJournal
from penstock.streams.plan import Plan, Timeouts
from penstock.streams.wheel import Wheel
from penstock.upstreams import demo
from penstock.upstreams.gate import function_gate, http_gate
from penstock.upstreams.http import HttpUpstream
from penstock.upstreams.pool import Pool, parse_endpoint, proxy_for
from penstock.upstreams.python import PythonUpstream

log = logging.getLogger("penstock.upstreams")

IN_MEMORY = "sqlite://"
"""Where conversations are kept that are to be gone with the process."""


class Penstock:
    """The whole of it, as an ASGI application. Nothing runs, listens or connects before the first request."""

    def __init__(self, config: Config, functions: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._functions = functions or {}
        self.wheel = Wheel()
        self.capacity = Capacity(raise_descriptor_limit())
        self._pools: list[Pool] = []
        self.journal = MemoryJournal(self.wheel)
        upstreams = {upstream.name: self._upstream(upstream) for upstream in config.upstream}
        breakers = {
            upstream.name: Breaker(
                upstream.max_failures, functools.partial(log.warning, "upstream %s %s", upstream.name)
            )
            for upstream in config.upstream
        }
        weights = {tenant.name: tenant.weight for tenant in config.tenant}
        slots = {
            upstream.name: Slots(upstream.concurrent_streams, weights, self.wheel.now)
            for upstream in config.upstream
            if upstream.concurrent_streams is not None
        }
        routes = {route.model: _route(route, upstreams, breakers, slots) for route in config.route}
        limits = {tenant.name: _limits(tenant.limits) for tenant in config.tenant if tenant.limits is not None}
        self.gateway = Gateway(self.journal, routes, self.wheel, Admission(limits, time.time))
        keys = {
            digest.removeprefix("sha256:"): Tenant(
                tenant.name, None if tenant.models is None else frozenset(tenant.models)
            )
            for tenant in config.tenant
            for digest in tenant.key_hashes
        }
        self.conversations = Conversations(self.gateway, SqlStore(engine_for(config.storage.database or IN_MEMORY)))
        access = Access(
            keys,
            frozenset(config.server.allowed_origins),
            check_host=is_loopback(config.server.host),
            admins=[digest.removeprefix("sha256:") for digest in config.server.admin_key_hashes],
        )
        most = config.server.max_body_bytes
        streams = StreamFaces(self.gateway, access, most)
        self._root = Root(
            streams,
            ConversationFaces(self.conversations, self.gateway, access, streams, most),
            access,
            Page(),
            control(self.gateway, self.conversations, access),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._root(scope, receive, send)

    async def start(self) -> None:
        """Make the storage ready now, rather than with the first request that needs it. Raises StorageFailed."""
        await self.conversations.start()

    async def close(self) -> None:
        """End every running stream as `interrupted`, keep it so, and close the connections to the upstreams."""
        self.gateway.drain()
        self.gateway.interrupt()
        await self.conversations.close()
        for pool in self._pools:
            pool.close()
        self.wheel.stop()

    def _upstream(self, upstream: configuration.Upstream) -> Upstream:
        match upstream.dialect:
            case "demo":
                return PythonUpstream(upstream.name, demo.answer)
            case "python":
                assert upstream.function is not None
                found = self._functions.get(upstream.name) or _imported(f"upstream {upstream.name}", upstream.function)
                return PythonUpstream(upstream.name, _generator(upstream.name, upstream.function, found))
            case dialect:
                assert upstream.base_url is not None
                endpoint = parse_endpoint(upstream.base_url)
                try:
                    proxy = proxy_for(endpoint)
                except ValueError as error:
                    raise ConfigError(f"upstream {upstream.name}: the environment's proxy: {error}") from None
                pool = Pool(endpoint, self.wheel, self.capacity, proxy=proxy)
                self._pools.append(pool)
                return HttpUpstream(upstream.name, dialect, pool, upstream.api_keys, upstream.quirks)


def asgi(config: Config | Mapping[str, Any] | str | Path) -> Penstock:
    """Penstock as an ASGI application, to serve or to mount: `app.mount("/ai", penstock.asgi("penstock.toml"))`.

    `config` is a file's path, or a dictionary of the same shape, in which an upstream's `function` may be the function
    itself. Raises ConfigError.
    """
    functions: dict[str, Any] = {}
    if isinstance(config, str | Path):
        config = configuration.load(config)
    elif not isinstance(config, Config):
        config = configuration.convert(_named(dict(config), functions))
    return Penstock(config, functions)


def _named(raw: dict[str, Any], functions: dict[str, Any]) -> dict[str, Any]:
    """`raw` with a name in the place of each function object; the objects go to `functions`, by upstream."""
    upstreams = raw.get("upstream")
    if not isinstance(upstreams, list):
        return raw
    named = []
    for upstream in upstreams:
        if isinstance(upstream, dict) and callable(function := upstream.get("function")):
            functions[str(upstream.get("name"))] = function
            upstream = {
                **upstream,
                "function": f"{function.__module__}:{getattr(function, '__qualname__', 'function')}",
            }
        named.append(upstream)
    return {**raw, "upstream": named}


def raise_descriptor_limit() -> int:
    """Let this process have as many descriptors as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1_048_576
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _imported(name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (SystemExit, KeyboardInterrupt) as error:
        raise ConfigError(f"{name}: function {path!r} can't be imported: its module raised {error!r}") from None
    except Exception as error:  # noqa: BLE001  # importing runs the user's code: it may raise anything
        told = " ".join(str(error).split()) or type(error).__name__  # one line, and never an empty reason
        raise ConfigError(f"{name}: function {path!r} can't be imported: {told}") from None
    return found


def _generator(name: str, path: str, found: Any) -> Any:
    if not callable(found):
        raise ConfigError(f"upstream {name}: {path!r} is not a function")
    # What else is called may still return one; these never do.
    if inspect.iscoroutinefunction(found) or inspect.isgeneratorfunction(found) or inspect.isbuiltin(found):
        raise ConfigError(f"upstream {name}: {path!r} must be an async generator: `async def` with a `yield` in it")
    return found


def _route(
    route: configuration.Route,
    upstreams: Mapping[str, Upstream],
    breakers: Mapping[str, Breaker],
    slots: Mapping[str, Slots],
) -> Route:
    timeouts = Timeouts(**{name: getattr(route.timeouts, name) for name in Timeouts._fields})
    targets = tuple(
        Target(upstreams[name], target.model, target.weight, breakers[name], slots.get(name))
        for target in route.targets
        for name in (target.upstream,)
    )
    plan = Plan(
        timeouts, route.on_abandon, route.grace, route.hedge, _gate(route), route.max_tokens, route.continuation
    )
    price = None if route.price is None else Price(route.price.input, route.price.output)
    queue = Queue(route.queue.length, route.queue.seconds)
    return Route(route.model, targets, plan, route.retries, route.delivery, price, queue)


def _limits(limits: configuration.Limits) -> Limits:
    return Limits(**{name: getattr(limits, name) for name in Limits._fields})


def _gate(route: configuration.Route) -> GateRule | None:
    gate = route.gate
    if gate is None:
        return None
    if gate.url is not None:
        return GateRule(http_gate(gate.url, gate.timeout), gate.window, gate.timeout)
    assert gate.function is not None
    found = _imported(f"route {route.model}: gate", gate.function)
    if not callable(found):
        raise ConfigError(f"route {route.model}: gate: {gate.function!r} is not a function")
    return GateRule(function_gate(found), gate.window, gate.timeout)
