"""Conversations over a real file, with models that answer at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.conversations import conversations as module
from penstock.conversations.conversations import Conversations
from penstock.gateway import Gateway
from penstock.policy.course import Route, Target
from penstock.stores.sql import engine_for
from penstock.streams.journal import MemoryJournal
from penstock.streams.plan import Plan
from penstock.streams.wheel import Wheel
from penstock.upstreams.python import PythonUpstream
from tests.conversations.talk import (
    Failing,
    asked_of_models,
    broken,
    forever,
    silent,
    words,
)


@pytest.fixture
async def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Conversations]:
    monkeypatch.setattr(module, "COMMIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    asked_of_models.clear()
    wheel = Wheel()
    upstreams = {"m": words, "forever": forever, "silent": silent, "broken": broken}
    routes = {name: Route(name, (Target(PythonUpstream(name, f), None),), Plan()) for name, f in upstreams.items()}
    store = Failing(engine_for(f"sqlite:///{tmp_path / 'kept.db'}"))
    made = Conversations(Gateway(MemoryJournal(wheel), routes, wheel), store)
    yield made
    made._gateway.interrupt()
    await made.close()
