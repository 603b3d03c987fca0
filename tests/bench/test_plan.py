from collections import Counter

import pytest

from bench.peers import PEERS
from bench.plan import cells, excluded, rate_for


@pytest.mark.parametrize(("streams", "rate"), [(200, 50), (2_000, 5), (9_900, 1), (20_000, 0.5)])
def test_rates_keep_the_total(streams, rate):
    assert rate_for(streams, 10_000) == rate


def test_every_round_holds_every_proxy_and_a_direct_run():
    plan = list(cells(["penstock", "nginx"], [200, 2_000], 3))
    assert Counter((cell.proxy, cell.streams) for cell in plan) == {
        (proxy, size): 3 for proxy in ("direct", "penstock", "nginx") for size in (200, 2_000)
    }


def test_who_begins_changes():
    plan = list(cells(["penstock", "nginx"], [200], 3))
    assert [cell.proxy for cell in plan[::3]] == ["direct", "penstock", "nginx"]


def test_a_slow_proxy_gets_its_own_rate_with_the_others_it_is_compared_to():
    plan = list(cells(["nginx", "litellm"], [200], 1))
    assert [(cell.proxy, cell.rate) for cell in plan] == [
        ("direct", 50),
        ("nginx", 50),
        ("direct", 4),
        ("nginx", 4),
        ("litellm", 4),
    ]


def test_a_size_too_large_is_left_out_with_its_reason():
    assert {cell.proxy for cell in cells(["nginx", "litellm"], [9_900], 1)} == {"direct", "nginx"}
    assert "not run above 200 streams" in excluded(PEERS["litellm"], 9_900)
    assert excluded(PEERS["nginx"], 9_900) is None
