"""Courses past upstreams that are full, as transcripts: who is asked instead, who waits, and what they are told."""

from __future__ import annotations

import random

import pytest

from penstock.exceptions import Refused, UpstreamFailed
from penstock.policy.course import Queue, Route, Target, Walk
from penstock.policy.health import REST, Breaker
from penstock.policy.slots import USUAL_SECONDS, Slots
from penstock.streams.plan import Step
from tests.policy.test_course import DOWN, Named

USUAL = Queue()
WAIT = None
"""In place of an upstream's name: it is in the queue."""


class Road:
    """A route of targets `name` or `name/slots`, and any number of requests along it."""

    def __init__(self, *targets: str, queue: Queue = USUAL, retries: int | None = None, limit: int = 0) -> None:
        self.now = 0.0
        made = []
        for target in targets:
            name, _, most = target.partition("/")
            slots = Slots(int(most), {}, lambda: self.now) if most else None
            made.append(Target(Named(name), None, None, Breaker(limit), slots))
        self.targets = made
        self.route = Route("m", tuple(made), retries=retries, queue=queue)

    def request(self, tenant: str = "t") -> Traveller:
        return Traveller(self, tenant)

    def fails(self, number: int) -> None:
        self.targets[number].breaker.failed(self.now)


class Traveller:
    def __init__(self, road: Road, tenant: str) -> None:
        self.road = road
        self.walk = Walk(road.route, "m", random.Random(0), tenant)
        self.step: Step | None = None
        self.turns = 0
        self._wanted = self.walk.next(road.now, None, None)
        self.at = self.comes()

    def turn(self) -> None:
        self.turns += 1

    def comes(self) -> str | None:
        """It is to be made now, or its turn has come. Where it goes."""
        self.step = self.walk.enter(self._wanted, self.road.now, self.turn)
        self.at = None if self.step is None else self.step.upstream.name
        return self.at

    def ends(self) -> None:
        assert self.step is not None
        if self.step.slot is not None:
            self.step.slot.give()

    def lost(self, why: UpstreamFailed = DOWN) -> str | None:
        """Its upstream failed. Where it goes next."""
        assert self.step is not None
        self.ends()
        self.walk.failed(self.step, why, self.road.now)
        self._wanted = self.walk.next(self.road.now, self.step, why)
        return self.comes()


def test_a_full_upstream_is_passed_by() -> None:
    road = Road("a/1", "b/1", "c")
    assert [road.request().at for _ in range(4)] == ["a", "b", "c", "c"]


def test_a_request_that_went_elsewhere_may_come_back_when_that_fails() -> None:
    road = Road("a/1", "b")
    first, second = road.request(), road.request()
    assert (first.at, second.at) == ("a", "b")
    first.ends()
    assert second.lost() == "a"


def test_when_all_are_full_it_waits_for_whichever_has_a_slot_first() -> None:
    road = Road("a/1", "b/1")
    a, b, third, fourth = (road.request() for _ in range(4))
    assert (a.at, b.at, third.at, fourth.at) == ("a", "b", WAIT, WAIT)
    b.ends()
    assert (third.turns, fourth.turns) == (1, 0)
    assert third.comes() == "b"
    a.ends()
    assert fourth.comes() == "a"


def test_while_one_waits_nobody_overtakes() -> None:
    road = Road("a/1")
    first, second = road.request(), road.request("u")
    first.ends()
    assert road.request("v").at is WAIT, "the slot is the second one's already"
    assert second.comes() == "a"


def test_what_waiting_is_told() -> None:
    road = Road("a/2", queue=Queue(10, 7))
    requests = [road.request() for _ in range(5)]
    assert [request.walk.queued() for request in requests[2:]] == [
        (position, position * USUAL_SECONDS / 2, 7) for position in (1, 2, 3)
    ]


def test_as_many_of_a_tenant_wait_as_may() -> None:
    road = Road("a/1", queue=Queue(length=2))
    assert [road.request("t").at for _ in range(3)] == ["a", WAIT, WAIT]
    with pytest.raises(Refused) as refused:
        road.request("t")
    told = refused.value
    assert (told.status, told.code, told.retryable) == (503, "upstream_busy", True)
    assert told.retry_after == 3 * USUAL_SECONDS
    assert road.request("u").at is WAIT, "what one tenant has waiting keeps no other out"


