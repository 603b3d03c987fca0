"""Configurations that are right, and probably not meant so."""

from __future__ import annotations

from penstock.config import parse
from tests.test_config import LEAST


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
