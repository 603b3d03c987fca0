"""What a tenant may use: requests and tokens a minute, tokens a day, streams at a time.

Tokens are reserved before an answer begins and settled with what it really used when it ends, so nothing is charged after
the fact, and nothing leaks: a lease is taken whole or not at all, and given back exactly once.

    requests_per_minute, tokens_per_minute    a bucket that refills evenly: after a quiet minute all of it at once, then
                                              a sixtieth of it each second
    tokens_per_day                            a count that begins anew at midnight UTC; an answer counts on the day on
                                              which it began
    concurrent_streams                        answers that are being made

Only what the client bounds itself, by `max_tokens`, is sure to hold. Everything else is reserved by a guess, never more than
a limit has: a guess must not make a request impossible. An answer may use more than was reserved for it: a bucket then owes,
and later answers wait until it is made up for, but never longer than for two minutes (what an upstream says of itself must
not shut a tenant out). A day owes nothing, and knows no such bound: what was used was used, and midnight mends it.

Pure: `now` is Unix time in seconds. A clock that is set back costs nobody what they had: a day that differs is another day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from penstock.exceptions import Refused

DAY = 86400.0
DAILY = "tokens_per_day"

FREED_SECONDS = 1.0
"""When to come again for a stream's place: nobody knows when an answer ends."""

MOST = 10**15
"""Of any amount, as of any limit: numbers below it are exact, and add up to more such."""

PATIENCE_SECONDS = 60.0
"""A longer wait than this is not for a client's own retries: it is told not to."""

Unit = Literal["requests", "tokens", "tokens-day", "streams"]


