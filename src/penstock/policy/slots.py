"""Slots: the answers that one upstream makes at a time, and whose the next one is while all are taken.

    take ──▶ a slot is free: it is the caller's
       └───▶ none is: wait ──▶ one is given back ──▶ turn: it is the waiter's
                         └───▶ leave: nobody waits here any more

A tenant's share of the slots is its weight's among those who have or want one. The next slot goes to a tenant that holds
fewer whole slots than its share, the fewest for its weight first. What does not divide into whole slots goes by turns, each
costing 1 / weight, as in stride scheduling; and within a tenant who came first is first. So a tenant with a thousand requests
holds back another one's single request by one answer and no more, and a single slot is shared too. A slot is never free while
somebody waits.

Weighted fair queueing: Waldspurger, Stride Scheduling, MIT 1995. Pure: the clock, monotonic seconds, is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

USUAL_SECONDS = 10.0
"""That an answer takes, until one has been seen."""

ROUNDING = 1e-9
"""Shares are fractions: so much less than a whole slot is a whole one."""

LATEST = 1 / 8
"""How much the latest answer changes what is usual."""


class Place(NamedTuple):
    """Where a waiter stands: 1 = next. `seconds` is a guess of how long it will take."""

    position: int
    seconds: float


class Slot:
    """One of an upstream's slots. Whoever has it gives it back, once; again changes nothing."""

    __slots__ = ("_since", "_tenant", "of")

    def __init__(self, of: Slots, tenant: str, since: float) -> None:
        self.of = of
        self._tenant: str | None = tenant
        self._since = since

    def give(self) -> None:
        """It is free again. If somebody waits for it, it is theirs on return."""
        tenant, self._tenant = self._tenant, None
        if tenant is not None:
            self.of._given(tenant, self._since)


class Waiter:
    """Waits for a slot of one upstream or another, whichever has one first: then `slot` is set, and `turn` called."""

    __slots__ = ("_turn", "_waits_at", "slot", "tenant")

    def __init__(self, tenant: str, turn: Callable[[], None]) -> None:
        self.tenant = tenant
        self.slot: Slot | None = None
        self._turn = turn
        self._waits_at: list[Slots] = []

    def wait(self, slots: Slots) -> None:
        """Wait here, too. Must not be called when there is a free slot."""
        if slots not in self._waits_at:
            self._waits_at.append(slots)
            slots._join(self)

    def leave(self) -> None:
        """Wait no more, and give back what was granted."""
        self._stop()
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.give()

    def place(self) -> Place:
        """Where it stands, where it will be soonest."""
        return min((slots.place(self) for slots in self._waits_at), key=lambda place: place.seconds)

    def _granted(self, slot: Slot) -> None:
        self._stop()
        self.slot = slot
        self._turn()

    def _stop(self) -> None:
        places, self._waits_at = self._waits_at, []
        for slots in places:
            slots._left(self)


class Slots:
    """See the module. `most` slots; `weights` of tenants by name, 1 for those not in it."""

    def __init__(self, most: int, weights: Mapping[str, int], clock: Callable[[], float]) -> None:
        self.most = most
        self._weights = weights
        self._clock = clock
        self._held: dict[str, int] = {}
        self._taken = 0
        self._waiting: dict[str, deque[Waiter]] = {}
        """Of each tenant that waits, in the order in which they came."""
        self._turns: dict[str, float] = {}
        """What each tenant's turns have cost it: who paid least is next."""
        self._latest = 0.0
        """What the latest one had paid. Who comes after a long time begins from here."""
        self._usual = USUAL_SECONDS

    def take(self, tenant: str) -> Slot | None:
        """A slot, if one is free."""
        if self._taken >= self.most:
            return None
        self._comes(tenant)
        return self._hold(tenant)

    def waiting(self, tenant: str) -> int:
        """How many of a tenant's wait here."""
        return len(self._waiting.get(tenant, ()))

    def waiters(self) -> Iterator[Waiter]:
        """Everybody who waits here."""
        return chain.from_iterable(self._waiting.values())

    def place(self, waiter: Waiter | None = None, tenant: str = "") -> Place:
        """Where `waiter` stands, or where the next request of `tenant` would."""
        whose = tenant if waiter is None else waiter.tenant
        own = self._waiting.get(whose, ())
        before = len(own) if waiter is None else own.index(waiter)
        weight = self._weight(whose)
        # While this tenant gets so many turns and one, another gets as many for its weight, if it has so many waiting.
        others = sum(
            min(len(waiters), -(-(before + 1) * self._weight(other) // weight))
            for other, waiters in self._waiting.items()
            if other != whose
        )
        position = before + others + 1
        return Place(position, position * self._usual / self.most)

    def _weight(self, tenant: str) -> int:
        return self._weights.get(tenant, 1)

    def _comes(self, tenant: str) -> None:
        # Time in which nobody of them came is neither a debt nor a claim.
        self._turns[tenant] = max(self._turns.get(tenant, 0.0), self._latest)

    def _hold(self, tenant: str) -> Slot:
        self._latest = max(self._turns[tenant], self._latest)
        self._turns[tenant] += 1 / self._weight(tenant)
        self._taken += 1
        self._held[tenant] = self._held.get(tenant, 0) + 1
        return Slot(self, tenant, self._clock())

    def _given(self, tenant: str, since: float) -> None:
        self._usual += (max(self._clock() - since, 0.0) - self._usual) * LATEST
        self._taken -= 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        while self._waiting and self._taken < self.most:
            slots_a_weight = self.most / sum(map(self._weight, self._waiting.keys() | self._held.keys()))
            self._grant(min(self._waiting, key=lambda tenant: self._merit(tenant, slots_a_weight)))

    def _merit(self, tenant: str, slots_a_weight: float) -> tuple[int, float, float]:
        """The least is next."""
        held, weight = self._held.get(tenant, 0), self._weight(tenant)
        share = weight * slots_a_weight
        if held + 1 <= share + ROUNDING:
            return 0, held / weight, self._turns[tenant]
        if held < share - ROUNDING:
            return 1, 0.0, self._turns[tenant]
        return 2, held / weight, self._turns[tenant]

    def _grant(self, tenant: str) -> None:
        # It leaves every queue that it stands in before it hears of it.
        self._waiting[tenant][0]._granted(self._hold(tenant))

    def _join(self, waiter: Waiter) -> None:
        queue = self._waiting.get(waiter.tenant)
        if queue is None:
            queue = self._waiting[waiter.tenant] = deque()
            self._comes(waiter.tenant)
        queue.append(waiter)

    def _left(self, waiter: Waiter) -> None:
        queue = self._waiting[waiter.tenant]
        queue.remove(waiter)
        if not queue:
            del self._waiting[waiter.tenant]
