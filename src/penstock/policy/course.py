"""Courses: where one request is asked, and where next when that failed.

Without weights a route's targets are asked in their order. With weights, who is asked first is drawn by them. Whatever is
first, the others follow in order when it fails before its first token: at once, for another upstream has nothing to recover
from. Once all were asked, and the route allows more retries, they are asked again after a pause: exponential backoff with full
jitter, or as long as Retry-After says.

What is the request's own fault (400, 413, 422) is not asked again anywhere. An upstream whose breaker is open is passed by.
So is one that is full while another is not; when all are, the request waits for whichever has a slot first (`policy.slots`).

Pure: the clock and the dice are passed in. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.exceptions import Refused
from penstock.policy.delivery import Wish
from penstock.policy.health import Breaker
from penstock.policy.slots import Slot, Slots, Waiter
from penstock.streams.attempt import Upstream
from penstock.streams.plan import Plan, Queued, Step

FIRST_PAUSE = 0.5
"""Seconds: the most that the first pause lasts. Each one after it may last twice as long ..."""

LONGEST_PAUSE = 8.0
"""... up to this."""

LONGEST_WAIT = 20.0
"""A Retry-After of more seconds than this is for the client to wait."""

LEAST_WAIT, MOST_WAIT = 1.0, 60.0
"""What a client is told that finds everything full: seconds, within these bounds, for it is a guess."""

_ITS_OWN_FAULT = frozenset((400, 413, 422))


class Target(NamedTuple):
    """One upstream behind a route, and what the model is called there (None: as the client called it)."""

    upstream: Upstream
    model: str | None
    weight: int | None = None
    breaker: Breaker = Breaker(0)
    slots: Slots | None = None
    """None = it makes any number of answers at a time."""


class Queue(NamedTuple):
    """Who may wait while all upstreams are full: `length` requests of one tenant at each, for so many seconds."""

    length: int = 100
    seconds: float = 30.0


class Price(NamedTuple):
    """What a million tokens cost. Told to clients, and used for nothing here."""

    input: float
    output: float


class Route(NamedTuple):
    """A public model name, and the upstreams behind it."""

    model: str
    targets: tuple[Target, ...]
    plan: Plan = Plan()
    retries: int | None = None
    """Most attempts after the first one. None = every further target once."""
    delivery: Wish = "stream"
    price: Price | None = None
    queue: Queue = Queue()


class Walk:
    """The course of one request of `tenant` along its route. `next` chooses a target, `enter` goes there."""

    def __init__(self, route: Route, model: str, dice: random.Random, tenant: str = "") -> None:
        self._targets = _ordered(route.targets, dice)
        self._model = model
        self._tenant = tenant
        self._queue = route.queue
        self._waiter: Waiter | None = None
        self._answered = False
        self._left = len(self._targets) - 1 if route.retries is None else route.retries
        self._rounds = 0
        self._dice = dice
        self._fresh = list(range(len(self._targets)))
        self._asked: dict[Step, int] = {}

    def next(self, now: float, lost: Step | None, why: Refused | None) -> Step:
        """See `penstock.streams.plan.Course`."""
        if lost is None or why is None:
            return self._step(self._first(now))
        number = self._asked[lost]
        # A target that is to go on with an answer may find fault with that, and another may not.
        if why.status in _ITS_OWN_FAULT and why.code != "unsupported_translation" and not self._answered:
            raise why
        if why.other_key:
            return self._step(number)  # not another attempt at the same: another key
        if self._left <= 0:
            raise why
        fresh = self._open(self._fresh, now)
        if fresh is not None:
            self._left -= 1
            return self._step(fresh)
        if not why.retryable:
            raise why
        wait = why.retry_after or 0.0
        if wait > LONGEST_WAIT:
            raise why
        again = self._open([*range(number + 1, len(self._targets)), *range(number + 1)], now)
        if again is None:
            raise why
        self._left -= 1
        pause = self._dice.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._rounds))
        self._rounds += 1
        return self._step(again, max(pause, wait))

    def enter(self, step: Step, now: float, turn: Callable[[], None]) -> Step | None:
        """See `penstock.streams.plan.Course`."""
        number = self._asked[step]
        if self._waiter is not None and self._waiter.slot is None:
            return self._look_around(number, now)
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            if step.slot is not None or self._targets[number].slots is None:
                self._went(number, now)
                return step
            numbers = [number, *self._others(number, now)]
        else:
            # What it waited for may have failed too often in the meantime.
            numbers = [one for one in (number, *self._others(number, now)) if self._targets[one].breaker.allows(now)]
            assert waiter.slot is not None
            for one in numbers:
                if self._targets[one].slots is waiter.slot.of:
                    return self._go(one, now, waiter.slot)
            waiter.leave()
            if not numbers:
                raise self._unavailable(now)
        return self._go_or_wait(numbers, now, turn)

    def _look_around(self, number: int, now: float) -> Step | None:
        """While it waits: one that had failed too often may be asked again, and has room."""
        assert self._waiter is not None
        for one in self._others(number, now):
            slots = self._targets[one].slots
            slot = None if slots is None else slots.take(self._tenant)
            if slots is None or slot is not None:
                self.leave()
                return self._go(one, now, slot)
        return None

    def _go_or_wait(self, numbers: Sequence[int], now: float, turn: Callable[[], None]) -> Step | None:
        full: list[Slots] = []
        for number in numbers:
            slots = self._targets[number].slots
            slot = None if slots is None else slots.take(self._tenant)
            if slots is None or slot is not None:
                return self._go(number, now, slot)
            full.append(slots)
        if all(slots.waiting(self._tenant) >= self._queue.length for slots in full):
            raise _busy(min(slots.place(tenant=self._tenant).seconds for slots in full), "as many wait as may")
        self._waiter = Waiter(self._tenant, turn)
        for slots in full:
            self._waiter.wait(slots)
        return None

    def queued(self) -> Queued:
        """See `penstock.streams.plan.Course`."""
        assert self._waiter is not None
        place = self._waiter.place()
        return Queued(place.position, place.seconds, self._queue.seconds)

    def overdue(self) -> Refused:
        """See `penstock.streams.plan.Course`."""
        assert self._waiter is not None
        place = self._waiter.place()
        self.leave()
        return _busy(place.seconds, f"none was free within {self._queue.seconds:g} s")

    def leave(self) -> None:
        """See `penstock.streams.plan.Course`."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.leave()

    def beside(self, now: float) -> Step | None:
        """See `penstock.streams.plan.Course`."""
        for number in self._fresh if self._left > 0 else ():
            target = self._targets[number]
            slot = target.slots.take(self._tenant) if target.slots and target.breaker.allows(now) else None
            if slot is not None or (target.slots is None and target.breaker.allows(now)):
                self._left -= 1
                return self._step(number, slot=slot)
        return None

    def failed(self, step: Step, why: Refused, now: float) -> None:
        """See `penstock.streams.plan.Course`."""
        if _counts_against(why):
            self._breaker(step).failed(now, why.message)
        else:
            self._breaker(step).released()

    def stopped(self, step: Step) -> None:
        """See `penstock.streams.plan.Course`."""
        self._breaker(step).released()

    def won(self, step: Step) -> None:
        """See `penstock.streams.plan.Course`."""
        self._answered = True
        self._breaker(step).answered()

    def completed(self, step: Step) -> None:
        """See `penstock.streams.plan.Course`."""
        self._breaker(step).succeeded()

    def _breaker(self, step: Step) -> Breaker:
        return self._targets[self._asked[step]].breaker

    def _first(self, now: float) -> int:
        number = self._open(self._fresh, now)
        if number is None:
            raise self._unavailable(now)
        return number

    def _unavailable(self, now: float) -> Refused:
        wait = min(target.breaker.ready_in(now) for target in self._targets)
        message = "every upstream behind this model has failed too often: they are left alone for a while"
        return Refused(503, "upstream_unavailable", message, retry_after=max(wait, 1.0))

    def _open(self, numbers: Sequence[int], now: float) -> int | None:
        return next((number for number in numbers if self._targets[number].breaker.allows(now)), None)

    def _others(self, number: int, now: float) -> list[int]:
        """Who else can be asked instead: those that were not asked yet; when all were, and it goes round again, any other."""
        others = self._fresh if number in self._fresh else range(len(self._targets))
        return [one for one in others if one != number and self._targets[one].breaker.allows(now)]

    def _step(self, number: int, delay: float = 0.0, slot: Slot | None = None) -> Step:
        target = self._targets[number]
        step = Step(target.upstream, target.model or self._model, delay, slot)
        self._asked[step] = number
        return step

    def _go(self, number: int, now: float, slot: Slot | None) -> Step:
        self._went(number, now)
        return self._step(number, slot=slot)

    def _went(self, number: int, now: float) -> None:
        self._targets[number].breaker.went(now)
        if number in self._fresh:
            self._fresh.remove(number)


def _ordered(targets: Sequence[Target], dice: random.Random) -> list[Target]:
    """The targets in the order in which they are asked."""
    if all(target.weight is None for target in targets):
        return list(targets)
    weights = [1 if target.weight is None else target.weight for target in targets]
    if not any(weights):
        return list(targets)
    first = dice.choices(range(len(targets)), weights)[0]
    return [targets[first], *(target for number, target in enumerate(targets) if number != first)]


def _counts_against(why: Refused) -> bool:
    """Whether a failure says something about the upstream's health: not about the request, a limit or a key."""
    return why.status >= 500 and why.retryable and why.code != "overloaded"


def _busy(seconds: float, why: str) -> Refused:
    message = f"every upstream behind this model is at its limit of answers at a time, and {why}"
    return Refused(503, "upstream_busy", message, retry_after=min(max(seconds, LEAST_WAIT), MOST_WAIT))
