"""Slots, as transcripts: who takes one, who waits, whose the next one is."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.slots import USUAL_SECONDS, Place, Slot, Slots, Waiter


def waiting(slots: Slots) -> int:
    return len(list(slots.waiters()))


class Hall:
    """One upstream's slots, and who stands where."""

    def __init__(self, most: int, **weights: int) -> None:
        self.now = 0.0
        self.slots = Slots(most, weights, lambda: self.now)
        self.held: list[tuple[str, Slot]] = []
        """By tenant, in the order in which they were had."""
        self.waiters: list[Waiter] = []
        self.turns: list[str] = []

    def ask(self, tenants: str) -> str:
        """Each letter is a tenant that wants a slot. Capitals of those who have one at once."""
        told = ""
        for tenant in tenants:
            slot = self.slots.take(tenant)
            if slot is not None:
                self.held.append((tenant, slot))
                told += tenant.upper()
            else:
                self.wait(tenant)
                told += tenant
        return told

    def wait(self, tenant: str, *others: Slots) -> Waiter:
        def turn() -> None:
            assert waiter.slot is not None
            self.held.append((tenant, waiter.slot))
            self.turns.append(tenant)
            self.waiters.remove(waiter)

        waiter = Waiter(tenant, turn)
        self.waiters.append(waiter)
        for slots in (self.slots, *others):
            waiter.wait(slots)
        return waiter

    def ends(self, number: int = 0) -> str:
        """The answer that began as so-and-so-manieth of those that run is over. Returns whose turn came."""
        before = len(self.turns)
        self.held.pop(number)[1].give()
        return "".join(self.turns[before:])

    def all_end(self, count: int) -> str:
        """One after the other, the oldest first."""
        return "".join(self.ends() for _ in range(count))

    @property
    def running(self) -> str:
        return "".join(sorted(tenant for tenant, _ in self.held))


def test_slots_are_taken_until_there_is_none() -> None:
    hall = Hall(2)
    assert hall.ask("aab") == "AAb"
    assert (hall.ends(), hall.running, waiting(hall.slots)) == ("b", "ab", 0)
    assert hall.all_end(2) == ""
    assert hall.ask("ab") == "AB"


def test_within_a_tenant_who_came_first_is_first() -> None:
    hall = Hall(1)
    hall.ask("a")
    first, second = hall.wait("a"), hall.wait("a")
    hall.ends()
    assert (first.slot is not None, second.slot) == (True, None)


def test_who_holds_nothing_comes_before_who_holds_much() -> None:
    """A tenant with a thousand requests holds another's single one back by one answer."""
    hall = Hall(4)
    assert hall.ask("a" * 1000) == "AAAA" + "a" * 996
    hall.ask("b")
    assert hall.ends() == "b"


def test_with_a_single_slot_too() -> None:
    hall = Hall(1)
    assert hall.ask("aaaa") == "Aaaa"
    hall.ask("b")
    assert hall.all_end(4) == "baaa"


def test_shares_become_equal() -> None:
    hall = Hall(6)
    hall.ask("a" * 50 + "b" * 50 + "c" * 50)
    hall.all_end(12)
    assert hall.running == "aabbcc"


def test_shares_follow_the_weights() -> None:
    hall = Hall(8, a=3, b=1)
    hall.ask("b" * 100 + "a" * 100)
    hall.all_end(40)
    assert Counter(hall.running) == {"a": 6, "b": 2}


def test_what_does_not_divide_is_shared_by_turns() -> None:
    """Two slots by 3 to 1 are one and a half, and a half."""
    hall = Hall(2, a=3, b=1)
    hall.ask("b" * 300 + "a" * 300)
    held: Counter[str] = Counter()
    for _ in range(200):
        hall.ends()
        held.update(hall.running)
    assert 2.8 < held["a"] / held["b"] < 3.2


def test_a_single_slot_is_shared_by_turns() -> None:
    hall = Hall(1, a=3, b=1)
    hall.ask("b" * 50 + "a" * 50)
    turns = hall.all_end(40)
    assert Counter(turns) == {"a": 30, "b": 10}
    assert "bb" not in turns


def test_answers_that_take_long_count_as_long_as_they_take() -> None:
    """The answers of `a` never end, those of `b` at once: still, each has half of the slots."""
    hall = Hall(4)
    hall.ask("aabb" + "a" * 20 + "b" * 20)
    for _ in range(15):
        hall.ends(next(number for number, (tenant, _) in enumerate(hall.held) if tenant == "b"))
        assert hall.running == "aabb"


