"""Admission: what is reserved for a request, and what its answer costs in the end."""

from __future__ import annotations

import pytest

from penstock.dialects.base import Message, Request
from penstock.exceptions import Refused
from penstock.policy.admission import Admission, Ticket
from penstock.policy.forecast import Forecast
from penstock.policy.limits import Limits
from penstock.wire.events import Usage


def asking(text: str = "x" * 400, max_tokens: int | None = 100, choices: int = 1) -> Request:
    return Request(
        dialect="native", model="m", messages=[Message("user", text)], max_tokens=max_tokens, choices=choices
    )


def door(**limits: int) -> Admission:
    return Admission({"a": Limits(**limits)}, lambda: 1e9)


def left(admission: Admission) -> list[int]:
    return [standing.remaining for standing in admission.standing("a")]


def admitted(admission: Admission, request: Request) -> Ticket:
    ticket = admission.admit("a", request)
    assert ticket is not None
    return ticket


def test_a_tenant_without_limits_is_admitted_for_nothing() -> None:
    admission = door(tokens_per_minute=1000)
    assert admission.admit("b", asking()) is None
    assert admission.standing("b") == []
    assert left(admission) == [1000]


@pytest.mark.parametrize(
    ("usage", "remaining"),
    [
        (Usage(90, 10), 900),
        (Usage(90, 10, source="estimated"), 900),
        (Usage(source="unknown"), 1000),
        (Usage(None, 10), 890),  # nobody said what it read: what was expected
        (Usage(0, 0), 1000),  # a zero is a zero
    ],
)
def test_an_answer_costs_what_it_used(usage: Usage, remaining: int) -> None:
    admission = door(tokens_per_minute=1000)
    ticket = admitted(admission, asking())
    assert left(admission) == [800]
    admission.settle(ticket, usage)
    assert left(admission) == [remaining]


def test_several_answers_to_one_request_are_reserved_for() -> None:
    admission = door(tokens_per_minute=1000)
    admitted(admission, asking(choices=3))
    assert left(admission) == [600]


def test_what_could_not_be_begun_costs_nothing_not_even_a_request() -> None:
    admission = door(requests_per_minute=10, tokens_per_minute=1000)
    admission.undo(admitted(admission, asking()))
    assert left(admission) == [10, 1000]


def test_a_model_is_learnt_from_its_answers() -> None:
    admission = door(tokens_per_minute=10**6)
    for _ in range(100):
        admission.settle(admitted(admission, asking(max_tokens=None)), Usage(200, 1000))
    before = left(admission)[0]
    admitted(admission, asking(max_tokens=None))
    assert before - left(admission)[0] in range(1195, 1205)


def test_what_one_tenants_answers_teach_is_no_matter_of_anothers() -> None:
    admission = Admission({name: Limits(tokens_per_minute=10**6) for name in "ab"}, lambda: 1e9)
    admission.settle(admitted(admission, asking(max_tokens=None)), Usage(100, 90_000))
    ticket = admission.admit("b", asking(max_tokens=None))
    assert ticket is not None
    assert ticket.expected.total == 600


def test_only_the_clients_own_word_is_too_large() -> None:
    admission = door(tokens_per_minute=1000)
    ticket = admitted(admission, asking("x" * 40_000, max_tokens=900))
    assert left(admission) == [0], "a long prompt is a guess, and takes what there is"
    admission.undo(ticket)
    with pytest.raises(Refused) as raised:
        admission.admit("a", asking(max_tokens=400, choices=3))
    assert (raised.value.status, raised.value.param) == (400, "max_tokens")


def test_an_image_is_reserved_for() -> None:
    admission = door(tokens_per_minute=10_000)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    message = Message("user", [{"type": "text", "text": "x" * 400}, picture, picture])
    admitted(admission, Request(dialect="native", model="m", messages=[message], max_tokens=100))
    assert left(admission) == [10_000 - 100 - 2000 - 100]


def test_what_can_not_be_learnt_is_settled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = door(tokens_per_minute=1000, concurrent_streams=1)
    ticket = admitted(admission, asking())

    def fails(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Forecast, "learn", fails)
    with pytest.raises(ArithmeticError):
        admission.settle(ticket, Usage(90, 10))
    assert left(admission) == [900, 1]


def test_one_tenant_at_its_limit_is_not_the_others_trouble() -> None:
    admission = Admission({"a": Limits(requests_per_minute=1), "b": Limits(requests_per_minute=1)}, lambda: 1e9)
    admission.admit("a", asking())
    with pytest.raises(Refused):
        admission.admit("a", asking())
    assert admission.admit("b", asking()) is not None
