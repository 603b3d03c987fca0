"""Conversations: asked once, followed to the end, in their branches."""

from __future__ import annotations

import asyncio

import pytest

from penstock.conversations.conversations import Conversations
from penstock.conversations.records import Asked, Question
from tests.conversations.talk import (
    A,
    B,
    asked_of_models,
    asking,
    ended,
    refused,
)

pytestmark = pytest.mark.anyio


async def test_an_answer_is_kept_when_it_has_ended(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1))
    question, answer = await ended(talks)
    assert (question.role, question.text, question.parent) == ("user", "to the sea", None)
    assert (answer.text, answer.outcome, answer.parent) == ("to the sea ", "completed", "question-1")
    assert answer.stream == stream.id, "its log is still kept"
    found = await talks.find(A, "talk-one")
    assert (found.title, found.leaf) == ("to the sea", "answer-1")
    assert await refused(talks.find(B, "talk-one")) == (404, "conversation_not_found")


async def test_the_model_is_asked_the_path_and_not_the_other_branches(talks: Conversations) -> None:
    await talks.answer(A, "talk-one", asking(1, "one"))
    await ended(talks)
    await talks.answer(A, "talk-one", asking(2, "two", parent="answer-1"))
    await ended(talks)
    await talks.answer(A, "talk-one", asking(3, "another two", parent="answer-1"))
    await talks.answer(A, "talk-one", asking(4, None, parent="question-1"))
    await ended(talks)
    one = [("user", "one")]
    whole = [*one, ("assistant", "one ")]
    assert asked_of_models == [one, [*whole, ("user", "two")], [*whole, ("user", "another two")], one]


async def test_the_same_again_is_the_same_answer(talks: Conversations) -> None:
    first = await talks.answer(A, "talk-one", asking(1))
    assert await talks.answer(A, "talk-one", asking(1)) is first
    await ended(talks)
    assert await talks.answer(A, "talk-one", asking(1)) is first
    assert len(asked_of_models) == 1
    both = await asyncio.gather(*(talks.answer(A, "talk-one", asking(2, parent="answer-1")) for _ in range(5)))
    assert len({stream.id for stream in both}) == 1
    assert [message.id for message in await ended(talks)].count("answer-2") == 1


async def test_words_that_can_not_be(talks: Conversations) -> None:
    await talks.answer(A, "talk-one", asking(1))
    await ended(talks)
    for wrong, told in [
        (asking(2, parent="nowhere-1"), (404, "message_not_found")),
        (asking(2, None), (400, "invalid_request")),
        (asking(2, None, parent="answer-1"), (400, "invalid_request")),
        (asking(2, " \n"), (400, "invalid_request")),
        (Asked(id="answer-2", model="m", message=Question("answer-2", "my own answer")), (400, "invalid_request")),
        (asking(2, model="none", parent="answer-1"), (404, "model_not_found")),
    ]:
        assert await refused(talks.answer(A, "talk-one", wrong)) == told
    changed = Asked(id="answer-9", model="m", message=Question("question-1", "other words"))
    assert await refused(talks.answer(A, "talk-one", changed)) == (409, "idempotency_conflict")
    assert await refused(talks.answer(A, "../etc", asking(1))) == (400, "invalid_request")
    assert await refused(talks.answer(A, "talk-one", Asked(id="question-1", model="m"))) == (
        409,
        "idempotency_conflict",
    )
    assert await refused(talks.change(A, "talk-one", None, "nowhere")) == (404, "message_not_found")
    assert await refused(talks.change(B, "talk-one", "x", None)) == (404, "conversation_not_found")


async def test_an_upstream_that_refuses_leaves_the_question_and_no_answer(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="broken"))
    assert (await refused(talks._gateway.ready(stream)))[0] == 502
    assert [message.id for message in await talks.messages(A, "talk-one")] == ["question-1"]
    async with asyncio.timeout(10):
        while (await talks.find(A, "talk-one")).leaf != "question-1":
            await asyncio.sleep(0.005)
    await talks.answer(A, "talk-one", asking(1))
    assert (await ended(talks))[1].text == "to the sea "


async def test_what_is_said_after_a_refusal_follows_the_question(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, "one", model="broken"))
    await refused(talks._gateway.ready(stream))
    await talks.answer(A, "talk-one", asking(2, "two", parent="question-1"))
    *_, answer = await ended(talks)
    assert (answer.parent, answer.text) == ("question-2", "two ")
    assert asked_of_models == [[("user", "one"), ("user", "two")]]


async def test_nothing_follows_an_answer_that_may_still_be_refused(talks: Conversations) -> None:
    await talks.answer(A, "talk-one", asking(1, model="silent"))
    assert await refused(talks.answer(A, "talk-one", asking(2, parent="answer-1"))) == (409, "answer_not_begun")
    await talks.stop(A, "talk-one", "answer-1", None)


async def test_who_listens_is_told_of_its_own(talks: Conversations) -> None:
    mine: list[str] = []
    others: list[str] = []
    stop = talks.listen(A, mine.append)
    talks.listen(B, others.append)
    await talks.answer(A, "talk-one", asking(1))
    await ended(talks)
    async with asyncio.timeout(10):
        while len(mine) < 3:  # the question, the answer, its end
            await asyncio.sleep(0.01)
    assert set(mine) == {"talk-one"}
    stop()
    before = len(mine)
    await talks.change(A, "talk-one", "new", None)
    assert (len(mine), others) == (before, [])
