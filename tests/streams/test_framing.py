"""Framing: which id each block has."""

from __future__ import annotations

import pytest

from penstock.dialects import DIALECTS
from penstock.streams.framing import MARK, Format, Group, blocks_seen, frame, home, part_mark

HEAD = b"id: e:"
A, B, C = b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"
FORMATS = [Format(dialect, True, delivery) for dialect in DIALECTS for delivery in ("stream", "tools", "buffer")]


def ids(framed: bytes) -> list[str]:
    return [line.removeprefix("id: ") for line in framed.decode().split("\n") if line.startswith("id: ")]


def framed(
    group: Group, offset: int, blocks: list[bytes], *, mark: int = 0, seen: int = 0, held: bool = False
) -> bytes:
    return frame(HEAD, group, offset, blocks, mark, seen, held=held)


def test_an_only_block_is_the_entry() -> None:
    assert framed(Group(4, 0), 5, [A]) == b"id: e:5\n" + A


def test_several_blocks_are_parts() -> None:
    assert framed(Group(4, 0), 5, [A, B]) == b"id: e:5.1\n" + A + b"id: e:5.2\n" + B


def test_what_was_seen_is_left_out_but_never_an_only_block() -> None:
    assert ids(framed(Group(4, 0), 5, [A, B, C], seen=2)) == ["e:5.3"]
    assert ids(framed(Group(4, 0), 5, [A, B], seen=2)) == []
    assert ids(framed(Group(4, 0), 5, [A], seen=9)) == ["e:5"]


def test_while_something_is_held_back_blocks_are_parts_of_its_first_entry() -> None:
    assert ids(framed(Group(4, 0), 5, [A], held=True)) == ["e:5.1"]
    assert ids(framed(Group(4, 1), 6, [A, B], held=True)) == ["e:5.2", "e:5.3"]
    assert ids(framed(Group(4, 3), 7, [], held=True)) == []
    assert ids(framed(Group(4, 3), 8, [A, B])) == ["e:5.4", "e:8"], "the last one tells the last entry whole"
    assert ids(framed(Group(4, 3), 8, [A, B], seen=4)) == ["e:8"]


def test_parts_of_another_rendering_are_known_by_their_numbers() -> None:
    native, gemini = Format("native"), Format("gemini")
    mark = part_mark(gemini, native)
    assert ids(framed(Group(4, 0), 5, [A, B], mark=mark)) == [f"e:5.{mark + 1}", f"e:5.{mark + 2}"]
    assert blocks_seen(mark + 2, mark) == 2
    assert blocks_seen(2, mark) == blocks_seen(mark + 2, 0) == 0


@pytest.mark.parametrize("home", FORMATS)
def test_every_rendering_has_its_own_mark_and_the_one_asked_for_none(home: Format) -> None:
    marks = [part_mark(format, home) for format in FORMATS]
    assert part_mark(home, home) == 0
    assert marks.count(0) == (
        2 if (home.dialect, home.delivery) in (("native", "stream"), ("openai-chat", "stream")) else 1
    )
    told = [mark for mark in marks if mark]
    assert len(set(told)) == len(told)
    assert all(mark % MARK == 0 and mark + MARK < 10**10 for mark in told), "as many digits as a position has"


def test_streams_that_are_asked_for_in_one_way_share_their_home() -> None:
    assert home("gemini", "tools") is home("gemini", "tools") == Format("gemini", delivery="tools")
