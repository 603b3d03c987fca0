"""Stop is stop, and what is deleted stays deleted, in whatever order things arrive."""

from __future__ import annotations

import asyncio

import pytest

from penstock.conversations.conversations import Conversations
from penstock.exceptions import Refused, StorageFailed
from tests.conversations.talk import (
    A,
    B,
    asked_of_models,
    asking,
    ended,
    refused,
)

pytestmark = pytest.mark.anyio


async def test_stopped_what_was_seen_is_kept(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 8:
        await asyncio.sleep(0.002)
    await talks._gateway.cancel(stream.id, A, seen=4)
    answer = (await ended(talks))[1]
    assert (answer.text, answer.outcome) == ("on on on ", "cancelled")  # offset 1 is the start


async def test_deleting_stops_what_runs(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    await talks.delete(A, "talk-one")
    assert stream.end is not None
    assert stream.end.last.outcome == "cancelled"
    await talks.delete(A, "talk-one")
    assert await talks.messages(A, "talk-one") == []


async def test_what_can_not_be_deleted_is_stopped_and_kept(
    talks: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 5:
        await asyncio.sleep(0.001)

    async def busy(tenant: str, conversation: str) -> None:
        raise StorageFailed("busy")

    with monkeypatch.context() as patched:
        patched.setattr(talks._store, "delete", busy)
        with pytest.raises(StorageFailed):
            await talks.delete(A, "talk-one")
    answer = (await ended(talks))[1]
    assert (answer.text, answer.outcome) == ("on " * (stream.produced - 2), "cancelled")
    await talks.delete(A, "talk-one")
    assert await refused(talks.find(A, "talk-one")) == (404, "conversation_not_found")


async def test_stopped_before_it_is_asked_for_it_is_not_asked_for(talks: Conversations) -> None:
    """Stop may overtake its question: another connection, another tab, a line that was down."""
    assert await talks.stop(A, "talk-one", "answer-1", 0) == "cancelled"
    assert await refused(talks.answer(A, "talk-one", asking(1))) == (410, "resume_expired")
    question, answer = await talks.messages(A, "talk-one")
    assert (question.text, answer.text, answer.outcome) == ("to the sea", "", "cancelled")
    assert asked_of_models == []
    await talks.answer(A, "talk-one", asking(2, parent="answer-1"))
    assert (await ended(talks))[-1].outcome == "completed"


async def test_stop_by_the_answers_id(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 5:
        await asyncio.sleep(0.001)
    assert await talks.stop(B, "talk-one", "answer-1", 0) == "cancelled", "B has no such answer yet"
    assert stream.end is None
    assert await talks.stop(A, "talk-one", "answer-1", 3) == "cancelled"
    answer = (await ended(talks))[1]
    assert (answer.text, answer.outcome) == ("on " * 2, "cancelled")
    assert await talks.stop(A, "talk-one", "answer-1", 0) == "cancelled", "again changes nothing"
    assert (await ended(talks))[1].text == "on " * 2


async def test_deleting_while_an_answer_begins_leaves_all_of_it_or_nothing(talks: Conversations) -> None:
    await talks.answer(A, "talk-one", asking(1))
    for number in range(2, 30):
        await ended(talks)
        before = f"answer-{number - 1}"
        begun, _ = await asyncio.gather(
            talks.answer(A, "talk-one", asking(number, parent=before)),
            talks.delete(A, "talk-one"),
            return_exceptions=True,
        )
        if isinstance(begun, Refused):
            assert (begun.status, begun.code) == (404, "message_not_found")
        assert await refused(talks.find(A, "talk-one")) == (404, "conversation_not_found")
        assert talks._gateway.live() == 0
        await talks.answer(A, "talk-one", asking(number))


async def test_after_deleting_the_same_ids_are_another_answer(talks: Conversations) -> None:
    before = await talks.answer(A, "talk-one", asking(1, "one"))
    await ended(talks)
    await talks.delete(A, "talk-one")
    assert await talks.answer(A, "talk-one", asking(1, "two")) is not before
    assert (await ended(talks))[1].text == "two "
