"""Conversations as a service: begin answers, keep what was said, tell who is looking that something has changed.

An answer is asked for once, whatever its client does: its id is the client's, and is the request's idempotency key. It is
followed here from its beginning, so it goes on when its readers leave. What it says is written down in groups, about ten times
a second for all answers together; nothing waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakValueDictionary

import msgspec

from penstock.conversations.recording import Recording
from penstock.conversations.records import Asked, Conversation, Message, check_id, title_of
from penstock.conversations.store import Place, Store
from penstock.dialects.base import Message as Said
from penstock.dialects.base import Options, Request
from penstock.exceptions import Refused, StorageFailed
from penstock.gateway import Gateway, Tenant
from penstock.policy.delivery import Wish
from penstock.streams.framing import Format
from penstock.streams.stream import Stream

log = logging.getLogger("penstock.conversations")

COMMIT_SECONDS = 0.1
"""How far what is kept may be behind what was said."""

RETRY_SECONDS = 2.0
"""After the storage failed."""

OVER = "this answer has ended; the conversation has it"
STOPPED = 1_000
"""How many of a tenant's answers that are still to come may be stopped already."""


class Conversations:
    """See the module. `clock` gives Unix seconds."""

    def __init__(self, gateway: Gateway, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._gateway = gateway
        self._store = store
        self._clock = clock
        self._started: asyncio.Future[None] | None = None
        self._recordings: dict[Place, Recording] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """By tenant and conversation: one at a time begins an answer, stops one, or deletes."""
        self._stopped: dict[str, dict[Place, None]] = {}
        """By tenant, answers that were stopped before they were asked for: the line is not always first in, first out."""
        self._news: set[Recording] = set()
        self._woken = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._listeners: dict[str, set[Callable[[str], None]]] = {}

    async def start(self) -> None:
        """Make the storage ready. Done by the first call of everything else, if nobody did it before."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_future()
            try:
                unfinished = await self._store.start()
            except BaseException as error:
                failed, self._started = self._started, None
                failed.set_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))
                failed.exception()  # whoever waits is told; nobody need
                raise
            if unfinished:
                log.warning(
                    "answers that were running when the server stopped last: %d, kept as interrupted", unfinished
                )
            self._writer = asyncio.get_running_loop().create_task(self._write())
            self._started.set_result(None)
        else:
            await asyncio.shield(self._started)

    async def close(self) -> None:
        """Write down what there is, and close the storage."""
        if self._started is None:
            return
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        try:
            await self._commit()
        except StorageFailed as error:
            log.error("the last words of running answers are lost: %s", error)
        await self._store.close()
        self._started = None

    # -- looking -----------------------------------------------------------------------------------------------------

    async def recent(self, tenant: Tenant, search: str, before: float | None, limit: int) -> list[Conversation]:
        """The tenant's conversations, newest first."""
        await self.start()
        return await self._store.recent(tenant.name, search, before, limit)

    async def find(self, tenant: Tenant, id: str) -> Conversation:
        """Raises Refused (404)."""
        await self.start()
        found = await self._store.find(tenant.name, id)
        if found is None:
            raise Refused(404, "conversation_not_found", "there is no such conversation")
        return found

    async def messages(self, tenant: Tenant, id: str) -> list[Message]:
        """All branches, oldest first."""
        await self.start()
        # A recording that is written down and gone by the time this has been read knows more than what was read.
        recordings = dict(self._recordings)
        kept = await self._store.messages(tenant.name, id)
        recordings |= self._recordings
        live = [
            await self._live(tenant, message, recordings.get(Place(tenant.name, id, message.id))) for message in kept
        ]
        return [message for message in live if message is not None]

    async def _live(self, tenant: Tenant, message: Message, recording: Recording | None) -> Message | None:
        """As it is by now: what is kept is a moment behind. Without the stream, when its log is no longer kept."""
        if recording is not None:
            if recording.stream.refusal is not None:
                return None
            return recording.message() if recording.ended else recording.so_far()
        if message.stream is None or await self._gateway.journal.find(tenant.name, message.stream) is not None:
            return message
        return msgspec.structs.replace(message, stream=None)

    def listen(self, tenant: Tenant, listener: Callable[[str], None]) -> Callable[[], None]:
        """`listener` is called with the id of every conversation of the tenant's that changes. Returns how to stop that."""
        listeners = self._listeners.setdefault(tenant.name, set())
        listeners.add(listener)

        def stop() -> None:
            listeners.discard(listener)
            if not listeners and self._listeners.get(tenant.name) is listeners:
                del self._listeners[tenant.name]

        return stop

    def _changed(self, tenant: str, id: str) -> None:
        for listener in list(self._listeners.get(tenant, ())):
            listener(id)

    # -- changing ----------------------------------------------------------------------------------------------------

    async def change(self, tenant: Tenant, id: str, title: str | None, leaf: str | None) -> Conversation:
        """Rename, or choose the branch that is shown. Raises Refused (404)."""
        await self.start()
        if leaf is not None and leaf not in {message.id for message in await self._store.messages(tenant.name, id)}:
            raise Refused(404, "message_not_found", "there is no such message in this conversation", param="leaf")
        changed = await self._store.rename(tenant.name, id, title, leaf)
        if changed is None:
            raise Refused(404, "conversation_not_found", "there is no such conversation")
        self._changed(tenant.name, id)
        return changed

    async def delete(self, tenant: Tenant, id: str) -> None:
        """Whatever runs in it is cancelled. Doing it again changes nothing."""
        await self.start()
        async with self._lock(tenant, id):
            journal = self._gateway.journal
            streams: dict[Place, Stream] = {}
            recordings = dict(self._recordings)  # one that ends meanwhile was not read with its stream
            for message in await self._store.messages(tenant.name, id):
                place = Place(tenant.name, id, message.id)
                recording = recordings.get(place)
                known = recording.stream.id if recording is not None else message.stream
                stream = await journal.find(tenant.name, known) if known else None
                if stream is not None:
                    streams[place] = stream
                    await self._gateway.cancel(stream.id, tenant)
            await self._store.delete(tenant.name, id)  # where this fails, what was cancelled is kept as that
            for place, stream in streams.items():
                self._recordings.pop(place, None)
                await journal.set_aside(stream)  # its ids are free again
            self._changed(tenant.name, id)

    async def stop(self, tenant: Tenant, id: str, answer: str, seen: int | None) -> str | None:
        """Stop an answer at what was seen, also one that is still to be asked for. Returns how it ended."""
        await self.start()
        check_id(id, "conversation")
        place = Place(tenant.name, id, check_id(answer, "answer"))
        async with self._lock(tenant, id):
            recording = self._recordings.get(place)
            if recording is not None:
                stream = await self._gateway.cancel(recording.stream.id, tenant, seen)
                return stream.end.last.outcome if stream.end is not None else None
            for message in await self._store.messages(tenant.name, id):
                if message.id == answer:
                    return message.outcome
            early = self._stopped.setdefault(tenant.name, {})
            early[place] = None
            if len(early) > STOPPED:
                del early[next(iter(early))]
            return "cancelled"

    async def answer(self, tenant: Tenant, id: str, asked: Asked, wish: Wish | None = None) -> Stream:
        """Begin an answer, delivered as its client wishes, or find the one that was begun. Raises Refused."""
        await self.start()
        check_id(id, "conversation")
        check_id(asked.id, "id")
        async with self._lock(tenant, id):
            return await self._answer(tenant, Place(tenant.name, id, asked.id), asked, wish)

    async def _answer(self, tenant: Tenant, place: Place, asked: Asked, wish: Wish | None) -> Stream:
        refused = self._recordings.get(place)
        if refused is not None and refused.stream.refusal is not None:
            await self._end(refused)
        id = place.conversation
        kept = {message.id: message for message in await self.messages(tenant, id)}
        if (before := kept.get(asked.id)) is not None:
            return await self._again(tenant, place, before)
        question = self._question(asked, place, kept)
        request = _request(asked, _path(question, kept))
        now = self._clock()
        answer = Message(
            id=asked.id, parent=question.id, role="assistant", created=now, model=asked.model, state="streaming"
        )
        early = self._stopped.get(tenant.name, {})
        if stopped := place in early:
            answer = msgspec.structs.replace(answer, state="ended", outcome="cancelled")
        # Kept before the model is asked: what can't be kept is not begun, and what was begun is not begun twice.
        new = [answer] if question.id in kept else [question, answer]
        await self._store.add(tenant.name, Conversation(id, title_of(question.text), now, now), *new)
        self._changed(tenant.name, id)
        if stopped:
            del early[place]
            raise Refused(410, "resume_expired", OVER, retryable=False)
        try:
            body = msgspec.json.encode((id, asked))
            stream = await self._gateway.open(request, body, tenant, f"{id}/{asked.id}", wish)
        except BaseException:
            with contextlib.suppress(StorageFailed):  # then the next start of the process finds it interrupted
                await self._store.withdraw(place)
            self._changed(tenant.name, id)
            raise
        answer = msgspec.structs.replace(answer, stream=stream.id)
        recording = self._recordings[place] = Recording(place, answer, stream, self._told)
        stream.attach(recording, Format("native", True, stream.delivery), self._gateway.position(stream, None)).pump()
        self._changed(tenant.name, id)
        return stream

    def _lock(self, tenant: Tenant, id: str) -> asyncio.Lock:
        return self._locks.setdefault((tenant.name, id), asyncio.Lock())

    async def _again(self, tenant: Tenant, place: Place, before: Message) -> Stream:
        if before.role != "assistant":
            raise Refused(409, "idempotency_conflict", "this id is a question's", param="id")
        if before.stream is not None:
            stream = await self._gateway.journal.find(tenant.name, before.stream)
            if stream is not None:
                return stream
        raise Refused(410, "resume_expired", OVER, retryable=False)

    def _question(self, asked: Asked, place: Place, kept: dict[str, Message]) -> Message:
        if asked.parent is not None and asked.parent not in kept:
            raise Refused(404, "message_not_found", "there is no such message in this conversation", param="parent")
        if asked.message is None:
            if asked.parent is None or kept[asked.parent].role != "user":
                message = "without a message, parent must be the question that is to be answered"
                raise Refused(400, "invalid_request", message, param="parent")
            return kept[asked.parent]
        check_id(asked.message.id, "message.id")
        if asked.message.id == asked.id:
            raise Refused(400, "invalid_request", "a message and its answer have ids of their own", param="message.id")
        if not asked.message.text.strip():
            raise Refused(400, "invalid_request", "the message is empty", param="message.text")
        known = kept.get(asked.message.id)
        if known is not None:
            if (known.text, known.parent, known.role) != (asked.message.text, asked.parent, "user"):
                raise Refused(409, "idempotency_conflict", "this message id came with other words before")
            return known
        before = self._recordings.get(place._replace(message=asked.parent)) if asked.parent is not None else None
        if before is not None and not before.stream.produced:
            # It may still be refused, and then it was never there.
            raise Refused(
                409, "answer_not_begun", "what this follows has not begun yet", param="parent", retryable=True
            )
        return Message(
            id=asked.message.id, parent=asked.parent, role="user", created=self._clock(), text=asked.message.text
        )

    # -- writing down ------------------------------------------------------------------------------------------------

    def _told(self, recording: Recording) -> None:
        self._news.add(recording)
        self._woken.set()

    async def _write(self) -> None:
        while True:
            await self._woken.wait()
            await asyncio.sleep(COMMIT_SECONDS)
            self._woken.clear()
            try:
                await self._commit()
            except StorageFailed as error:
                log.error("answers are not being kept: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._woken.set()
            except Exception:
                log.exception("keeping answers failed")
                await asyncio.sleep(RETRY_SECONDS)
                self._woken.set()

    async def _commit(self) -> None:
        """Write down what is new. Raises StorageFailed; what could not be written is new again."""
        news, self._news = self._news, set()
        try:
            # Who ends while this is being written comes again. An end is the whole answer: nothing is appended before it.
            news = {recording for recording in news if self._is_current(recording)}
            over = [recording for recording in news if recording.ended]
            growths = [(recording, recording.news()) for recording in news if not recording.ended]
            await self._store.grow([growth for _, growth in growths if growth.text or growth.reasoning])
            for recording, growth in growths:
                recording.kept(growth)
                news.discard(recording)
            for recording in over:
                if self._is_current(recording):
                    await self._end(recording)
                news.discard(recording)
        except BaseException:  # the storage failed, or the server leaves: what is not written down is written later
            self._news |= news
            raise

    def _is_current(self, recording: Recording) -> bool:
        """It was not deleted, and nothing else has its place since."""
        return self._recordings.get(recording.place) is recording

    async def _end(self, recording: Recording) -> None:
        place, stream = recording.place, recording.stream
        try:
            if stream.refusal is not None:
                await self._gateway.journal.set_aside(stream)  # its id is free again
                await self._store.withdraw(place)
            else:
                await self._store.end(place, recording.message())
        except StorageFailed:
            raise
        except Exception:  # a defect in one answer must not keep the others from being kept
            log.exception("stream %s could not be kept", stream.id)
        if self._is_current(recording):
            del self._recordings[place]
        self._changed(place.tenant, place.conversation)


def _path(leaf: Message, known: Mapping[str, Message]) -> list[Message]:
    """From the beginning to `leaf`."""
    kept = dict(known)
    path = [leaf]
    while (parent := kept.pop(path[-1].parent or "", None)) is not None:  # each once, whatever the storage says
        path.append(parent)
    return path[::-1]


def _request(asked: Asked, path: Sequence[Message]) -> Request:
    """What the model is asked. An answer that holds no text says nothing to it."""
    messages = [Said("system", asked.system)] if asked.system else []
    messages += [Said(message.role, message.text) for message in path if message.text]
    options = Options(temperature=asked.temperature, reasoning_effort=asked.reasoning_effort)
    fields = {
        "model": asked.model,
        "messages": [{"role": said.role, "content": said.content} for said in messages],
        "temperature": asked.temperature,
        "max_tokens": asked.max_tokens,
        "reasoning_effort": asked.reasoning_effort,
    }
    return Request(
        dialect="native",
        model=asked.model,
        messages=messages,
        stream=True,
        include_usage=True,
        max_tokens=asked.max_tokens,
        options=options,
        fields={name: value for name, value in fields.items() if value is not None},
    )
