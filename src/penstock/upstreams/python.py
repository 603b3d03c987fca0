"""Python upstreams: any async generator of the user's, as a model.

    async def answer(request: Request) -> AsyncIterator[str | Event]: ...

What it yields are tokens (text) or events. Cancelling a stream closes the generator: its `finally` blocks run. What it
raises is logged here and told to the client as `upstream_error`, without its words.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import suppress

from penstock.dialects.base import Request
from penstock.dialects.native import decode_event, encode_event
from penstock.exceptions import ProtocolError
from penstock.streams.attempt import Attempt
from penstock.wire.events import DONE_OUTCOMES, Done, Error, Event, Token

Answer = Callable[[Request], AsyncIterator[str | Event]]

RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""What the user's code may raise; it ends its own answer and no other. A task would let the last two out of the event loop.
Our signals are heard by handlers: a KeyboardInterrupt in a task is always the user's."""

log = logging.getLogger("penstock.upstreams")


class PythonUpstream:
    """Runs `answer` once per stream, in a task of its own."""

    dialect = "native"

    def __init__(self, name: str, answer: Answer) -> None:
        self.name = name
        self._answer = answer

    def start(self, request: Request, model: str, attempt: Attempt) -> PythonCall:
        asked = Request(
            dialect=request.dialect,
            model=model,
            messages=request.messages,
            stream=request.stream,
            include_usage=request.include_usage,
            choices=request.choices,
            max_tokens=request.max_tokens,
            tools=request.tools,
            options=request.options,
            fields=request.fields,
        )
        return PythonCall(self, asked, attempt)

    async def run(self, request: Request, attempt: Attempt, flowing: asyncio.Event) -> None:
        """One answer, to its end."""
        attempt.connected()
        attempt.began()
        whole = False  # the attempt itself is over only when the gate has passed it, and that may take a while
        answer: object = None  # what the type says, the user's code may not do
        try:
            answer = self._answer(request)
            if not isinstance(answer, AsyncIterable):
                raise TypeError(
                    f"{self.name}: the function must be an async generator, not return {type(answer).__name__}"
                )
            async for piece in answer:
                if attempt.over or whole:
                    return
                if isinstance(piece, str):
                    attempt.emit(Token(piece))
                elif isinstance(piece, Event):
                    event = _checked(piece)
                    whole = isinstance(event, Done)
                    attempt.emit(event)
                else:
                    raise TypeError(f"{self.name}: the function yielded {type(piece).__name__}, not str or an event")
                if not whole:
                    await flowing.wait()
            if not whole:
                whole = True
                attempt.completed()
        except RAISED as error:
            name, stream = self.name, attempt.stream.id
            log.exception("upstream %s, stream %s: the generator raised %s", name, stream, type(error).__name__)
            if not whole:
                attempt.fail("upstream_error", "the upstream failed")
        finally:
            if not attempt.over and not whole:
                # Cancelled, and not by us: something that the user's code waited for was.
                log.error(
                    "upstream %s, stream %s: the generator was cancelled from within", self.name, attempt.stream.id
                )
                attempt.fail("upstream_error", "the upstream failed")
            if isinstance(answer, AsyncGenerator):
                with suppress(*RAISED):
                    await answer.aclose()
            elif inspect.iscoroutine(answer):
                answer.close()


def _checked(event: Event) -> Event:
    """The event, if its values are what their types say: an object that is made by hand is not checked. Raises TypeError."""
    try:
        told = decode_event(encode_event(event))
    except (ProtocolError, TypeError, ValueError) as error:
        raise TypeError(f"the function yielded an event that is none: {error}") from None
    assert told is not None
    if isinstance(told, Error) and told.outcome in DONE_OUTCOMES:
        raise TypeError(f"the function yielded an error whose outcome is {told.outcome!r}")
    if any(getattr(told, name, 0) < 0 for name in ("index", "choice")):
        raise TypeError("the function yielded an event with a negative index")
    return told


class PythonCall:
    """One running generator."""

    __slots__ = ("_flowing", "_task")

    def __init__(self, upstream: PythonUpstream, request: Request, attempt: Attempt) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._task = asyncio.get_running_loop().create_task(upstream.run(request, attempt, self._flowing))

    def close(self) -> None:
        # The generator itself may be what ended the stream: then it is left to run to its own end.
        if self._task is not asyncio.current_task():
            self._task.cancel()

    def release(self) -> None:
        """A generator that yielded Done is closed by its own loop."""

    def pause(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()