def test_time_without_a_request_is_no_claim() -> None:
    """Who comes after a long time gets its share, and not all that it did not ask for."""
    hall = Hall(1)
    hall.ask("a" * 100)
    hall.all_end(50)
    hall.ask("b" * 40)
    assert Counter(hall.all_end(20)) == {"a": 10, "b": 10}


def test_a_slot_is_given_back_once() -> None:
    hall = Hall(1)
    hall.ask("abc")
    slot = hall.held.pop(0)[1]
    slot.give()
    slot.give()
    assert hall.turns == ["b"]


def test_who_leaves_is_passed_by() -> None:
    hall = Hall(1)
    hall.ask("a")
    gone, _ = hall.wait("b"), hall.wait("c")
    gone.leave()
    gone.leave()
    assert hall.ends() == "c"
    assert waiting(hall.slots) == 0


def test_who_leaves_after_its_turn_gives_the_slot_back() -> None:
    hall = Hall(1)
    hall.ask("a")
    granted = hall.wait("b")
    hall.wait("c")
    hall.ends()
    granted.leave()
    assert hall.turns == ["b", "c"]


def test_who_waits_at_two_places_gets_one_slot() -> None:
    hall, other = Hall(1), Hall(1)
    hall.ask("a")
    other.ask("a")
    hall.wait("b", other.slots, other.slots)
    assert (hall.slots.waiting("b"), other.slots.waiting("b")) == (1, 1)
    other.held.pop()[1].give()
    assert hall.turns == ["b"]
    assert (waiting(hall.slots), waiting(other.slots)) == (0, 0)
    assert other.slots.take("c") is None
    hall.ends(0)
    assert hall.slots.take("c") is not None


def test_places_tell_what_comes_before() -> None:
    hall = Hall(2, a=1, b=2)
    hall.ask("aa" + "a" * 5 + "b" * 9)
    assert hall.waiters[0].place() == Place(3, 3 * USUAL_SECONDS / 2), "two of the other tenant come before it"
    assert hall.waiters[1].place().position == 6
    assert hall.waiters[5].place().position == 2, "the first of the other one"
    assert hall.slots.place(tenant="c").position == 4


def test_what_is_usual_is_learnt() -> None:
    hall = Hall(1)
    hall.ask("a" * 60)
    for _ in range(50):
        hall.now += 2
        hall.ends()
    assert hall.slots.place(tenant="b").seconds == pytest.approx(2 * 2, rel=0.05)


Deed = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from("abcd")),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("leave"), st.integers(0, 9)),
)


@given(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=4, max_size=4), st.lists(Deed, max_size=120))
def test_whatever_happens(most: int, weights: list[int], deeds: list[tuple[str, object]]) -> None:
    """Never more than there are; none free while somebody waits; and whoever lacks a whole slot of its share comes first."""
    weighed = dict(zip("abcd", weights, strict=True))
    hall = Hall(most, **weighed)
    for deed, what in deeds:
        match deed, what:
            case "ask", str(tenant):
                hall.ask(tenant)
            case "end", int(number) if number < len(hall.held):
                ended = hall.held[number][0]
                held = Counter(tenant for tenant, _ in hall.held)
                held[ended] -= 1
                who = {waiter.tenant for waiter in hall.waiters}
                turn = hall.ends(number)
                assert len(turn) == min(1, len(who))
                if turn:
                    here = who | {tenant for tenant in held if held[tenant]}
                    share = {one: Fraction(most * weighed[one], sum(map(weighed.__getitem__, here))) for one in who}
                    lacking = {one for one in who if held[one] + 1 <= share[one]}
                    assert turn in (lacking or {one for one in who if held[one] < share[one]} or who)
                    if lacking:
                        assert held[turn] / weighed[turn] == min(held[one] / weighed[one] for one in lacking)
            case "leave", int(number) if number < len(hall.waiters):
                hall.waiters.pop(number).leave()
            case _:
                pass
        assert len(hall.held) <= most
        assert waiting(hall.slots) == len(hall.waiters)
        assert not hall.waiters or len(hall.held) == most


@given(st.integers(1, 4), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3), min_size=2), st.integers(0, 1000))
def test_nobody_waits_for_ever(most: int, weights: dict[str, int], number: int) -> None:
    """With all of them always waiting: who holds nothing has a turn before the slots went round as often as weights say."""
    hall = Hall(most, **weights)
    hall.ask("".join(weights) * 160)
    last = dict.fromkeys(weights, 0)
    for turn in range(1, 160):
        hall.ends(
            (number * turn) % most if turn % 2 else 0
        )  # no answer runs for ever: each second one to end is the oldest
        last.update(dict.fromkeys(hall.running, turn))
        assert all(turn - seen <= 2 * most * (sum(weights.values()) + len(weights)) for seen in last.values()), last
