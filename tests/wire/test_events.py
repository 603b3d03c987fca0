"""Events: a closed set of facts, and a closed set of endings."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from penstock.wire.events import DONE_OUTCOMES, NAMES, Done, Event, Outcome


def test_every_event_has_a_name_of_its_own() -> None:
    assert set(NAMES) == set(get_args(Event))
    assert len(set(NAMES.values())) == len(NAMES)


def test_the_outcomes_are_the_contract() -> None:
    contract = (
        "completed length tool_calls content_filter cancelled abandoned upstream_error upstream_truncated stalled "
        "limit_exceeded interrupted refused"
    )
    assert list(get_args(Outcome)) == contract.split()
    assert set(get_args(Outcome)) >= DONE_OUTCOMES


@pytest.mark.parametrize("outcome", sorted(set(get_args(Outcome)) - DONE_OUTCOMES))
def test_an_answer_that_was_cut_is_never_done(outcome: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"outcome": outcome}, Done)