class Limits(NamedTuple):
    """Most that may be used; None = no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_day: int | None = None


class Standing(NamedTuple):
    """How one limit stands: `remaining` of `limit`, and the seconds until it is all there again."""

    unit: Unit
    limit: int
    remaining: int
    reset: float


class _Allowance(Protocol):
    limit: int

    def wait(self, amount: int, now: float) -> float:
        """Seconds until there is `amount`; 0 = now."""
        ...

    def take(self, amount: int, now: float) -> int:
        """Reserve `amount`. Returns what tells, later, when that was."""
        ...

    def give(self, amount: int, used: int, taken: int, now: float) -> None:
        """Back what was reserved, but for what was used. `taken` is what `take` returned."""
        ...

    def standing(self, unit: Unit, now: float) -> Standing: ...


class Bucket:
    """`limit` a `span` of seconds, refilled evenly."""

    __slots__ = ("_at", "_level", "_rate", "limit")

    def __init__(self, limit: int, span: float, now: float) -> None:
        self.limit = limit
        self._rate = limit / span
        self._level = float(limit)
        self._at = now

    def _refill(self, now: float) -> float:
        if now > self._at:
            self._level = min(self.limit, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def left(self, now: float) -> int:
        """What there is now."""
        return max(0, int(self._refill(now)))

    def wait(self, amount: int, now: float) -> float:
        return max(0.0, (amount - self._refill(now)) / self._rate)

    def take(self, amount: int, now: float) -> int:
        self._level = self._refill(now) - amount
        return 0

    def give(self, amount: int, used: int, taken: int, now: float) -> None:
        self._level = max(-self.limit, min(self.limit, self._refill(now) + amount - used))

    def standing(self, unit: Unit, now: float) -> Standing:
        level = self._refill(now)
        return Standing(unit, self.limit, max(0, int(level)), (self.limit - level) / self._rate)


class Day:
    """`limit` from one midnight UTC to the next. What is reserved comes back soon; what was used does not come back."""

    __slots__ = ("_count", "_day", "_reserved", "_used", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._day = now // DAY
        self._count = 0
        """Days so far: a clock may come by the same date twice, but what was taken then was not taken from this day."""
        self._used = 0
        self._reserved = 0

    def _today(self, now: float) -> None:
        if now // DAY != self._day:
            self._day = now // DAY
            self._count += 1
            self._used = self._reserved = 0

    def left(self, now: float) -> int:
        """What will be left when all that is reserved has come back."""
        self._today(now)
        return max(0, self.limit - self._used)

    def wait(self, amount: int, now: float) -> float:
        left = self.left(now)
        if amount > left:
            return self._rest(now)
        return FREED_SECONDS if amount + self._reserved > left else 0.0

    def take(self, amount: int, now: float) -> int:
        self._today(now)
        self._reserved += amount
        return self._count

    def give(self, amount: int, used: int, taken: int, now: float) -> None:
        self._today(now)
        if taken == self._count:
            self._reserved -= amount
            self._used += used

    def standing(self, unit: Unit, now: float) -> Standing:
        left = self.left(now) - self._reserved
        return Standing(unit, self.limit, max(0, left), self._rest(now) if left < self.limit else 0.0)

    def _rest(self, now: float) -> float:
        return (self._day + 1) * DAY - now


class Places:
    """`limit` at a time."""

    __slots__ = ("_taken", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0

    def wait(self, amount: int, now: float) -> float:
        return 0.0 if self._taken + amount <= self.limit else FREED_SECONDS

    def take(self, amount: int, now: float) -> int:
        self._taken += amount
        return 0

    def give(self, amount: int, used: int, taken: int, now: float) -> None:
        self._taken -= amount

    def standing(self, unit: Unit, now: float) -> Standing:
        return Standing(unit, self.limit, self.limit - self._taken, FREED_SECONDS if self._taken else 0.0)


class Lease:
    """Capacity granted to one answer: of each limit how much, and when. Whoever has it settles it, once."""

    __slots__ = ("over", "taken", "taken_at", "tokens")

    def __init__(self, tokens: int, taken_at: float, taken: list[tuple[int, int]]) -> None:
        self.tokens = tokens
        self.taken_at = taken_at
        self.taken = taken
        self.over = False


class Limiter:
    """One tenant's limits, and how they stand."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._allowances: dict[str, tuple[Unit, _Allowance]] = {}
        if limits.requests_per_minute is not None:
            self._allowances["requests_per_minute"] = "requests", Bucket(limits.requests_per_minute, 60.0, now)
        if limits.tokens_per_minute is not None:
            self._allowances["tokens_per_minute"] = "tokens", Bucket(limits.tokens_per_minute, 60.0, now)
        if limits.tokens_per_day is not None:
            self._allowances[DAILY] = "tokens-day", Day(limits.tokens_per_day, now)
        if limits.concurrent_streams is not None:
            self._allowances["concurrent_streams"] = "streams", Places(limits.concurrent_streams)

    def check(self, now: float) -> None:
        """Whether there is room for any request at all, however small. Takes nothing. Raises Refused (429)."""
        waits = [
            (wait, name)
            for name, (unit, allowance) in self._allowances.items()
            if unit in ("requests", "streams") and (wait := allowance.wait(1, now)) > 0
        ]
        if waits:
            wait, name = max(waits)
            raise _reached(wait, name, self._allowances[name][1].limit, "try again later")

    def take(self, tokens: int, now: float, *, bound: int = 0, prompt: int = 0, field: str = "max_tokens") -> Lease:
        """All that an answer of so many tokens needs, or nothing. Raises Refused (429, or 400 if it never fits).

        `bound` is what of it the client itself allows in `field` (0 = it does not say), `prompt` what it can't take back.
        """
        tokens = min(tokens, MOST)
        waits: list[tuple[float, str]] = []
        amounts: list[int] = []
        for name, (unit, allowance) in self._allowances.items():
            amount = min(tokens, allowance.limit) if unit in ("tokens", "tokens-day") else 1
            if unit in ("tokens", "tokens-day") and bound > allowance.limit:
                raise _never(name, allowance.limit, bound, field)
            if (wait := allowance.wait(amount, now)) > 0:
                waits.append((wait, name))
            amounts.append(amount)
        if waits:
            raise self._not_now(waits, tokens, prompt, field, now)
        taken = [
            (amount, allowance.take(amount, now))
            for amount, (_, allowance) in zip(amounts, self._allowances.values(), strict=True)
        ]
        return Lease(tokens, now, taken)

    def _not_now(self, waits: Sequence[tuple[float, str]], tokens: int, prompt: int, field: str, now: float) -> Refused:
        """Of several limits the one that lasts longest is told, and with it what would help now."""
        wait, name = max(waits)
        _, allowance = self._allowances[name]
        limit, code = allowance.limit, "quota_exceeded" if name == DAILY else "rate_limit_exceeded"
        amount, room, smaller = min(tokens, limit), self._room(waits, now), f"a smaller {field} would fit"
        left = allowance.left(now) if isinstance(allowance, Bucket | Day) and name in _OF_TOKENS else 0
        if left == 0:
            return _reached(wait, name, limit, "try again later", code)
        if amount <= left:
            more = "try again soon" + (f", or now: {smaller}" if prompt < room else "")
            return _reached(wait, name, limit, f"some of it is reserved by answers that are being made: {more}")
        message = f"of {limit} {_SAID[name]} {left} are left ({name}), and this request reserves {amount}"
        if prompt < room:
            message += f": {smaller} now"
        elif name == DAILY and prompt < left:
            message += f": {smaller}"
        return Refused(429, code, message, retry_after=wait)

    def _room(self, waits: Sequence[tuple[float, str]], now: float) -> int:
        """Tokens that a request could have now; 0 if it is not tokens alone that it waits for."""
        if any(name not in _OF_TOKENS for _, name in waits):
            return 0
        units = (self._allowances[name] for name in _OF_TOKENS if name in self._allowances)
        return min(allowance.standing(unit, now).remaining for unit, allowance in units)

    def settle(self, lease: Lease, tokens: int, now: float) -> None:
        """The answer is over, and used so many tokens. Doing it again changes nothing."""
        self._give(lease, tokens, 1, now)

    def undo(self, lease: Lease, now: float) -> None:
        """There was no request: all of it back."""
        self._give(lease, 0, 0, now)

    def _give(self, lease: Lease, tokens: int, requests: int, now: float) -> None:
        # Nothing can go wrong between the first allowance and the last: whatever comes is a number within bounds by here.
        tokens = max(0, min(tokens, MOST))
        if lease.over:
            return
        lease.over = True
        for (amount, taken), (unit, allowance) in zip(lease.taken, self._allowances.values(), strict=True):
            allowance.give(amount, tokens if unit in ("tokens", "tokens-day") else requests, taken, now)

    def standing(self, now: float) -> list[Standing]:
        """Every limit there is."""
        return [allowance.standing(unit, now) for unit, allowance in self._allowances.values()]


_SAID = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "tokens a minute",
    DAILY: "tokens a day",
    "concurrent_streams": "streams at a time",
}


_OF_TOKENS = ("tokens_per_minute", DAILY)


def _reached(wait: float, name: str, limit: int, more: str, code: str = "rate_limit_exceeded") -> Refused:
    return Refused(429, code, f"the limit of {limit} {_SAID[name]} is reached ({name}): {more}", retry_after=wait)


def _never(name: str, limit: int, bound: int, field: str) -> Refused:
    return Refused(
        400,
        "request_above_limit",
        f"{field} allows {bound} tokens, and the limit is {limit} {_SAID[name]} ({name}): ask for fewer {field}",
        param=field,
    )
