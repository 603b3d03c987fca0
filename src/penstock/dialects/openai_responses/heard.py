"""What of an answer has been told already, for all of it is said several times.

A part is known by its item's place in the output, and its number within the item. Servers that leave the numbers out are
taken by their items' ids, and those without either by what they said of the kind: rather a thing untold than told twice.
"""

from __future__ import annotations

from typing import NamedTuple

Place = int | str | None
"""Of an item: its index in the output, or else its id."""


class Where(NamedTuple):
    """Of a part. `section` is `content` or `summary`; no `part` = the server did not say which."""

    place: Place
    section: str
    part: int | None


class Heard:
    """The parts of one answer. `kind` is the event that tells a part: text, thoughts or a refusal."""

    __slots__ = ("_counted", "_ids", "_item_ids", "_kinds", "_parts", "_places", "_sections")

    def __init__(self) -> None:
        self._parts: set[tuple[type, Where]] = set()
        self._sections: dict[tuple[type, Place], str] = {}
        self._kinds: dict[type, int] = {}
        self._ids: set[tuple[type, str]] = set()
        self._places: set[Place] = set()
        self._item_ids: set[str] = set()
        self._counted = True
        """The server numbers its items."""

    def item(self, place: Place, id: str | None) -> None:
        """Something of this item was told."""
        self._places.add(place)
        self._counted = self._counted and isinstance(place, int)
        if id is not None:
            self._item_ids.add(id)

    def add(self, kind: type, where: Where, id: str | None) -> None:
        """A part was told, or begins to be."""
        key = (kind, where)
        if key in self._parts:
            return  # as for nearly every delta
        self._parts.add(key)
        if (kind, where.place) not in self._sections:
            self._sections[kind, where.place] = where.section
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if id is not None:
            self._ids.add((kind, id))
        self.item(where.place, id)

    def has(self, kind: type, where: Where, id: str | None) -> bool:
        """The part was told."""
        if where.place is None or (kind, None) in self._sections:
            return kind in self._kinds
        section = self._sections.get((kind, where.place))
        if section is None:
            # Perhaps under another number, by a server that counts in its own way.
            return id is not None and (kind, id) in self._ids
        if section != where.section or where.part is None:
            return True  # thoughts, and their summary: they are told once
        return (kind, where) in self._parts or (kind, where._replace(part=None)) in self._parts

    def count(self, kind: type) -> int:
        """In how many items the kind was told."""
        return self._kinds.get(kind, 0)

    def knows(self, index: int, id: str | None) -> bool:
        """Of the item that the last event has at `index`, something was told."""
        return not self._counted or index in self._places or (id is not None and id in self._item_ids)
