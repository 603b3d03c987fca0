"""What is right in a configuration, and probably not meant so: one sentence each."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.config.tables import Config, Route, Tenant, Upstream

_ADDRESSES = ("/chat/completions", "/responses", "/messages")
"""What dialects add to a `base_url`, and people copy with it."""


def doubts(config: Config) -> Iterator[str]:
    """All of them, in the file's order."""
    for upstream in config.upstream:
        for doubt in _of_upstream(upstream):
            yield f"upstream {upstream.name}: {doubt}"
    by_name = {upstream.name: upstream for upstream in config.upstream}
    for route in config.route:
        upstreams = [by_name[target.upstream] for target in route.targets if target.upstream in by_name]
        for doubt in (*_of_targets(route, upstreams), *_of_times(route, upstreams)):
            yield f"route {route.model}: {doubt}"
    slots = any(upstream.concurrent_streams for upstream in config.upstream)
    for tenant in config.tenant:
        for doubt in _of_tenant(tenant, slots=slots):
            yield f"tenant {tenant.name}: {doubt}"


def _of_upstream(upstream: Upstream) -> Iterator[str]:
    if upstream.base_url is not None:
        path = urllib.parse.urlsplit(upstream.base_url).path.rstrip("/")
        if not path and upstream.dialect == "gemini":
            yield "base_url has no path; Gemini's address ends in /v1beta"
        elif not path:
            yield "base_url has no path; most providers' addresses end in /v1"
        for address in _ADDRESSES:
            if path.endswith(address):
                yield f"base_url ends in {address}: leave that out, each dialect adds its own"
    for number, key in enumerate(upstream.api_keys):
        if (first := upstream.api_keys.index(key)) < number:
            yield f"api_keys[{number}] is the same key as api_keys[{first}]: it has no limit of its own"


def _of_targets(route: Route, upstreams: list[Upstream]) -> Iterator[str]:
    asked = [(target.upstream, target.model or route.model) for target in route.targets]
    for number, target in enumerate(asked):
        if (first := asked.index(target)) < number:
            yield f"targets[{number}] is the same as targets[{first}]: when that fails, the same is asked again"
    if all(target.weight == 0 for target in route.targets):
        yield "all weights are 0: targets are asked in their order"
    further = upstreams[1:]
    if route.hedge is not None and not further:
        yield "hedge asks the next target, and there is only one"
    if route.continuation and not further and not route.retries:
        yield "continuation asks the next target, and there is only one"
    for upstream in further if route.continuation else ():
        if upstream.dialect == "openai-chat" and "continue_final_message" not in upstream.quirks:
            yield (
                f"upstream {upstream.name} may begin continued answers anew, unless it is known to go on with a last"
                " assistant message (see the quirk continue_final_message)"
            )


def _of_times(route: Route, upstreams: list[Upstream]) -> Iterator[str]:
    times, queue = route.timeouts, route.queue
    if route.hedge is not None and route.hedge >= times.first_token:
        yield f"hedge comes too late: timeouts.first_token ends an attempt after {times.first_token:g} s"
    if times.first_token > times.total:
        yield f"timeouts.first_token never counts, for timeouts.total ({times.total:g} s) is below it: nobody else is asked"
    if not any(upstream.concurrent_streams for upstream in upstreams):
        if queue != type(queue)():
            yield "queue counts where upstreams have concurrent_streams, and none of this route's has"
    elif queue.length and queue.seconds > times.total:
        yield f"queue.seconds never counts, for timeouts.total ({times.total:g} s) is below it"


def _of_tenant(tenant: Tenant, *, slots: bool) -> Iterator[str]:
    if tenant.weight != 1 and not slots:
        yield "weight counts where upstreams have concurrent_streams, and none has"
    if (limits := tenant.limits) is None:
        return
    if limits == type(limits)():
        yield "limits is empty, so there are none"
    a_minute, a_day = limits.tokens_per_minute, limits.tokens_per_day
    if a_minute is not None and a_day is not None and a_day < a_minute:
        yield "tokens_per_minute never counts, for tokens_per_day is below it"
