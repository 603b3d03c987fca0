"""What was said is kept as it was said: while it is read, while it is written down, and when storage fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from penstock.conversations import conversations as module
from penstock.conversations.conversations import Conversations
from penstock.conversations.records import Conversation, Message
from penstock.conversations.store import Growth, Place
from penstock.faces.conversations import markdown
from tests.conversations.talk import (
    A,
    asked_of_models,
    asking,
    ended,
    refused,
)

pytestmark = pytest.mark.anyio


async def test_what_was_just_said_is_known_though_it_is_not_written_down_yet(
    talks: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_SECONDS", 30)
    stream = await talks.answer(A, "talk-one", asking(1, "one"))
    while stream.end is None:
        await asyncio.sleep(0)
    answer = (await talks.messages(A, "talk-one"))[1]
    assert (answer.text, answer.state, answer.outcome) == ("one ", "ended", "completed")
    await talks.answer(A, "talk-one", asking(2, "two", parent="answer-1"))
    live = await talks.answer(A, "talk-one", asking(3, "three", parent="answer-1", model="forever"))
    while live.produced < 5 or len(asked_of_models) < 2:
        await asyncio.sleep(0.001)
    assert asked_of_models[1] == [("user", "one"), ("assistant", "one "), ("user", "two")]
    so_far = (await talks.messages(A, "talk-one"))[-1]
    assert (so_far.state, so_far.text[:3]) == ("streaming", "on ")


async def test_an_answer_that_ends_while_it_is_being_written_down_has_no_word_twice(
    talks: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    store = talks._store
    grow, end = store.grow, store.end
    grown: list[str] = []

    async def slowly(growths: Sequence[Growth]) -> None:
        await grow(growths)
        if growths and stream.end is None:
            await talks._gateway.cancel(stream.id, A)

    async def noted(place: Place, message: Message) -> None:
        grown.append((await talks.messages(A, "talk-one"))[1].text)
        await end(place, message)

    monkeypatch.setattr(store, "grow", slowly)
    monkeypatch.setattr(store, "end", noted)
    await ended(talks)
    await asyncio.sleep(0.1)
    answer = (await ended(talks))[1]
    assert answer.text == "on " * (stream.produced - 2)
    assert len(grown) == 1, "it ends once"
    assert answer.text.startswith(grown[0])


async def test_who_reads_while_it_is_being_written_down_reads_all_and_takes_nothing(
    talks: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    store = talks._store
    grow, end, messages = store.grow, store.end, store.messages
    read: list[str] = []

    async def slowly(growths: Sequence[Growth]) -> None:
        before = stream.produced
        while stream.end is None and stream.produced < before + 3:
            await asyncio.sleep(0.001)
        if stream.end is None:
            read.append((await talks.messages(A, "talk-one"))[1].text)
        await grow(growths)
        if len(read) == 3 and stream.end is None:
            await talks._gateway.cancel(stream.id, A)

    ending = asyncio.Event()

    async def ends(place: Place, message: Message) -> None:
        await end(place, message)
        ending.set()

    async def behind(tenant: str, id: str) -> list[Message]:
        """What was read is from before the end, which is written down, and told, before the reader comes to look."""
        kept = await messages(tenant, id)
        if stream.end is not None and kept[1].state == "streaming":
            await ending.wait()
            await asyncio.sleep(0.01)
        return kept

    monkeypatch.setattr(store, "grow", slowly)
    monkeypatch.setattr(store, "end", ends)
    monkeypatch.setattr(store, "messages", behind)
    while stream.end is None:
        await asyncio.sleep(0.001)
    answer = (await talks.messages(A, "talk-one"))[1]
    whole = "on " * (stream.produced - 2)
    assert (answer.text, answer.state) == (whole, "ended")
    assert (await ended(talks))[1].text == whole
    assert all(whole.startswith(text) for text in read)


async def test_what_is_being_made_says_where_its_log_goes_on(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 5:
        await asyncio.sleep(0.001)
    so_far = (await talks.messages(A, "talk-one"))[1]
    position = stream.position(so_far.position)
    assert so_far.text == "on " * (position.offset - 1)
    await talks.stop(A, "talk-one", "answer-1", position.offset)
    whole = (await ended(talks))[1]
    assert (whole.text, whole.position) == (so_far.text, None)


async def test_a_storage_that_says_nonsense_ends_no_server(talks: Conversations) -> None:
    """A row that is its own parent: the way to the beginning ends all the same."""
    await talks.start()
    circle = Message(id="question-1", parent="answer-1", role="user", created=1.0, text="round")
    own = Message(id="answer-1", parent="question-1", role="assistant", created=1.0, text="and round")
    await talks._store.add("a", Conversation("talk-one", "", 1.0, 1.0), circle, own)
    await talks.answer(A, "talk-one", asking(2, "out", parent="answer-1"))
    await ended(talks)
    assert asked_of_models[0][-2:] == [("assistant", "and round"), ("user", "out")]
    assert markdown(await talks.find(A, "talk-one"), await ended(talks)).count("round") == 2


async def test_what_runs_when_the_server_leaves_is_kept_as_interrupted(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 8:
        await asyncio.sleep(0.002)
    talks._gateway.interrupt()
    await talks.close()
    answer = (await ended(talks))[1]
    assert (answer.text, answer.outcome) == ("on " * (stream.produced - 2), "interrupted")


async def test_what_can_not_be_kept_is_not_begun(talks: Conversations) -> None:
    """Fault: disk full. 503 for new work, and the model is not left running."""
    await talks.start()
    talks._store.full = True  # type: ignore[attr-defined]
    assert await refused(talks.answer(A, "talk-one", asking(1, model="forever"))) == (503, "storage_unavailable")
    assert talks._gateway.live() == 0
    assert asked_of_models == []
    talks._store.full = False  # type: ignore[attr-defined]
    assert await talks.messages(A, "talk-one") == []


async def test_storage_that_fails_for_a_while_loses_no_word(
    talks: Conversations, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault: disk full, in the middle of an answer."""
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    talks._store.full = True  # type: ignore[attr-defined]
    while "answers are not being kept: full" not in caplog.text:
        await asyncio.sleep(0.01)
    await talks._gateway.cancel(stream.id, A)
    talks._store.full = False  # type: ignore[attr-defined]
    answer = (await ended(talks))[1]
    assert answer.text == "on " * (stream.produced - 2)
