"""Conversations: asked once, followed to the end, kept as it was seen; and storage that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from penstock.conversations import conversations as module
from penstock.conversations.conversations import Asked, Conversations, Question
from penstock.conversations.records import Conversation, Message
from penstock.conversations.store import Growth, Place
from penstock.dialects.base import Request
from penstock.exceptions import Refused, StorageFailed
from penstock.faces.conversations import markdown
from penstock.gateway import Gateway, Tenant
from penstock.policy.course import Route, Target
from penstock.stores.sql import SqlStore, engine_for
from penstock.streams.journal import MemoryJournal
from penstock.streams.plan import Plan
from penstock.streams.wheel import Wheel
from penstock.upstreams.python import PythonUpstream
from penstock.wire.events import Event

pytestmark = pytest.mark.anyio
A, B = Tenant("a"), Tenant("b")
asked_of_models: list[list[tuple[str, str]]] = []


async def words(request: Request) -> AsyncIterator[str | Event]:
    asked_of_models.append([(message.role, message.text) for message in request.messages])
    for word in request.messages[-1].text.split():
        yield f"{word} "
        await asyncio.sleep(0)


async def forever(request: Request) -> AsyncIterator[str | Event]:
    while True:
        yield "on "
        await asyncio.sleep(0.002)


async def silent(request: Request) -> AsyncIterator[str | Event]:
    await asyncio.sleep(3600)
    yield ""


async def broken(request: Request) -> AsyncIterator[str | Event]:
    raise ValueError("inside")
    yield ""


class Failing(SqlStore):
    """Fails when it is told to."""

    full = False

    async def grow(self, growths: Sequence[Growth]) -> None:
        if self.full:
            raise StorageFailed("full")
        await super().grow(growths)

    async def add(self, tenant: str, conversation: Conversation, *new: Message) -> None:
        if self.full:
            raise StorageFailed("full")
        await super().add(tenant, conversation, *new)


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


def asking(number: int, text: str | None = "to the sea", parent: str | None = None, model: str = "m") -> Asked:
    message = None if text is None else Question(f"question-{number}", text)
    return Asked(id=f"answer-{number}", model=model, parent=parent, message=message)


async def ended(talks: Conversations, id: str = "talk-one", tenant: Tenant = A) -> list[Message]:
    """The messages, once all answers have ended."""
    while True:
        messages = await talks.messages(tenant, id)
        if all(message.state == "ended" for message in messages):
            return messages
        await asyncio.sleep(0.005)


async def refused(attempt: object) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        await attempt  # type: ignore[misc]
    return raised.value.status, raised.value.code


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


async def test_nothing_follows_an_answer_that_may_still_be_refused(talks: Conversations) -> None:
    await talks.answer(A, "talk-one", asking(1, model="silent"))
    assert await refused(talks.answer(A, "talk-one", asking(2, parent="answer-1"))) == (409, "answer_not_begun")
    await talks.stop(A, "talk-one", "answer-1", None)


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


async def test_after_deleting_the_same_ids_are_another_answer(talks: Conversations) -> None:
    before = await talks.answer(A, "talk-one", asking(1, "one"))
    await ended(talks)
    await talks.delete(A, "talk-one")
    assert await talks.answer(A, "talk-one", asking(1, "two")) is not before
    assert (await ended(talks))[1].text == "two "


async def test_what_runs_when_the_server_leaves_is_kept_as_interrupted(talks: Conversations) -> None:
    stream = await talks.answer(A, "talk-one", asking(1, model="forever"))
    while stream.produced < 8:
        await asyncio.sleep(0.002)
    talks._gateway.interrupt()
    await talks.close()
    answer = (await ended(talks))[1]
    assert (answer.text, answer.outcome) == ("on " * (stream.produced - 2), "interrupted")


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
