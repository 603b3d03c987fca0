"""What a route wants of its answers, and where they may come from: deadlines, and one step after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from penstock.exceptions import Refused
from penstock.streams.attempt import Upstream
from penstock.streams.gate import GateRule


class Timeouts(NamedTuple):
    """A route's deadlines, in seconds (DESIGN part 6)."""

    connect: float = 5.0
    first_token: float = 60.0
    silence: float = 30.0
    total: float = 600.0
    min_tokens_per_second: float = 0.0
    """A slower answer, over `silence` seconds, counts as stalled. 0 = none does."""


class Plan(NamedTuple):
    """What a route wants of its generations."""

    timeouts: Timeouts = Timeouts()
    on_abandon: Literal["cancel", "finish"] = "cancel"
    grace: float = 15.0
    """Seconds without any reader after which an abandoned generation is cancelled."""
    hedge: float | None = None
    """Seconds without a token after which another upstream is asked as well; the first token wins."""
    gate: GateRule | None = None
    """Who sees the text before the readers do."""
    max_tokens: int | None = None
    """A longer answer is ended: in tokens as its upstream sends them, one a piece. None = it may take its time."""
    continuation: bool = False
    """When an answer breaks off, another upstream is asked to go on with it."""


class Slot(Protocol):
    """A place among the answers that an upstream makes at a time."""

    def give(self) -> None:
        """It is free again. Once; again changes nothing."""


class Step(NamedTuple):
    """One attempt to be made."""

    upstream: Upstream
    model: str
    delay: float = 0.0
    """Seconds to wait before it."""
    slot: Slot | None = None
    """Given back as soon as the upstream is let go of."""


class Queued(NamedTuple):
    """Where a step stands in the queue, 1 = next; the seconds that that will take, by a guess; those that it waits at most."""

    position: int
    seconds: float
    patience: float


class Course(Protocol):
    """Where to ask, one step after the other."""

    def next(self, now: float, lost: Step | None, why: Refused | None) -> Step:
        """The next step, after `lost` failed. Raises Refused if there is none: that is what the caller is told."""
        ...

    def enter(self, step: Step, now: float, turn: Callable[[], None]) -> Step | None:
        """`step` is to be made now: the step to make, with its slot, which may be at another upstream that has one.

        None = all are full, and it is in the queue: `turn` is called once it has a slot, and then this again. It may be called
        before, too, to look around. Raises Refused when the queue is too long.
        """
        ...

    def queued(self) -> Queued:
        """While in the queue: where."""
        ...

    def overdue(self) -> Refused:
        """It was in the queue for too long, and leaves it: what the caller is told."""
        ...

    def leave(self) -> None:
        """The step is not to be made any more: leave the queue."""

    def beside(self, now: float) -> Step | None:
        """Another upstream to ask while one is late, with its slot; None if there is none."""
        ...

    def failed(self, step: Step, why: Refused, now: float) -> None:
        """Its upstream failed, before its first token or in the middle of its answer."""

    def stopped(self, step: Step) -> None:
        """It was let go of, and nobody knows what would have become of it."""

    def won(self, step: Step) -> None:
        """Its upstream answers."""

    def completed(self, step: Step) -> None:
        """Its upstream has given a whole answer."""
