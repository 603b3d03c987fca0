"""The numbers of an answer's tool calls: one for each call, whatever its upstream counts.

A call comes in pieces, and its number says which pieces belong together. Not every server gives each call one of its own:
some number all calls of an answer 0, some give no numbers at all. Then the id tells the calls apart, or the name.
"""

from __future__ import annotations


class _Call:
    """What is known of one call."""

    __slots__ = ("id", "name", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id: str | None = None
        self.name: str | None = None


class _Calls:
    """Those of one choice."""

    __slots__ = ("free", "ids", "last", "places", "used")

    def __init__(self) -> None:
        self.places: dict[int, _Call] = {}
        """The calls that their upstream numbers, by its number: of several with the same, the last."""
        self.ids: dict[str, _Call] = {}
        self.last: _Call | None = None
        self.used: set[int] = set()
        self.free = 0
        """The next number that no call has had."""

    def begin(self, index: int | None) -> _Call:
        number = self.free if index is None or index < 0 or index in self.used else index
        self.used.add(number)
        self.free = max(self.free, number + 1)
        call = _Call(number)
        if index is not None:
            self.places[index] = call
        return call


class CallNumbers:
    """Gives each piece of a call the call's number. One for each answer; what it says depends on the pieces before."""

    __slots__ = ("_choices",)

    def __init__(self) -> None:
        self._choices: dict[int, _Calls] = {}

    def of(self, choice: int, index: int | None, id: str | None, name: str | None) -> int:
        """The number of the call that a piece belongs to. `index`, `id` and `name` are what the piece itself says.

        A call keeps the upstream's index as its number if that is its own. A negative index is a place like any other, but
        never a number.
        """
        calls = self._choices.get(choice)
        if calls is None:
            calls = self._choices[choice] = _Calls()
        call = _unnumbered(calls, id, name) if index is None else _numbered(calls, index, id, name)
        calls.last = call
        if id and not call.id:
            call.id = id
            calls.ids.setdefault(id, call)
        call.name = call.name or name
        return call.number


def _numbered(calls: _Calls, index: int, id: str | None, name: str | None) -> _Call:
    call = calls.places.get(index)
    # An id alone may be one of those that are made anew for every piece: only with a name does it begin a call.
    if call is None or (id and name and call.id and id != call.id):
        return calls.begin(index)
    return call


def _unnumbered(calls: _Calls, id: str | None, name: str | None) -> _Call:
    last = calls.last
    if id and id in calls.ids:
        return calls.ids[id]
    if last is None or (id and last.id) or (name and last.name):
        return calls.begin(None)
    return last
