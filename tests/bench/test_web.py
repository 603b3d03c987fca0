"""The browser's benchmark: its document, the arithmetic of a trace, its figures, tables and picture."""

import tomllib
from xml.etree import ElementTree

import pytest

from bench.web.chart import chart
from bench.web.document import document, script
from bench.web.figures import passed, percentile, summary, tenths
from bench.web.report import insert, markdown
from bench.web.run import TITLES
from bench.web.trace import Frame, Run, per_interval, read, union
from penstock.sim.cue import parse

HERE = {"pid": 1, "tid": 1}


def mark(name, ts, **args):
    return {**HERE, "cat": "blink.user_timing", "name": name, "ph": "I", "ts": ts, "args": args}


def did(name, ts, dur, **more):
    return {**HERE, "cat": "devtools.timeline", "name": name, "ph": "X", "ts": ts, "dur": dur, **more}


def commit(ts):
    return {**HERE, "cat": "x", "name": "BeginCommitCompositorFrame", "ph": "I", "ts": ts}


def test_a_document_is_the_same_for_one_seed_and_has_everything():
    text = document(60_000)
    assert text == document(60_000)
    assert len(text) == 60_000
    assert text != document(60_000, seed=2)
    for piece in ("\n## ", "\n- ", "\n1. ", "\n| ", "\n```", "**", "](https://"):
        assert piece in text


def test_the_script_says_the_document():
    text = document(3000) + ' "quoted" \\ é \x7f'
    [cue] = tomllib.loads(script(text, 20, 0.008))["cue"]
    assert parse(cue).text == text


def test_nested_and_overlapping_events_count_once():
    assert union([(5, 9), (0, 10), (12, 14), (10, 11)]) == [(0, 10), (10, 11), (12, 14)]
    assert per_interval([(0, 10), (12, 14)], [(0, 5), (5, 13), (13, 20)]) == [5, 6, 1]
    assert per_interval([], [(0, 5)]) == [0]


def test_a_frame_reaches_from_the_commit_before_to_its_own():
    run = read([
        mark("bench:begin", 1000, data={"startTime": 77.5}),
        commit(2000),
        did("FunctionCall", 2500, 3000, tdur=1800), did("Layout", 3000, 1000), did("UpdateLayoutTree", 6000, 500),
        did("Paint", 7000, 900), did("RunTask", 2400, 5600),
        commit(12_000),
        did("FunctionCall", 11_500, 1000),  # reaches into the next one
        commit(22_000),
        mark("bench:end", 40_000), mark("bench:end", 50_000),
        {**did("FunctionCall", 4000, 9000), "tid": 2},
    ])  # fmt: skip
    assert run.frames == [
        Frame(at=1, work=4, script=3.5, style=0.5, layout=1, busy=5.6, cpu=3.3),
        Frame(at=11, work=0.5, script=0.5, style=0, layout=0, busy=0, cpu=0),
    ]
    assert (run.began, run.length, run.tasks, run.cpu_tasks) == (77.5, 39, [5.6], [5.6])


def test_what_the_benchmark_did_itself_is_left_out():
    run = read([
        mark("bench:begin", 0), commit(1000), commit(2000),
        mark("bench:pause", 2100), did("RunTask", 2200, 90_000), mark("bench:resume", 95_000),
        commit(96_000), commit(97_000), mark("bench:end", 99_000),
    ])  # fmt: skip
    assert [frame.at for frame in run.frames] == [1, 96]
    assert run.tasks == []


def test_without_marks_there_is_no_figure():
    with pytest.raises(ValueError, match="marks"):
        read([commit(1), commit(2)])


def test_percentiles():
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([], 0.5) is None
    assert percentile([7], 0.95) == 7


def run_of(works, length=100.0, began=0.0):
    step = length / len(works)
    frames = [Frame(number * step, work, work, 0, 0, work, work) for number, work in enumerate(works)]
    return Run(frames, list(works), list(works), began, length)


def test_tenths_are_of_what_is_shown_or_else_of_the_time():
    run = run_of([1.0] * 10, began=1000)
    assert [len(part) for part in tenths(run, 100)] == [1] * 10
    shown = [[1001, 5], [1041, 15], [1062, 100]]
    assert [len(part) for part in tenths(run, 100, shown)] == [1, 4, 0, 0, 0, 0, 0, 0, 0, 5]


def test_where_the_limit_was_passed_for_good():
    assert passed([5.0, 20.0, 5.0, 17.0, None, 30.0], 1000) == 300
    assert passed([5.0, 20.0, 5.0], 1000) is None
    assert passed([20.0, None], 1000) == 0


@pytest.fixture
def results():
    memory = [{"at": 1.0, "heap": 5e6, "nodes": 100.0}]
    collected = [{"share": share, "heap": 3e6, "nodes": 100.0} for share in (0.0, 0.25, 0.5, 1.0)]

    def row(subject, works, **more):
        return {
            "subject": subject, "characters": 200_000, **summary(run_of(works), 200_000), "shown": 150_000,
            "timed_out": False, "memory": memory, "collected": collected, **more,
        }  # fmt: skip

    return {
        "date": "2026-01-02 03:04 UTC", "commit": "abc1234", "command": "python -m bench.web", "load": [0.1, 2.0],
        "machine": {"cpu": "A <fast> CPU", "cores": 2, "memory_gb": 8, "kernel": "6.1.0"}, "titles": TITLES,
        "parameters": {"characters": 200_000, "token": 20, "seconds": 80.0}, "versions": {"Chromium": "156"},
        "rows": [
            row("studio", [2.0] * 90 + [2.5] * 10),
            row("react-markdown", [float(n * 3) for n in range(100)], timed_out=True),
            row(
                "many", [1.0] * 10, streams=20, tokens_per_s=50.0, load=[1.0, 2.0], gap=[16.0, 17.0, 40.0],
                input_delay=[1.0, 2.0, 9.0], inputs=50,
            ),
        ],
    }  # fmt: skip


def test_the_report_says_whether_the_goal_is_held(results):
    text = markdown(results)
    assert "**The studio holds its goal**" in text
    assert "1.25 times" in text
    assert "125 tokens a second" in text
    assert "| react-markdown" in text
    assert "cut off after 0 s, at 150,000 characters" in text
    assert "### 20 answers at once" in text
    results["rows"][0]["ratio"] = 1.6
    assert "**The studio does not hold its goal**" in markdown(results)


def test_the_report_goes_between_the_markers():
    page = "a\n<!-- bench-web:begin -->\nold\n<!-- bench-web:end -->\nb\n"
    assert insert(page, "new\n") == page.replace("old", "new")
    with pytest.raises(ValueError, match="lacks"):
        insert("a", "b")


def test_the_picture_is_an_svg_with_both_themes(results):
    drawing = chart(results)
    root = ElementTree.fromstring(drawing)
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    assert "prefers-color-scheme: dark" in drawing
    assert "A &lt;fast&gt; CPU" in drawing
    results["rows"] = []
    assert chart(results) is None
