"""What every store of conversations must do."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.conversations.records import Call, Conversation, Failure, Message, Pace
from penstock.conversations.store import Growth, Place, Store

pytestmark = pytest.mark.anyio


def talk(id: str = "talk-one", title: str = "Rivers", at: float = 1.0) -> Conversation:
    return Conversation(id, title, at, at)


def question(id: str, text: str = "why?", parent: str | None = None, at: float = 1.0) -> Message:
    return Message(id=id, parent=parent, role="user", created=at, text=text)


def answer(id: str, parent: str, at: float = 2.0) -> Message:
    return Message(
        id=id, parent=parent, role="assistant", created=at, model="m", stream=f"stream-{id}", state="streaming"
    )


WHOLE = Message(
    id="a",
    parent="q",
    role="assistant",
    created=2.0,
    text="Because.",
    model="m",
    reasoning="Hm.",
    tool_calls=[Call("c", "look", '{"at": "ö"}')],
    stream="stream-a",
    outcome="stalled",
    error=Failure("stalled", "silent", True),
    usage={"input_tokens": 3, "output_tokens": None, "source": "final"},
    timing=Pace(0.5, 2.0, 17.5),
)


class StoreContract:
    """Subclass with a fixture `store` that is fresh and started."""

    async def test_what_is_added_is_found(self, store: Store) -> None:
        await store.add("t", talk(), question("q"))
        await store.add("t", talk(title="other words", at=9), answer("a", "q", 3.0))
        assert await store.find("t", "talk-one") == Conversation("talk-one", "Rivers", 1.0, 3.0, "a")
        assert [message.id for message in await store.messages("t", "talk-one")] == ["q", "a"]
        assert (await store.messages("t", "talk-one"))[1] == answer("a", "q", 3.0)
        assert await store.find("t", "another") is None
        assert await store.messages("t", "another") == []

    async def test_adding_the_same_again_changes_nothing(self, store: Store) -> None:
        for text in ("first", "second"):
            await store.add("t", talk(), question("q", text))
        assert [message.text for message in await store.messages("t", "talk-one")] == ["first"]

    async def test_everything_is_its_tenant_s_own(self, store: Store) -> None:
        await store.add("t", talk(), question("q", "mine"))
        await store.add("u", talk(title="Lakes"), question("q", "yours"))
        assert await store.find("v", "talk-one") is None
        assert [found.title for found in await store.recent("u", "", None, 9)] == ["Lakes"]
        await store.grow([Growth(Place("u", "talk-one", "q"), "!", "")])
        await store.rename("u", "talk-one", "Ponds", None)
        await store.delete("u", "talk-one")
        (kept,) = await store.messages("t", "talk-one")
        assert kept.text == "mine"
        assert (await store.find("t", "talk-one") or talk()).title == "Rivers"

    async def test_an_answer_grows_and_ends(self, store: Store) -> None:
        await store.add("t", talk(), question("q"))
        await store.add("t", talk(), answer("a", "q"))
        place = Place("t", "talk-one", "a")
        await store.grow([Growth(place, "Be", ""), Growth(Place("t", "talk-one", "gone"), "x", "y")])
        await store.grow([Growth(place, "cause", "Hm")])
        await store.grow([])
        grown = (await store.messages("t", "talk-one"))[1]
        assert (grown.text, grown.reasoning, grown.state) == ("Because", "Hm", "streaming")
        await store.end(place, WHOLE)
        assert (await store.messages("t", "talk-one"))[1] == WHOLE

    async def test_an_answer_that_never_began_is_taken_away(self, store: Store) -> None:
        await store.add("t", talk(), question("q"))
        await store.add("t", talk(), answer("a", "q"))
        await store.withdraw(Place("t", "talk-one", "a"))
        assert [message.id for message in await store.messages("t", "talk-one")] == ["q"]
        assert (await store.find("t", "talk-one") or talk()).leaf == "q"
        await store.withdraw(Place("t", "talk-one", "a"))

    async def test_names_and_branches_are_changed_apart(self, store: Store) -> None:
        await store.add("t", talk(), question("q"))
        await store.add("t", talk(), answer("a", "q"))
        renamed = await store.rename("t", "talk-one", "Streams", None)
        assert renamed is not None
        assert (renamed.title, renamed.leaf) == ("Streams", "a")
        assert await store.rename("t", "talk-one", None, "q") == msgspec.structs.replace(renamed, leaf="q")
        assert await store.rename("t", "another", "x", None) is None

    async def test_the_newest_come_first_and_in_pages(self, store: Store) -> None:
        for number in range(5):
            await store.add("t", talk(f"talk-{number}", at=float(number)), question("q", at=float(number)))
        assert [found.id for found in await store.recent("t", "", None, 2)] == ["talk-4", "talk-3"]
        assert [found.id for found in await store.recent("t", "", 3.0, 9)] == ["talk-2", "talk-1", "talk-0"]

    async def test_searching(self, store: Store) -> None:
        await store.add("t", talk("talk-one", "Rivers"), question("q", "Why is the SEA salty? 100%_"))
        await store.add("t", talk("talk-two", "Lakes and rivers", 2.0), question("q", "nothing", at=2.0))
        for search, ids in {
            "river": ["talk-two", "talk-one"],
            "sea": ["talk-one"],
            "rivers salty": ["talk-one"],
            "rivers salty lakes": [],
            "100%_": ["talk-one"],
            "%": ["talk-one"],
            "1_0": [],
        }.items():
            assert [found.id for found in await store.recent("t", search, None, 9)] == ids, search

    async def test_a_deleted_conversation_is_gone(self, store: Store) -> None:
        await store.add("t", talk(), question("q"))
        for _ in range(2):
            await store.delete("t", "talk-one")
        assert await store.messages("t", "talk-one") == []
        assert await store.recent("t", "", None, 9) == []

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
    @given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
    async def test_any_text_comes_back_as_it_was(self, store: Store, text: str) -> None:
        await store.delete("t", "talk-one")
        await store.add("t", talk(title=text), question("q", text))
        await store.grow([Growth(Place("t", "talk-one", "q"), text, text)])
        (message,) = await store.messages("t", "talk-one")
        assert (message.text, message.reasoning) == (text + text, text)
