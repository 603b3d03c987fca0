"""The sim itself: which answer a request gets, and the connections that are open."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.sim.answer import Answer
from penstock.sim.connection import Connection
from penstock.sim.cue import Cue, CueError
from penstock.sim.http import Head, Request
from penstock.sim.performance import Performance
from penstock.sim.record import Record
from penstock.sim.script import Script
from penstock.sim.voices import VOICES, RequestError, Voice, voice_for

_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"


class Server:
    """Answers requests as its script says, and records the truth about it."""

    def __init__(self, script: Script, record: Record, seed: int = 0) -> None:
        self._script = script
        self._record = record
        self._seed = seed
        self._numbers = itertools.count(1)
        self._connection_numbers = itertools.count(1)
        self._connections: set[Connection] = set()
        self._started = int(time.time())

    def connection(self) -> Connection:
        """A protocol for the next connection."""
        return Connection(self, next(self._connection_numbers))

    def opened(self, connection: Connection) -> None:
        """A peer has connected."""
        self._connections.add(connection)
        self._record.write("opened", connection=connection.number)

    def closed(self, connection: Connection, by: str, during: int | None) -> None:
        """A connection is gone; `during` is the request whose answer was not complete."""
        self._connections.discard(connection)
        self._record.write("closed", connection=connection.number, by=by, during=during)

    def stop(self) -> None:
        """Records the ends that the end of the process is about to make."""
        for connection in list(self._connections):
            performance = connection.performance
            if performance is not None:
                performance.abandon("shutdown")
            self.closed(connection, "sim", performance.number if performance else None)
        self._record.close()

    def perform(self, request: Request, connection: Connection) -> Performance:
        """The performance that answers a request; recorded, and not begun."""
        number = next(self._numbers)
        voice = voice_for(request.path)
        body: Any = None
        cue = Cue()
        failure: tuple[int, str, str | None] | None = None
        ask = None
        try:
            if request.body:
                body = msgspec.json.decode(request.body)
            if voice is not None and request.method == "POST":
                ask = voice.read(request.path, body)
                cue = self._script.choose(ask.prompt, ask.model, request.api_key)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            body = request.body.decode("utf-8", "replace")
            failure = 400, f"The body is not JSON: {error}", None
        except RequestError as error:
            failure = 400, str(error), error.param
        except CueError as error:
            failure = 400, f"Bad cue: {error}", "messages"
        self._record.write(
            "request",
            id=number,
            connection=connection.number,
            method=request.method,
            path=request.target,
            headers=request.headers,
            body=body,
            cue=msgspec.to_builtins(cue),
        )

        def performance(status: int, content_type: str = _JSON, stream: bool = False) -> Performance:
            head = Head(request, cue, number, status, content_type, stream)
            return Performance(number, connection, head, cue, self._record)

        if failure is None and voice is not None and ask is not None and _speaks(cue):
            played = performance(200, _SSE if ask.stream else _JSON, ask.stream)
            answer = Answer(cue, ask, self._seed)
            # An error told by an answer that is not streamed is a status.
            if ask.stream or cue.error_after is None:
                played.say(ask, voice.speak(ask, answer, cue, number), answer)
                return played
            cue = msgspec.structs.replace(cue, status=500)
        return self._plain(request, voice, cue, failure, performance)

    def _plain(
        self,
        request: Request,
        voice: Voice | None,
        cue: Cue,
        failure: tuple[int, str, str | None] | None,
        performance: Callable[[int], Performance],
    ) -> Performance:
        """An answer that no model gives: an error, a redirect, a list."""
        speaker = voice or VOICES[0]
        if failure is None and voice is not None and request.method == "POST":
            status = 302 if cue.redirect is not None else cue.status or 200
            played = performance(status)
            if cue.redirect is not None or cue.raw is not None:
                played.show(b"")
            elif isinstance(cue.error_body, str):
                played.show(cue.error_body.encode())
            else:
                usual = speaker.refusal(status, f"The sim was told to answer {status}")
                played.show(msgspec.json.encode(usual if cue.error_body is None else cue.error_body))
            return played
        status, body = self._fixed(request, speaker, voice is not None, failure)
        played = performance(status)
        played.show(msgspec.json.encode(body))
        return played

    def _fixed(
        self, request: Request, speaker: Voice, known: bool, failure: tuple[int, str, str | None] | None
    ) -> tuple[int, dict[str, Any]]:
        if failure is not None:
            status, message, param = failure
            return status, speaker.refusal(status, message, param)
        if known:
            return 405, speaker.refusal(405, f"{request.method} is not allowed here; use POST")
        if request.path == "/healthz":
            return 200, {"status": "ok"}
        if request.path.rstrip("/").endswith("/models") and request.method == "GET":
            rows = [
                {"id": model, "object": "model", "created": self._started, "owned_by": "penstock-sim"}
                for model in self._script.models
            ]
            return 200, {"object": "list", "data": rows}
        return 404, speaker.refusal(404, f"Nothing is at {request.method} {request.path}")


def _speaks(cue: Cue) -> bool:
    """Whether the model itself answers."""
    return cue.status is None and cue.redirect is None and cue.raw is None
