"""Summary, tables and chart from one small made-up run."""

from xml.etree import ElementTree

import pytest

from bench.chart import chart
from bench.report import markdown, table
from bench.summary import per_reader, rows

TITLES = {"penstock": "Penstock", "nginx": "nginx", "litellm": "LiteLLM"}


def cell(round_, proxy, us, p50, *, streams=200, rate=50.0, **more):
    share = {"proxy": 0.2, "origin": 0.3, "client": 0.1}
    return {
        "round": round_, "proxy": proxy, "streams": streams, "rate": rate, "events": 1000, "us_per_event": us,
        "core_share": share, "latency": {"p50_ms": p50, "p99_ms": 4 * p50}, "ttft": {"p50_ms": p50, "p99_ms": 9 * p50},
        "memory_per_stream": 20_000, "failures": {}, "opened": streams, "live_after": streams, **more,
    }  # fmt: skip


@pytest.fixture
def cells():
    return [
        cell(1, "direct", 0, 0.05), cell(1, "nginx", 5.0, 0.10), cell(1, "penstock", 8.0, 0.15),
        cell(2, "direct", 0, 0.10), cell(2, "nginx", 10.0, 0.2), cell(2, "penstock", 14.0, 0.30),
        cell(3, "direct", 0, 0.05), cell(3, "nginx", 6.0, 0.10), cell(3, "penstock", 9.0, 0.11),
        cell(1, "direct", 0, 0.05, rate=4.0), cell(1, "nginx", 10.0, 0.1, rate=4.0),
        cell(1, "litellm", 600.0, 9.0, rate=4.0, failures={"status 500": 2}),
    ]  # fmt: skip


@pytest.fixture
def results(cells):
    return {
        "date": "2026-01-02 03:04 UTC", "commit": "abc1234", "command": "python -m bench", "titles": TITLES,
        "machine": {
            "cpu": "A <fast> CPU", "cores": 2, "memory_gb": 8, "kernel": "6.1.0-x", "python": "3.11.7",
            "descriptors": 20_000,
        },
        "parameters": {"rounds": 3, "seconds": 8.0}, "versions": {"nginx": "1.22.1"}, "unavailable": {},
        "reasons": {"litellm": "one core is too slow"}, "excluded": {"200": {}},
        "cost": rows(cells, list(TITLES)), "capacity": [], "never_reads": {}, "cells": cells,
    }  # fmt: skip


def found(results, proxy, rate=50.0):
    return next(row for row in results["cost"] if row["proxy"] == proxy and row["rate"] == rate)


def test_medians_and_ratios_are_taken_within_rounds(results):
    row = found(results, "penstock")
    assert (row["us_per_event"], row["us_range"], row["rounds"]) == (9.0, [8.0, 14.0], 3)
    assert row["ratio"] == 1.5  # the median of 1.6, 1.4 and 1.5: not 9 / 6
    assert row["added_p50_ms"] == pytest.approx(0.10)
    assert found(results, "nginx")["ratio"] == 1


def test_a_slow_proxy_is_compared_at_its_own_rate(results):
    row = found(results, "litellm", 4.0)
    assert row["ratio"] == 60
    assert (row["failed"], row["failures"]) == (2, {"status 500": 2})


def test_rounds_without_a_figure_are_told(cells):
    broken = {"round": 1, "proxy": "penstock", "streams": 200, "rate": 50.0, "error": "it did not start"}
    row = next(row for row in rows([broken, *cells[:2]], ["penstock", "nginx"]) if row["proxy"] == "penstock")
    assert row["us_per_event"] is None
    assert row["errors"] == ["it did not start"]


def test_what_spoils_a_figure_is_noted(cells):
    cells[2] |= {"core_share": {"proxy": 0.97, "origin": 0.6, "client": 0.35, "others": 0.4}}
    cells[5] |= {"live_after": 150}
    cells[0]["latency"]["p50_ms"] = 19.9
    result = rows(cells, list(TITLES))
    notes = next(row for row in result if row["proxy"] == "penstock")["notes"]
    assert notes == [
        "no figure from 1 of 3 rounds: only 150 streams were live",
        "its core was saturated",
        "the load's core was saturated",
        "something else on the machine used up to 40% of a core",
    ]
    direct = next(row for row in result if row["proxy"] == "direct" and row["rate"] == 50)
    assert "no latency in this table can be trusted" in direct["notes"][0]


def test_the_report_tells_everything(results):
    text = markdown(results)
    assert "### 200 concurrent streams, 50 events/s each" in text
    assert "| Penstock " in text
    assert "9.0 (8.0–14.0)" in text
    assert "- LiteLLM: 2 streams failed: status 500." in text
    assert "- LiteLLM: at 4 events/s a stream, compared with nginx at that rate: one core is too slow." in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1


def test_capacity_and_readers_that_never_read(results):
    latency = {"p50_ms": 0.2, "p99_ms": 1.0}
    extra = {"opened": 300, "refused_503": 232, "served": 68, "otherwise": 0, "failures": {"status 503": 232}}
    results["capacity"] = [
        {"proxy": "penstock", "streams": 9_900, "extra_streams": 300, "opened": 9_900, "live": 9_900, "failures": {},
         "descriptors": 19_950, "extra": extra, "latency": latency, "memory_per_stream": 25_000},
        {"proxy": "nginx", "streams": 9_900, "extra_streams": 300, "error": "it ended by itself"},
    ]  # fmt: skip
    phases = {
        phase: {"latency": latency, "memory_growth": growth, "send_queue_bytes": queue, "readers": 50,
                "neighbours": 100, "fast_pad": 8_000, "fast_pace": 0.02, "seconds": 15, "still_connected": 50,
                "failures": {}, "opened": 100}
        for phase, growth, queue in (("alone", 10**6, 0), ("reading", 6 * 10**6, 5_000), ("never", 11 * 10**6, 5 * 10**6))
    }  # fmt: skip
    results["never_reads"] = {"penstock": phases}
    assert per_reader(phases)["never"] == {"process_bytes": 200_000, "send_queue_bytes": 100_000}
    text = markdown(results)
    assert "19,950 of 20,000" in text
    assert "No figure: it ended by itself" in text
    assert "Penstock, readers never read" in text
    assert "200.0 KB" in text


def test_the_chart_is_a_drawing_of_every_row(results):
    drawing = ElementTree.fromstring(chart(results))
    words = ["".join(text.itertext()) for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "200 streams × 50 events/s" in words
    assert "1.50×9.0 µs" in words
    assert "60×600.0 µs *" in words
    assert any(word.startswith("A <fast> CPU") for word in words)
    bars = [path for path in drawing.iter("{http://www.w3.org/2000/svg}path") if "bar" in path.get("class")]
    assert len(bars) == 3


def test_no_ratio_no_chart(results):
    results["cost"] = []
    assert chart(results) is None


def test_tables_are_aligned():
    assert table(("", "b"), [("long", "1"), ("x", "22")]) == (
        "|      |  b |\n|------|---:|\n| long |  1 |\n| x    | 22 |"
    )
