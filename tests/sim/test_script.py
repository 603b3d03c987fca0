"""Script files: which cue a request gets, and what is said of a wrong file."""

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.sim.cue import Cue, CueError
from penstock.sim.http import Request
from penstock.sim.script import Script, load


def written(folder: Path, text: str) -> Path:
    path = folder / "script.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_first_matching_cue_answers(tmp_path: Path) -> None:
    script = load(
        written(
            tmp_path,
            """
            models = ["a", "b"]
            [[cue]]
            model = "gpt-*"
            prompt = "weather"
            text = "rain"
            [[cue]]
            api_key = "sk-bad*"
            status = 401
            [[cue]]
            model = "gpt-*"
            text = "else"
            """,
        )
    )
    assert script.models == ["a", "b"]
    assert script.choose("the weather?", "gpt-4", "").text == "rain"
    assert script.choose("the weather?", "claude", "sk-bad-1").status == 401
    assert script.choose("hello", "gpt-4", "sk-good").text == "else"
    assert script.choose("hello", "claude", "") == Cue()


@pytest.mark.parametrize("header", ["authorization: Bearer sk-1", "x-api-key: sk-1", "x-goog-api-key: sk-1"])
def test_a_key_is_known_by_any_header(header: str) -> None:
    name, _, value = header.partition(": ")
    shown = Request("POST", "/", {name: value}, b"", keep_alive=True, http10=False).api_key
    assert shown == "sk-1"


def test_a_cue_is_used_so_often_and_then_falls_to_the_next() -> None:
    script = Script([Cue(status=500, times=2), Cue(text="at last")])
    assert [script.choose("x", "m", "").status for _ in range(4)] == [500, 500, None, None]


def test_inline_cues_come_first_and_are_counted_for_each_prompt() -> None:
    script = Script([Cue(text="from the script")])
    one = 'one sim:{"status": 500, "times": 1} sim:{"text": "two"}'
    assert [script.choose(one, "m", "").status for _ in range(3)] == [500, None, None]
    assert script.choose(one, "m", "").text == "two"
    assert script.choose("other " + one, "m", "").status == 500


def test_inline_cues_choose_by_model_too() -> None:
    prompt = 'sim:{"model": "a-*", "status": 503} sim:{"text": "b answers"}'
    assert Script().choose(prompt, "a-1", "").status == 503
    assert Script().choose(prompt, "b-1", "").text == "b answers"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[cue]]\ntext = "a"\n\n[[cue]]\nmodel = "m"\ncolour = "red"\n', 6, "colour"),
        ('[[cue]]\ntext = "a"\ntokens = "many"\n', 3, "tokens"),
        ('[[cue]]\ntext = "a\n', 2, "line 2"),
        ("models = 3\n", 1, "models"),
        ('\n[[cues]]\ntext = "a"\n', 2, "cues"),
        ('[cue]\ntext = "a"\n', 1, "[[cue]]"),
        ("models = " + "1" * 5000, 1, "digits"),
        ("[[cue]]\nsplit = 3\ndrip = 1.5\n", 1, "split"),
    ],
)
def test_a_wrong_file_is_told_with_its_line_and_key(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CueError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}:{line}: ")
    assert said in str(raised.value)


def test_a_file_that_is_too_deep_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "models = " + "[" * 5000)
    with pytest.raises(CueError, match="nested too deeply"):
        load(path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffmodels = ['a']\n")
    assert load(path).models == ["a"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CueError, match="No such file"):
        load(tmp_path / "nothing.toml")


def test_the_command_ends_with_2_and_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, "[[cue]]\ncolour = 1\n")
    ran = subprocess.run(
        [sys.executable, "-m", "penstock.sim", "--port", "0", "--script", str(path)], capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == f"penstock sim: {path}:2: cue 1: Object contains unknown field `colour`\n"
