"""Plays the score of one answer on one connection: timers, not tasks, so that ten thousand cost little."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from penstock.sim.answer import Answer, Ask, Piece
from penstock.sim.cue import Cue
from penstock.sim.http import Head
from penstock.sim.outlet import Outlet, Wire
from penstock.sim.record import Record
from penstock.sim.score import Act, Spoken, Turn, Wait, streamed, whole
from penstock.sim.voices import Said, Speech

_MOST_IN_ONE_WRITE = 65536


class Stage(Wire, Protocol):
    """The connection, as a performance sees it."""

    def finished(self, keep_alive: bool) -> None:
        """The answer is complete."""

    def cut(self, kind: str) -> None:
        """Ends the connection as a cue's `cut` says."""


class Performance:
    """One answer under way. Ends exactly once: by itself, or by `abandon`."""

    def __init__(self, number: int, stage: Stage, head: Head, cue: Cue, record: Record) -> None:
        self.number = number
        self._stage = stage
        self._head = head
        self.cue = cue
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.Handle] = {}
        self._outlet = Outlet(stage, self, cue, head.chunked)
        self._speech: Speech | None = None
        self._answer: Answer | None = None
        self._acts: Iterator[Act] = iter(())
        self._next: Callable[[], None] = _nothing
        self._due = 0.0
        self._put = 0  # body bytes given to the outlet
        self._unsettled: deque[tuple[int, Piece]] = deque()
        self._said: list[Said] = []
        self._tokens_sent = 0
        self._first_token_at: float | None = None
        self._last_token_at: float | None = None
        self._last_write = 0.0
        self._stalled = False
        self._failed = False
        self._over = False

    def say(self, ask: Ask, speech: Speech, answer: Answer) -> None:
        """Makes this the performance of a model's answer."""
        self._speech, self._answer = speech, answer
        self._said = [Said() for _ in range(ask.choices)]
        if ask.stream:
            self._acts = streamed(self.cue, speech, answer)
            if self.cue.content_length:
                self._acts = iter(self._measured(list(self._acts)))
        else:
            body, pieces = whole(self.cue, speech, answer)
            self._acts = self._one_piece(body, pieces)

    def show(self, body: bytes) -> None:
        """Makes this the performance of a body without pieces."""
        self._acts = self._one_piece(body, [])

    def begin(self) -> None:
        """Starts the clock."""
        if self.cue.hang == "connect":
            self._stalled = True
        elif self.cue.header_delay:
            self._timers["next"] = self._loop.call_later(self.cue.header_delay, self._open)
        else:
            self._open()

    def resume(self) -> None:
        """The connection takes bytes again."""
        if not self._over:
            self._outlet.resume()

    def abandon(self, ended: str) -> None:
        """The connection is gone, or the sim is stopping."""
        self._end("stalled" if self._stalled and ended == "closed_by_peer" else ended)

    def _one_piece(self, body: bytes, pieces: list[Piece]) -> Iterator[Act]:
        cue = self.cue
        self._head.length = len(body)
        half = len(body) // 2
        if (delay := cue.first_token_delay + cue.pace * len(pieces)) > 0:
            self._head.delay = delay
        if cue.stall_after is not None or cue.cut_after is not None:
            yield body[:half]
            yield Turn.STALL if cue.stall_after is not None else Turn.CUT
        yield body
        for piece in pieces:
            yield Spoken(b"", piece)

    def _measured(self, acts: list[Act]) -> list[Act]:
        blocks = [act if isinstance(act, bytes) else act.block for act in acts if isinstance(act, bytes | Spoken)]
        self._head.length = sum(map(len, blocks))
        return acts

    def _open(self) -> None:
        if self.cue.cut_before_headers:
            self.reached()
            return
        first = next(self._acts, None)  # a body in one piece has its length and delay only now
        if self._head.delay:
            delay, self._head.delay = self._head.delay, 0.0
            self._acts = _chain(first, self._acts)
            self._timers["next"] = self._loop.call_later(delay, self._open)
            return
        self._acts = _chain(first, self._acts)
        self._stage.write(self._head.encode())
        self._due = self._last_write = time.monotonic()
        if self.cue.comments is not None:
            self._timers["comment"] = self._loop.call_later(self.cue.comments, self._comment)
        if self.cue.hang == "headers":
            self._stalled = True
        else:
            self._advance()

    def _advance(self) -> None:
        """Plays up to the next wait, or until a write is full."""
        if self._over:
            return
        batch: list[bytes] = []
        size = 0
        self._next = self._complete
        for act in self._acts:
            if isinstance(act, Spoken):
                batch.append(act.block)
                size += len(act.block)
                self._unsettled.append((self._put + size, act.piece))
            elif isinstance(act, bytes):
                batch.append(act)
                size += len(act)
            elif isinstance(act, Wait):
                self._due += act.seconds
                self._next = self._sleep
                break
            elif act is Turn.STALL:
                self._next = self._stall
                break
            elif act is Turn.CUT:
                self._next = self.reached
                break
            else:
                self._failed = True
            if size >= _MOST_IN_ONE_WRITE:
                self._next = self._sleep
                break
        self._put += size
        if size:
            self._last_write = time.monotonic()
        if self._outlet.put(b"".join(batch)):
            self.cleared()
        elif not self._over:
            self.wrote()

    def cleared(self) -> None:
        """All that was put is written: what comes next, once."""
        if not self._over:
            self.wrote()
            step, self._next = self._next, _nothing
            step()

    def _sleep(self) -> None:
        delay = self._due - time.monotonic()
        self._timers["next"] = (
            self._loop.call_later(delay, self._advance) if delay > 0 else self._loop.call_soon(self._advance)
        )

    def _stall(self) -> None:
        self._stalled = True

    def _comment(self) -> None:
        cue = self.cue
        assert cue.comments is not None
        now = time.monotonic()
        if now - self._last_write >= cue.comments * 0.9 and self._outlet.idle:
            self._last_write = now
            comment = f": keepalive{cue.line_end}{cue.line_end}".encode()
            self._put += len(comment)
            self._outlet.put(comment)
        self._timers["comment"] = self._loop.call_later(cue.comments, self._comment)

    def _complete(self) -> None:
        cue = self.cue
        if cue.cuts and not self._failed:
            self.reached()
            return
        self._stage.write(self._outlet.finish())
        self._end("error" if self._failed or self._head.status >= 400 else "done")
        self._stage.finished(self._head.keep_alive)

    def reached(self) -> None:
        """Here the answer is cut."""
        kind = self.cue.cut or "eof"
        self.wrote()
        clean = kind == "clean" and self._head.sent
        if clean:
            self._stage.write(self._outlet.finish())
        self._end("cut")
        if clean and self._head.chunked:
            self._stage.finished(self._head.keep_alive)
        else:
            self._stage.cut(kind)

    def wrote(self) -> None:
        """Counts the tokens whose last byte was given to the socket."""
        unsettled, sent = self._unsettled, self._outlet.sent
        if not unsettled or unsettled[0][0] > sent:
            return
        self._last_token_at = time.monotonic()
        if self._first_token_at is None:
            self._first_token_at = self._last_token_at
        while unsettled and unsettled[0][0] <= sent:
            piece = unsettled.popleft()[1]
            self._tokens_sent += 1
            if self._record.kept:
                self._said[piece.choice].add(piece)

    def _end(self, ended: str) -> None:
        if self._over:
            return
        self._over = True
        for timer in self._timers.values():
            timer.cancel()
        self._outlet.stop()
        self._acts = iter(())
        if not self._record.kept:
            return
        answer, speech = self._answer, self._speech
        finished = ended == "done" and answer is not None and speech is not None
        self._record.write(
            "end",
            id=self.number,
            ended=ended,
            status=self._head.status if self._head.sent else None,
            text=["".join(said.text) for said in self._said],
            reasoning=["".join(said.reasoning) for said in self._said],
            refusal=["".join(said.refusal) for said in self._said],
            tool_calls=[said.tools for said in self._said],
            finish_reason=[answer.finish_reason(n) for n in range(len(self._said))] if finished and answer else None,
            usage=speech.usage if finished and speech else None,
            tokens_sent=self._tokens_sent,
            bytes_sent=self._outlet.sent,
            first_token_at=self._first_token_at,
            last_token_at=self._last_token_at,
        )


def _nothing() -> None:
    """The step after one already taken."""


def _chain(first: Act | None, rest: Iterator[Act]) -> Iterator[Act]:
    if first is not None:
        yield first
    yield from rest
