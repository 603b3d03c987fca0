"""Configurations that are right, and probably not meant so."""

from __future__ import annotations

import pytest

from penstock.config import parse
from tests.test_config import LEAST

DOUBTS = {
    "an address without its path": (
        'dialect = "openai-chat"\nbase_url = "https://api.openai.com"\napi_keys = ["k"]',
        "",
        "upstream demo: base_url has no path",
    ),
    "nobody to hedge with": ('dialect = "demo"', "hedge = 1", "route demo: hedge asks the next target"),
    "nobody to go on": ('dialect = "demo"', "continuation = true", "route demo: continuation asks the next target"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_is_right_and_probably_not_meant_is_said(doubt: str) -> None:
    upstream, more, says = DOUBTS[doubt]
    (note,) = parse(LEAST.replace('dialect = "demo"', upstream) + more).notes
    assert says in note


def test_who_may_begin_anew_is_named() -> None:
    text = (
        LEAST.replace('{ upstream = "demo" }', '{ upstream = "demo" }, { upstream = "own" }') + "continuation = true\n"
    )
    own = (
        '[[upstream]]\nname = "own"\ndialect = "openai-chat"\nbase_url = "http://localhost:8000/v1"\napi_keys = ["k"]\n'
    )
    assert "own may begin continued answers anew" in " ".join(parse(own + text).notes)
    assert parse(own + 'quirks = ["continue_final_message"]\n' + text).notes == []


def test_limits_that_limit_nothing_are_noted() -> None:
    def notes(limits: str) -> str:
        table = f'[[tenant]]\nname = "a"\nkey_hashes = ["sha256:{"0" * 64}"]\nlimits = {{ {limits} }}\n'
        return " ".join(parse(LEAST + table).notes)

    assert "tenant a: limits is empty" in notes("")
    assert "tokens_per_minute never counts" in notes("tokens_per_minute = 1000, tokens_per_day = 999")
    assert "tenant a" not in notes("tokens_per_minute = 1000, tokens_per_day = 1000")


def test_a_weight_that_weighs_nothing_is_said() -> None:
    def notes(slots: str) -> list[str]:
        upstream = '[[upstream]]\nname = "m"\ndialect = "demo"\n' + slots
        route = '\n[[route]]\nmodel = "m"\ntargets = [{ upstream = "m" }]\n'
        return parse(f'{upstream}{route}[[tenant]]\nname = "a"\nweight = 2\nkey_hashes = ["sha256:{"0" * 64}"]\n').notes

    assert notes("") == ["tenant a: weight counts where upstreams have concurrent_streams, and none has"]
    assert notes("concurrent_streams = 8") == []


def of_route(more: str, upstream: str = "", targets: str = '{ upstream = "m" }') -> list[str]:
    """The notes on a route, without the name that each begins with."""
    text = f'[[upstream]]\nname = "m"\ndialect = "demo"\n{upstream}\n[[route]]\nmodel = "r"\ntargets = [{targets}]\n{more}\n'
    notes = parse(text).notes
    assert all(note.startswith("route r: ") for note in notes)
    return [note.removeprefix("route r: ") for note in notes]


TWO = '{ upstream = "m", model = "a" }, { upstream = "m", model = "b" }'


def test_a_hedge_that_comes_too_late_is_said() -> None:
    (said,) = of_route("hedge = 60", targets=TWO)
    assert said == "hedge comes too late: timeouts.first_token ends an attempt after 60 s"
    assert of_route("hedge = 59", targets=TWO) == []


def test_times_beyond_the_whole_are_said() -> None:
    (said,) = of_route("timeouts = { first_token = 60, total = 30 }")
    assert said.startswith("timeouts.first_token never counts, for timeouts.total (30 s) is below it")
    assert of_route("timeouts = { first_token = 30, total = 30 }") == []
    (said,) = of_route("queue = { seconds = 601 }", "concurrent_streams = 1")
    assert said == "queue.seconds never counts, for timeouts.total (600 s) is below it"
    assert of_route("queue = { length = 0, seconds = 601 }", "concurrent_streams = 1") == [], "nobody waits"
    assert of_route("timeouts = { first_token = 9, total = 20 }") == [], "and nobody queues here"


def test_a_queue_for_nothing_is_said() -> None:
    (said,) = of_route("queue = { length = 5 }")
    assert said == "queue counts where upstreams have concurrent_streams, and none of this route's has"
    assert of_route("queue = { length = 5 }", "concurrent_streams = 1") == []


def test_targets_that_are_the_same_are_said() -> None:
    same = '{ upstream = "m" }, { upstream = "m", model = "b" }, { upstream = "m", model = "r" }'
    assert of_route("", targets=same) == [
        "targets[2] is the same as targets[0]: when that fails, the same is asked again"
    ]
    assert of_route("", targets=TWO) == []


def test_weights_of_nothing_are_said() -> None:
    nothing = TWO.replace(" }", ", weight = 0 }")
    assert of_route("", targets=nothing) == ["all weights are 0: targets are asked in their order"]
    assert of_route("", targets=nothing.replace("weight = 0", "weight = 1", 1)) == []


def test_addresses_that_lead_elsewhere_are_said() -> None:
    def notes(dialect: str, url: str) -> str:
        upstream = f'[[upstream]]\nname = "u"\ndialect = "{dialect}"\nbase_url = "{url}"\n'
        return " ".join(parse(upstream + LEAST).notes)

    assert notes("gemini", "https://x").endswith("Gemini's address ends in /v1beta")
    assert notes("openai-chat", "https://x/").endswith("most providers' addresses end in /v1")
    for end in ("/chat/completions", "/responses", "/messages"):
        assert f"base_url ends in {end}: leave that out" in notes("openai-chat", f"https://x/v1{end}/")
    assert notes("anthropic", "https://x/v1") == notes("gemini", "https://x/v1beta") == ""


def test_a_key_that_stands_twice_is_said_without_itself() -> None:
    upstream = '[[upstream]]\nname = "u"\ndialect = "openai-chat"\nbase_url = "https://x/v1"\n'
    upstream += 'api_keys = ["sk-a", "sk-b", "sk-a"]\n'
    (said,) = parse(upstream + LEAST).notes
    assert said == "upstream u: api_keys[2] is the same key as api_keys[0]: it has no limit of its own"
