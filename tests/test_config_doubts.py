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
