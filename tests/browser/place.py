"""What a person reaches: a simulated model, and Penstock in front of it, whose conversations outlive the process."""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Asked, End, Truth, wait_for
from tests.support.serving import PATIENCE, Served, penstock

DEADLINE = 60_000
"""Milliseconds for whatever has to appear. Generous: a loaded machine is no failure."""

CONFIG = """
[storage]
database = "sqlite:///{folder}/kept.db"

[[upstream]]
name = "sim"
dialect = "openai-chat"
base_url = "{sim}/v1"
api_keys = ["sk-upstream-secret"]
max_failures = 0
"""

ROUTE = """
[[route]]
model = "{model}"
targets = [{{ upstream = "sim", model = "{model}" }}]
retries = 0
"""

MODELS = ("brook", "creek")


class Place:
    """A server at one address. It may be killed, and comes back with what it has written down."""

    def __init__(self, sim: SimProcess, config: Path) -> None:
        self.sim = sim
        self._config = config
        self._stack = contextlib.ExitStack()
        self._served = self._start(0)

    def _start(self, port: int) -> Served:
        command = ("serve", "--config", str(self._config), "--port", str(port))
        return self._stack.enter_context(penstock(*command))

    @property
    def url(self) -> str:
        return self._served.url

    @property
    def port(self) -> int:
        return self._served.port

    def kill(self) -> None:
        """As a machine that loses its power does to it."""
        self._served.process.send_signal(signal.SIGKILL)
        self._served.process.wait(PATIENCE)

    def start(self) -> None:
        """Again, at the same address."""
        self._served = self._start(self.port)

    def close(self) -> None:
        self._stack.close()

    # What it says, to anybody

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as response:
            return json.load(response)

    def messages(self, conversation: str) -> list[dict[str, Any]]:
        """All that is kept of a conversation, once it is there and nothing is being made any more."""
        deadline = time.monotonic() + PATIENCE
        while True:
            kept: list[dict[str, Any]] = []
            # A question that was stopped on its way is brought a little later.
            with contextlib.suppress(urllib.error.HTTPError):
                kept = self.get(f"/v1/conversations/{conversation}")["messages"]
            if kept and all(message["state"] == "ended" for message in kept):
                return kept
            assert time.monotonic() < deadline, "an answer does not end"
            time.sleep(0.05)

    # What the model says that it was asked, and what it said

    def asked(self, prompt: str) -> int:
        """How often the model was asked for an answer to this."""
        return len(self.sim_requests(prompt))

    def sim_requests(self, prompt: str) -> list[Asked]:
        """Every request for an answer to this, as it reached the model; not those that only come after it."""

        def found(truth: Truth) -> list[Asked]:
            asked = [row.request for row in truth.answers(prompt)]
            return [one for one in asked if prompt in one.body["messages"][-1]["content"]]

        return wait_for(self.sim.truth_path, found)

    def truth(self, prompt: str) -> End:
        """How the one answer to this ended, at the model."""
        return wait_for(self.sim.truth_path, lambda truth: truth.answer(prompt), PATIENCE)


@contextlib.contextmanager
def opened(more: str = "", models: tuple[str, ...] = MODELS) -> Iterator[Place]:
    """A place of its own; `more` goes to the end of its configuration."""
    with running() as sim, tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        config = Path(folder) / "penstock.toml"
        routes = "".join(ROUTE.format(model=model) for model in models)
        config.write_text(CONFIG.format(folder=folder, sim=sim.url) + routes + more, "utf-8")
        place = Place(sim, config)
        try:
            yield place
        finally:
            place.close()


@contextlib.contextmanager
def demo() -> Iterator[Served]:
    """`penstock demo`, as somebody starts it who only looks."""
    with penstock("demo", "--port", "0") as served:
        yield served


def cue(**keys: Any) -> str:
    """The end of a message that tells the simulated model what to say."""
    return f"sim:{json.dumps(keys)}"
