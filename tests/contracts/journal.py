"""What every journal promises. A journal's test file inherits `JournalContract` and says how to make one."""

from __future__ import annotations

import pytest

from penstock.exceptions import Refused
from penstock.streams.journal import SET_ASIDE, IdempotencyKey, Journal
from penstock.streams.stream import Stream
from penstock.wire.events import Done
from tests.streams.river import Bowl, Time, follow

RETAIN_SECONDS = 300.0

KEY = IdempotencyKey("k1", b"digest of a body")
OTHER_BODY = IdempotencyKey("k1", b"digest of another")


class JournalContract:
    """Inherit, and give a `journal` fixture that uses the `time` fixture's wheel and keeps streams `RETAIN_SECONDS`."""

    @pytest.fixture
    def time(self) -> Time:
        return Time()

    @staticmethod
    async def create(journal: Journal, tenant: str = "acme", key: IdempotencyKey | None = None) -> tuple[Stream, bool]:
        return await journal.create(tenant=tenant, model="m", dialect="native", idempotency=key)

    async def new(self, journal: Journal, tenant: str = "acme", key: IdempotencyKey | None = None) -> Stream:
        stream, created = await self.create(journal, tenant, key)
        assert created
        return stream

    @staticmethod
    def end(stream: Stream, time: Time) -> None:
        stream.finish(time.clock(), None, None, Done("completed"))

    # -- finding ---------------------------------------------------------------------------------------------------

    async def test_a_stream_is_found_by_its_owner_only(self, journal: Journal) -> None:
        stream = await self.new(journal)
        assert (stream.tenant, stream.dialect, stream.about.model) == ("acme", "native", "m")
        assert await journal.find("acme", stream.id) is stream
        for tenant, id in (
            ("other", stream.id),
            ("", stream.id),
            ("acme", ""),
            ("acme", "x"),
            ("acme", stream.id + "x"),
        ):
            assert await journal.find(tenant, id) is None

    async def test_ids_and_epochs_can_not_be_guessed(self, journal: Journal) -> None:
        streams = [await self.new(journal) for _ in range(100)]
        assert len({stream.id for stream in streams}) == 100
        assert all(len(stream.id) >= 24 for stream in streams)
        assert len({stream.epoch for stream in streams}) > 90

    async def test_live_are_those_that_have_not_ended(self, journal: Journal, time: Time) -> None:
        first, second = await self.new(journal), await self.new(journal, "other")
        assert set(journal.live()) == {first, second}
        self.end(first, time)
        assert journal.live() == [second]

    # -- keeping ---------------------------------------------------------------------------------------------------

    async def test_a_live_stream_is_kept(self, journal: Journal, time: Time) -> None:
        stream = await self.new(journal)
        time.passes(RETAIN_SECONDS * 3)
        assert await journal.find("acme", stream.id) is stream

    async def test_an_ended_stream_is_kept_for_a_while(self, journal: Journal, time: Time) -> None:
        stream = await self.new(journal, key=KEY)
        self.end(stream, time)
        time.passes(RETAIN_SECONDS - 1)
        assert await journal.find("acme", stream.id) is stream
        time.passes(2)
        assert await journal.find("acme", stream.id) is None
        assert await self.new(journal, key=KEY) is not stream

    async def test_a_stream_that_is_being_read_is_kept(self, journal: Journal, time: Time) -> None:
        stream, bowl = await self.new(journal), Bowl(shut=True)
        follow(stream, bowl)
        self.end(stream, time)
        time.passes(RETAIN_SECONDS + 100)
        assert await journal.find("acme", stream.id) is stream
        bowl.drain()
        assert bowl.ended
        time.passes(60)
        assert await journal.find("acme", stream.id) is None

    async def test_what_is_set_aside_can_be_looked_at_and_its_key_is_free(self, journal: Journal, time: Time) -> None:
        stream = await self.new(journal, key=KEY)
        self.end(stream, time)
        await journal.set_aside(stream)
        await journal.set_aside(stream)
        assert await journal.find("acme", stream.id) is stream
        assert await journal.find("other", stream.id) is None
        assert stream not in journal.live()
        assert await self.new(journal, key=KEY) is not stream
        time.passes(RETAIN_SECONDS + 10)
        assert await journal.find("acme", stream.id) is None

    async def test_of_those_set_aside_only_so_many_are_kept(self, journal: Journal, time: Time) -> None:
        first, *_, last = streams = [await self.new(journal) for _ in range(SET_ASIDE + 1)]
        for stream in streams:
            self.end(stream, time)
            await journal.set_aside(stream)
        assert await journal.find("acme", first.id) is None
        assert await journal.find("acme", last.id) is last

    async def test_a_stream_set_aside_leaves_its_key_s_next_one_alone(self, journal: Journal, time: Time) -> None:
        first = await self.new(journal, key=KEY)
        self.end(first, time)
        await journal.set_aside(first)
        second = await self.new(journal, key=KEY)
        await journal.set_aside(first)
        time.passes(RETAIN_SECONDS + 10)
        assert await self.create(journal, key=KEY) == (second, False)

    # -- idempotency -----------------------------------------------------------------------------------------------

    async def test_the_same_key_and_body_is_the_same_stream(self, journal: Journal, time: Time) -> None:
        stream = await self.new(journal, key=KEY)
        assert await self.create(journal, key=KEY) == (stream, False)
        self.end(stream, time)
        assert await self.create(journal, key=KEY) == (stream, False)

    async def test_whether_a_key_is_known_can_be_asked_without_making_anything(self, journal: Journal) -> None:
        key = IdempotencyKey("k", b"body")
        assert await journal.known("a", key) is None
        assert await journal.known("a", key) is None
        stream, created = await journal.create(tenant="a", model="m", dialect="native", idempotency=key)
        assert created
        assert await journal.known("a", key) is stream
        assert await journal.known("b", key) is None
        with pytest.raises(Refused):
            await journal.known("a", IdempotencyKey("k", b"another"))

    async def test_another_body_is_a_conflict(self, journal: Journal) -> None:
        stream = await self.new(journal, key=KEY)
        with pytest.raises(Refused) as refused:
            await self.create(journal, key=OTHER_BODY)
        assert (refused.value.status, refused.value.code) == (409, "idempotency_conflict")
        assert journal.live() == [stream]

    async def test_keys_are_each_tenant_s_own(self, journal: Journal) -> None:
        mine = await self.new(journal, "acme", KEY)
        theirs = await self.new(journal, "other", OTHER_BODY)
        assert mine is not theirs
        assert await self.create(journal, "acme", KEY) == (mine, False)

    async def test_without_a_key_every_stream_is_new(self, journal: Journal) -> None:
        assert await self.new(journal) is not await self.new(journal)
