"""Penstock with any upstreams and routes, written down in one line each."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.sim.process import SimProcess
from penstock.sim.truth import Answered, Truth
from tests.support.client import Response, fetch, told
from tests.support.serving import Served, penstock

ROOT = Path(__file__).parents[2]

BASE = {"openai-chat": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "openai-responses": "/v1"}
"""Where the simulated model speaks each dialect."""

SHORT = {"connect": 2, "first_token": 1, "silence": 1, "total": 3}
"""Deadlines, in seconds, for tests that wait for them."""


def upstream(
    name: str,
    url: str,
    *,
    dialect: str = "openai-chat",
    keys: tuple[str, ...] | None = None,
    max_failures: int = 0,
    **settings: Any,
) -> str:
    """An upstream at the address of a simulated model; its key is its name, and it is never left alone."""
    lines = {
        "name": name,
        "dialect": dialect,
        "base_url": f"{url}{BASE[dialect]}",
        "api_keys": [f"sk-{name}"] if keys is None else list(keys),
        "max_failures": max_failures,
        **settings,
    }
    return _table("upstream", lines)


def route(model: str, *targets: str, timeouts: dict[str, float] | None = None, **settings: Any) -> str:
    """A route to upstreams by their names; each is asked for a model of its own name."""
    lines: dict[str, Any] = {"model": model, **settings, "timeouts": timeouts or SHORT}
    asked = ", ".join(f"{{ upstream = {json.dumps(target)}, model = {json.dumps(target)} }}" for target in targets)
    return _table("route", lines) + f"targets = [{asked}]\n"


def _table(name: str, lines: dict[str, Any]) -> str:
    return f"\n[[{name}]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in lines.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


@contextlib.contextmanager
def routed(*tables: str, descriptors: int | None = None, env: dict[str, str] | None = None) -> Iterator[Served]:
    """`penstock serve` with these upstreams and routes, in this project's folder: gates of the tests' own are found."""
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        path = Path(folder) / "penstock.toml"
        path.write_text("".join(tables), "utf-8")
        with penstock(
            "serve", "--config", str(path), "--port", "0", env=env, cwd=ROOT, descriptors=descriptors
        ) as served:
            yield served


def at(name: str, **cue: Any) -> dict[str, Any]:
    """A cue for the upstream of that name alone."""
    return {"model": name, **cue}


def key_of(row: Answered) -> str:
    """Which key a request to the simulated model came with."""
    headers = row.request.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return bearer or headers.get("x-api-key") or headers["x-goog-api-key"]


async def asked(sim: SimProcess, prompt: str, count: int) -> list[Answered]:
    """Every request with that prompt, once `count` or more of them have ended."""

    def found(truth: Truth) -> list[Answered]:
        rows = [row for row in truth.answers(prompt) if row.end is not None]
        return rows if len(rows) >= count else []

    return await told(sim, found)


async def marks(served: Served, got: Response) -> list[str]:
    """What happened to a stream on its upstreams' side, as its trace tells it: `what upstream`."""
    trace = await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")
    told = (f"{mark['what']} {mark.get('upstream', '')}".strip() for mark in trace.json["marks"])
    return [
        mark for mark in told if not mark.startswith(("accepted", "attached", "detached", "connected", "first_byte"))
    ]
