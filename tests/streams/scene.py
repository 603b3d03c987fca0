"""A generation on a stage: its upstream is played by the test, its clock turned by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock.dialects.base import Message, Request
from penstock.exceptions import Refused
from penstock.streams.attempt import Attempt
from penstock.streams.generation import Generation
from penstock.streams.plan import Plan, Queued, Step
from penstock.streams.stream import Stream
from penstock.wire.events import Error, Event, Outcome, Usage
from tests.streams.river import EPOCH, NATIVE, Bowl, Time, follow, new_stream

PLAN = Plan()
REQUEST = Request(
    dialect="openai-chat",
    model="m",
    messages=[Message("user", "hi")],
    fields={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
)


def chunk(**delta: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


ROLE = chunk(role="assistant", content="")
HELLO = chunk(content="hello")
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":0}}\n\n'
FAILED = b'data: {"error":{"message":"out of memory"}}\n\n'
COMMENT = b": still thinking\n\n"


class Call:
    """One running request at an upstream that is played by the test."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def close(self) -> None:
        self.heard.append("close")

    def release(self) -> None:
        self.heard.append("release")

    def pause(self) -> None:
        self.heard.append("pause")

    def resume(self) -> None:
        self.heard.append("resume")


class Upstream:
    def __init__(self, dialect: str, name: str = "played") -> None:
        self.name = name
        self.dialect = dialect
        self.call = Call()
        self.attempt: Attempt | None = None

    def start(self, request: Request, model: str, attempt: Attempt) -> Call:
        self.attempt = attempt
        return self.call


class Course:
    """The steps in order, and then the end. The last of `beside` is who is asked when the first is late."""

    def __init__(self, *steps: Step, beside: Step | None = None) -> None:
        self.steps = list(steps)
        self.extra = beside
        self.heard: list[str] = []

    def next(self, now: float, lost: Step | None, why: Refused | None) -> Step:
        if not self.steps:
            assert why is not None
            raise why
        return self.steps.pop(0)

    def enter(self, step: Step, now: float, turn: Callable[[], None]) -> Step | None:
        return step

    def queued(self) -> Queued:
        raise NotImplementedError

    def overdue(self) -> Refused:
        raise NotImplementedError

    def leave(self) -> None:
        self.heard.append("left")

    def beside(self, now: float) -> Step | None:
        extra, self.extra = self.extra, None
        return extra

    def failed(self, step: Step, why: Refused, now: float) -> None:
        self.heard.append(f"{step.upstream.name} failed: {why.code}")

    def stopped(self, step: Step) -> None:
        self.heard.append(f"{step.upstream.name} stopped")

    def won(self, step: Step) -> None:
        self.heard.append(f"{step.upstream.name} won")

    def completed(self, step: Step) -> None:
        self.heard.append(f"{step.upstream.name} completed")


class Scene:
    """A stream, its generation and its upstream; the clock stands."""

    def __init__(self, dialect: str = "openai-chat", plan: Plan = PLAN, *, retain: int = 4_000_000) -> None:
        self.time = Time()
        self.stream: Stream = new_stream(self.time.wheel, dialect, retain=retain)
        self.ended: list[Generation] = []
        self.generation = Generation(self.stream, self.time.wheel, plan, request_bytes=400, on_end=self.ended.append)
        self.upstream = Upstream(dialect)
        self.course = Course(Step(self.upstream, "m"))
        self.generation.start(self.course, REQUEST)

    @property
    def heard(self) -> list[str]:
        return self.upstream.call.heard

    @property
    def attempt(self) -> Attempt:
        assert self.upstream.attempt is not None
        return self.upstream.attempt

    def answers(self, *reads: bytes) -> Scene:
        self.attempt.connected()
        self.attempt.began()
        for read in reads:
            self.attempt.feed(read)
        return self

    def ends(self, outcome: Outcome, code: str | None = None) -> None:
        """The stream has ended so, once, and the upstream was let go of, once."""
        assert self.stream.end is not None
        last = self.stream.end.last
        assert last.outcome == outcome
        assert (last.code if isinstance(last, Error) else None) == code
        assert self.generation.over
        assert self.generation.ready.done()
        assert self.ended == [self.generation]
        assert self.heard.count("close") + self.heard.count("release") == 1
        bowl = Bowl()
        follow(self.stream, bowl, NATIVE, f"{EPOCH}:{self.stream.log.first}")
        assert bowl.ended
        assert [name for name in bowl.names if name in ("done", "error")] == [bowl.names[-1]]

    @property
    def events(self) -> list[Event]:
        return list(self.stream.events())

    @property
    def usage(self) -> Usage | None:
        assert self.stream.end is not None
        return self.stream.end.usage
