"""The house stays in order: every module has its tests, no file grows without end, no word says nothing."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "penstock"
TESTS = ROOT / "tests"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if path.name != "__init__.py")

TESTED_ELSEWHERE = {
    "__main__.py": "a way to start the commands; tests/browser and tests/faces start it so",
    "version.py": "one constant",
    "config/doubts.py": "tests/test_config_doubts.py",
    "config/rules.py": "tests/test_config.py",
    "config/tables.py": "tests/test_config.py",
    "streams/plan.py": "tests/streams/test_generation.py and test_deadlines.py; it holds no code",
    "conversations/store.py": "tests/contracts/store.py; it holds no code",
    "stores/migrations/env.py": "tests/stores/test_tables.py runs every migration",
    "stores/migrations/versions/0001_conversations.py": "tests/stores/test_tables.py",
    "faces/asgi.py": "tests/faces, over real sockets",
    "faces/openapi.py": "tests/faces/test_control.py reads the document",
    "faces/sinks.py": "tests/faces/test_streams.py compares both sinks, byte by byte, over real sockets",
    "sim/__main__.py": "a way to start the sim; its tests start it so",
    "sim/command.py": "tests/sim/test_process.py",
    "sim/connection.py": "tests/sim/test_faults.py and test_writing.py, over real sockets",
    "sim/http.py": "tests/sim/test_faults.py, over real sockets",
    "sim/outlet.py": "tests/sim/test_writing.py",
    "sim/performance.py": "tests/sim/test_faults.py and test_writing.py",
    "sim/record.py": "tests/sim/test_truth.py",
    "sim/score.py": "tests/sim/test_faults.py and test_writing.py",
    "sim/server.py": "tests/sim/test_process.py",
    "sim/voices/base.py": "tests/sim/test_openai_chat.py",
    "sim/voices/openai_chat.py": "tests/sim/test_openai_chat.py",
    "upstreams/demo_answers.py": "tests/upstreams/test_demo.py",
    "upstreams/demo_quote.py": "tests/upstreams/test_demo.py",
    "upstreams/demo_shapes.py": "tests/upstreams/test_demo.py",
    "upstreams/demo_tools.py": "tests/upstreams/test_demo.py",
    "upstreams/pool.py": "tests/upstreams/test_http.py, over real sockets",
}

LONG_FOR_A_REASON: dict[str, str] = {}
"""Files above the limit, and why they are better whole."""

MOST_LINES = 400

SAYS_NOTHING = re.compile(r"(?i)manager|handler$|handlers$|helper|(^|_)utils?($|_)|_v\d+$")
GIVEN_BY_OTHERS = {"add_signal_handler", "remove_signal_handler", "set_exception_handler", "call_exception_handler",
                   "exception_handler", "get_exception_handler", "utils", "contextmanager", "asynccontextmanager"}  # fmt: skip


def mirror(module: str) -> Path:
    path = Path(module)
    return TESTS / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_tests(module: str) -> None:
    if module in TESTED_ELSEWHERE:
        assert not mirror(module).exists(), "it has tests of its own now: take it off the list"
    else:
        assert mirror(module).exists(), f"write {mirror(module).relative_to(ROOT)}, or list where it is tested instead"


def test_the_lists_name_what_there_is() -> None:
    assert set(TESTED_ELSEWHERE) <= set(MODULES)
    for reason in TESTED_ELSEWHERE.values():
        for named in re.findall(r"tests/[\w/]+(?:\.py)?", reason):
            assert (ROOT / named).exists(), named
    assert all((ROOT / name).exists() for name in LONG_FOR_A_REASON)


@pytest.mark.parametrize("folder", ["src/penstock", "tests", "bench", "examples"])
def test_no_file_grows_without_end(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        lines = path.read_text().count("\n")
        assert (lines > MOST_LINES) is (name in LONG_FOR_A_REASON), f"{name} has {lines} lines"


@pytest.mark.parametrize("module", MODULES)
def test_every_name_says_something(module: str) -> None:
    assert not SAYS_NOTHING.search(Path(module).stem)
    source = (SOURCE / module).read_text()
    names = {
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NAME
    }
    assert not {name for name in names - GIVEN_BY_OTHERS if SAYS_NOTHING.search(name)}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    source = (SOURCE / module).read_text()
    assert module == "version.py" or source.startswith('"""')
