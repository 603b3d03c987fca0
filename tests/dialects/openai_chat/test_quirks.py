"""Servers that speak this dialect almost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from penstock.config.tables import Upstream
from penstock.dialects.openai_chat.quirks import QUIRKS, adapt
from penstock.sim.process import SimProcess, running
from tests.support.client import chat, fetch, told
from tests.support.serving import Served, penstock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("quirk", "before", "after"),
    [
        ("no_stream_options", {"stream_options": {"include_usage": True}, "a": 1}, {"a": 1}),
        ("max_completion_tokens", {"max_tokens": 3}, {"max_completion_tokens": 3}),
        ("max_tokens", {"max_completion_tokens": 3, "max_tokens": 4}, {"max_tokens": 3}),
        ("no_developer_role", {"messages": [{"role": "developer"}, 7]}, {"messages": [{"role": "system"}, 7]}),
        ("no_done", {"a": 1}, {"a": 1}),
    ],
)
def test_requests_are_adapted(quirk: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert json.loads(adapt(json.dumps(before).encode(), [quirk])) == after


def test_the_configuration_knows_them_all() -> None:
    (of_quirks,) = (
        get_args(Upstream.__annotations__["quirks"])
        if not isinstance(Upstream.__annotations__["quirks"], str)
        else (None,)
    )
    told = Upstream.__annotations__["quirks"] if of_quirks is None else get_args(of_quirks)
    assert all(quirk in told for quirk in QUIRKS)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimProcess, Served]]:
    path = tmp_path_factory.mktemp("quirks") / "penstock.toml"
    with running() as sim:
        path.write_text(
            f"""
[[upstream]]
name = "odd"
dialect = "openai-chat"
base_url = "{sim.url}/v1"
quirks = ["no_done", "no_stream_options"]

[[route]]
model = "m"
targets = [{{ upstream = "odd" }}]
"""
        )
        with penstock("serve", "--config", str(path), "--port", "0") as served:
            yield sim, served


async def test_an_answer_without_done_is_whole_all_the_same(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    got = await fetch(served.port, "POST", "/v1/chat/completions", chat({"tokens": 5, "omit_done": True}, "no done"))
    assert got.blocks[-1].data == "[DONE]"
    row = (await told(sim, lambda t: t.answers("no done")))[0]
    assert "stream_options" not in row.request.body
    trace = (await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")).json
    assert (trace["outcome"], trace["usage"]["source"]) == ("completed", "estimated")


async def test_one_that_is_cut_before_its_finish_reason_is_not(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers
    got = await fetch(served.port, "POST", "/v1/chat/completions", chat({"tokens": 5, "cut_after": 3}))
    assert got.blocks[-1].json["error"]["code"] == "upstream_truncated"
