"""The journal in memory keeps the contract of all journals."""

from __future__ import annotations

import pytest

from penstock.streams.journal import MemoryJournal
from tests.contracts.journal import RETAIN_SECONDS, JournalContract
from tests.streams.river import Time

pytestmark = pytest.mark.anyio


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self, time: Time) -> MemoryJournal:
        return MemoryJournal(time.wheel, retain_seconds=RETAIN_SECONDS)

    async def test_it_keeps_nothing_of_what_is_gone(self, journal: MemoryJournal, time: Time) -> None:
        for _ in range(50):
            self.end(await self.new(journal), time)
        assert len(journal) == 50
        time.passes(RETAIN_SECONDS + 1)
        assert len(journal) == 0
