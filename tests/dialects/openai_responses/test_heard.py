"""What of an answer has been told."""

from __future__ import annotations

from penstock.dialects.openai_responses.heard import Heard, Place, Where
from penstock.wire.events import Reasoning, Token


def words(place: Place, part: int | None = 0) -> Where:
    return Where(place, "content", part)


def heard(*told: tuple[type, Where, str | None]) -> Heard:
    made = Heard()
    for kind, where, id in told:
        made.add(kind, where, id)
    return made


def test_a_part_is_known_by_its_place() -> None:
    one = heard((Token, words(0), None))
    assert one.has(Token, words(0), None)
    assert not one.has(Token, words(0, 1), None)
    assert not one.has(Token, words(1), None)
    assert not one.has(Reasoning, words(0), None)


def test_of_an_item_without_numbers_of_parts_all_is_known() -> None:
    assert heard((Token, words(0, None), None)).has(Token, words(0, 7), None)
    assert heard((Token, words(0, 7), None)).has(Token, words(0, None), None)


def test_thoughts_are_told_as_they_are_or_in_short() -> None:
    assert heard((Reasoning, words(0), None)).has(Reasoning, Where(0, "summary", 0), None)


def test_an_item_is_known_by_its_id_under_another_number() -> None:
    one = heard((Token, words(0), "x"))
    assert one.has(Token, words(1), "x")
    assert not one.has(Token, words(1), "y")


def test_without_a_place_a_kind_is_known() -> None:
    assert heard((Token, words(None), None)).has(Token, words(4), None)
    assert heard((Token, words(4), None)).has(Token, words(None), None)
    assert not heard((Token, words(4), None)).has(Reasoning, words(None), None)


def test_items_are_counted() -> None:
    one = heard((Token, words(0), None), (Token, words(0, 1), None), (Token, words(2), "x"))
    assert (one.count(Token), one.count(Reasoning)) == (2, 0)


def test_what_the_last_event_says_again() -> None:
    one = heard((Token, words(2), "x"))
    assert [one.knows(index, None) for index in range(4)] == [False, False, True, False]
    assert one.knows(0, "x")
    one.item("y", "y")
    assert one.knows(0, None)