def test_a_queue_of_none() -> None:
    road = Road("a/1", queue=Queue(length=0))
    assert road.request().at == "a"
    with pytest.raises(Refused):
        road.request()


def test_who_has_waited_for_too_long_leaves() -> None:
    road = Road("a/1", queue=Queue(seconds=7))
    first, second, third = road.request(), road.request(), road.request()
    told = second.walk.overdue()
    assert (told.status, told.code) == (503, "upstream_busy")
    assert "none was free within 7 s" in told.message
    first.ends()
    assert (second.turns, third.turns) == (0, 1)


def test_who_leaves_gives_back_what_it_was_just_given() -> None:
    road = Road("a/1")
    first, second, third = road.request(), road.request(), road.request()
    first.ends()
    second.walk.leave()
    second.walk.leave()
    assert third.comes() == "a"


def test_its_turn_comes_at_an_upstream_that_has_failed_too_often_by_then() -> None:
    road = Road("a/1", "b/1", limit=1)
    a, b, third = road.request(), road.request(), road.request()
    road.fails(0)
    a.ends()
    assert third.turns == 1
    assert third.comes() is WAIT
    b.ends()
    assert third.comes() == "b"


def test_its_turn_comes_and_nobody_is_left() -> None:
    road = Road("a/1", limit=1)
    a, second = road.request(), road.request()
    road.fails(0)
    a.ends()
    with pytest.raises(Refused) as refused:
        second.comes()
    assert (refused.value.code, refused.value.retry_after) == ("upstream_unavailable", REST)
    road.now = REST
    assert road.request().at == "a", "the probe: no slot was lost"


def test_who_waits_is_no_probe() -> None:
    road = Road("a/1", "b", limit=1)
    road.request()
    road.fails(0)
    road.now = REST
    assert road.request().at == "b", "a is half open, and full"
    assert road.targets[0].breaker.allows(REST)


def test_after_a_failure_it_waits_for_the_others() -> None:
    road = Road("a/2", "b/1", retries=3)
    first, second, third = road.request(), road.request(), road.request()
    assert third.at == "b"
    assert first.lost() is WAIT
    second.ends()
    assert first.turns == 0, "it does not go back to where it failed before it has asked the others"
    third.ends()
    assert first.comes() == "b"


def test_a_retry_goes_wherever_there_is_room() -> None:
    road = Road("a/1", "b/1", retries=5)
    request = road.request()
    assert request.at == "a"
    assert request.lost() == "b"
    assert request.lost() == "a", "and again from the beginning, after a pause"
    request.ends()
    step = request.walk.next(0, request.step, DOWN)
    busy = step.upstream.name
    taken = road.targets[0 if busy == "a" else 1].slots
    assert taken is not None
    assert taken.take("u") is not None
    gone = request.walk.enter(step, 0, request.turn)
    assert gone is not None
    assert gone.upstream.name != busy


def test_who_waits_looks_around_for_one_that_may_be_asked_again() -> None:
    road = Road("a/1", "b/1", limit=1)
    road.fails(1)
    assert road.request().at == "a"
    waiting = road.request()
    assert waiting.at is WAIT
    assert waiting.comes() is WAIT, "b still rests"
    road.now = REST
    assert waiting.comes() == "b"
    assert list(road.targets[0].slots.waiters()) == []  # type: ignore[union-attr]


def test_hedges_go_where_there_is_room_and_never_wait() -> None:
    road = Road("a/2", "b/1", "c/1")
    first, second = road.request(), road.request()
    road.request()
    beside = first.walk.beside(0)
    assert beside is not None
    assert beside.upstream.name == "c"
    assert first.walk.enter(beside, 0, first.turn) is beside
    assert second.walk.beside(0) is None
    assert beside.slot is not None
    beside.slot.give()
    assert second.walk.beside(0) is not None
