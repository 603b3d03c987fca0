"""The documentation says what is so: links lead somewhere, examples are good, nothing that users meet is left out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from penstock import config
from penstock.config import tables as tables_of_config
from penstock.sim import script
from penstock.wire.events import Outcome

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "penstock"
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("examples/*/*.md")]
)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def prose(page: Path) -> str:
    """A page without its code: what looks like a link there is none."""
    return re.sub(r"^(`{3,}).*?^\1$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What `#…` may name on a page, as hosts of repositories make it from headings."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# -- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(prose(page)):
        target = match[1] or match[2]
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_relative_to(ROOT), f"{target} leaves the repository"
        assert place.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(place), f"{target}: there is no such heading"


def test_every_page_can_be_found() -> None:
    """From the README, by following links."""
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        links = (match[1] or match[2] for match in LINK.finditer(prose(page)))
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link]
    assert [name(page) for page in PAGES if page not in found and page.parent != ROOT / "examples"] == []


@pytest.mark.parametrize("page", ["SECURITY.md", "CONTRIBUTING.md", "docs/request-lifecycle.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`((?:tests|docs|examples|[a-z]+)/[\w./]*(?:\.py|/)|\w+\.py)`", read(page))
    assert named
    assert [path for path in named if not (ROOT / path).exists() and not any(SOURCE.rglob(path))] == []


# -- examples --------------------------------------------------------------------------------------------------------


def toml_blocks(path: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", read(path), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", ["docs/configuration.md", "docs/sim.md", "README.md"])
def test_configurations_are_good(path: str) -> None:
    blocks = toml_blocks(path)
    assert blocks
    for block in blocks:
        assert config.parse(block, path).notes == [], "an example needs no excuse"


def test_the_sims_script_is_good(tmp_path: Path) -> None:
    block = re.search(r"<!-- script:begin -->\n```\n(.*?)```", read("docs/sim.md"), re.DOTALL)
    assert block
    file = tmp_path / "script.toml"
    file.write_text(block[1], "utf-8")
    assert len(script.load(file).cues) == 2


def test_the_sims_cues_are_cues() -> None:
    from penstock.sim.cue import inline

    cues = re.findall(r"^\| `(\{.*?\})` \|", read("docs/sim.md"), re.MULTILINE)
    assert len(cues) > 5
    for cue in cues:
        assert inline(f"sim:{cue}")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_examples_compile(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        ast.parse(block)


def test_the_commands_exist() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "penstock", "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    known = set(re.findall(r"^  (\w+) ", told[told.index("Commands:") :], re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text("utf-8")
        used = set(re.findall(r"(?:`|^ *)penstock (\w+)", text, re.MULTILINE)) - {"listening"}
        assert used <= known, name(page)
        assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets, name(page)


# -- completeness ----------------------------------------------------------------------------------------------------


def keys(table: type[msgspec.Struct]) -> Iterator[str]:
    for field in msgspec.structs.fields(table):
        yield field.name


def test_every_configuration_key_is_explained() -> None:
    text = read("docs/configuration.md")
    tables = [
        kind
        for kind in vars(tables_of_config).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == tables_of_config.__name__
    ]
    assert config.Limits in tables
    assert tables_of_config.Gate in tables
    for table in tables:
        for key in keys(table):
            assert re.search(rf"`(\[+)?{key}(\]+)?`", text), f"{table.__name__}.{key}"


def error_codes() -> set[str]:
    """Every code that the source gives to a client, found where it is made."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        if "sim" in file.relative_to(SOURCE).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = {"Refused": 1, "UpstreamFailed": 1, "Error": 0, "fail": 0, "_refuse": 0, "_end_with": 0}.get(called)
            if place is None or len(node.args) <= place:
                continue
            code = node.args[place]
            for part in ast.walk(code):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.add(part.value)
    return found


def test_every_error_code_is_explained() -> None:
    codes = error_codes()
    assert {"model_not_found", "upstream_truncated", "slow_reader", "overloaded"} <= codes
    for page in ("docs/api.md", "docs/operations.md"):
        text = read(page)
        assert {code for code in codes if f"`{code}`" not in text} == set(), page


def test_every_outcome_is_explained() -> None:
    outcomes = {word for part in get_args(Outcome) for word in (get_args(part) or (part,))}
    assert {"completed", "stalled"} <= outcomes
    for page in ("docs/api.md", "docs/operations.md"):
        assert {word for word in outcomes if f"`{word}`" not in read(page)} == set(), page


def test_every_native_event_is_explained() -> None:
    from penstock.wire.events import NAMES

    text = read("docs/api.md")
    assert [word for word in NAMES.values() if f"| `{word}` |" not in text] == []


def test_the_version_is_in_the_changes() -> None:
    from penstock import __version__

    assert __version__ in read("CHANGELOG.md")
