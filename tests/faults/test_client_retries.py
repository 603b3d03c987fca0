"""The official clients' own retries work against Penstock: as late as they are told, and never after the first byte."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Answered, wait_for
from tests.support.client import chat
from tests.support.dialects import ASKED
from tests.support.routes import route, routed, upstream
from tests.support.serving import Served

Place = tuple[SimProcess, Served]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with running() as sim:
        tables = (
            upstream("sim", sim.url),
            upstream("tender", sim.url, max_failures=1),
            route("m", "sim"),
            route("tender", "tender"),
        )
        with routed(*tables) as served:
            yield sim, served


def requests(place: Place, prompt: str, count: int) -> list[Answered]:
    """What the upstream was asked, once there are `count` answers that have ended."""

    def found(truth: Any) -> list[Answered]:
        rows = [row for row in truth.answers(prompt) if row.end is not None]
        return rows if len(rows) >= count else []

    return wait_for(place[0].truth_path, found)


def several(prompt: str, *cues: dict[str, Any], model: str = "m") -> dict[str, Any]:
    return ASKED["openai-chat"].request(cues, prompt, model=model)


class OpenAI:
    """Asks as the official `openai` client."""

    limited, unavailable = openai.RateLimitError, openai.InternalServerError
    broken = openai.APIError

    def text(self, served: Served, body: dict[str, Any], *, retries: int = 3) -> str:
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=retries) as client:
            answer = client.chat.completions.create(**body)
            chunks = answer if body["stream"] else []
            return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


class Anthropic:
    """Asks as the official `anthropic` client."""

    limited, unavailable = anthropic.RateLimitError, anthropic.InternalServerError
    broken = anthropic.APIError

    def text(self, served: Served, body: dict[str, Any], *, retries: int = 3) -> str:
        with anthropic.Anthropic(base_url=served.url, api_key="any", max_retries=retries) as client:
            text = ""
            for event in client.messages.create(max_tokens=1000, **body):
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    text += event.delta.text
            return text


@pytest.fixture(params=[OpenAI(), Anthropic()], ids=["openai", "anthropic"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("status", [429, 503])
def test_fault_upstream_429_or_503_with_retry_after_makes_the_client_wait_and_ask_again(
    place: Place, client: Any, status: int
) -> None:
    prompt = f"waits-{type(client).__name__}-{status}-"
    fault = {"status": status, "retry_after": 1, "times": 2}
    assert client.text(place[1], several(prompt, fault, {"text": "third time lucky"})) == "third time lucky"
    times = [row.request.at for row in requests(place, prompt, 3)]
    assert len(times) == 3
    assert min(later - before for before, later in itertools.pairwise(times)) >= 1.0


def test_fault_that_does_not_pass_is_told_after_the_clients_last_retry(place: Place, client: Any) -> None:
    name = type(client).__name__
    with pytest.raises(client.limited) as limited:
        client.text(place[1], several(f"limited-{name}-", {"status": 429, "retry_after": 1}), retries=1)
    assert limited.value.response.headers["retry-after"] == "1"
    assert len(requests(place, f"limited-{name}-", 2)) == 2
    with pytest.raises(client.unavailable):
        client.text(place[1], several(f"down-{name}-", {"status": 500}), retries=1)
    assert len(requests(place, f"down-{name}-", 2)) == 2


def test_fault_of_an_upstream_that_is_left_alone_makes_the_client_come_back_for_the_probe(
    place: Place, client: Any
) -> None:
    """502, then our own 503 with the breaker's rest as Retry-After, then the probe."""
    prompt = f"probe-{type(client).__name__}-"
    cues = {"status": 500, "times": 1}, {"text": "well again"}
    assert client.text(place[1], several(prompt, *cues, model="tender")) == "well again"
    first, second = requests(place, prompt, 2)
    assert second.request.at - first.request.at >= 4.0


def test_fault_after_the_first_byte_is_not_asked_again(place: Place, client: Any) -> None:
    prompt = f"cut-{type(client).__name__}-"
    with pytest.raises(client.broken):
        client.text(place[1], chat({"tokens": 9, "pace": 0.01, "cut_after": 4, "cut": "reset"}, prompt))
    assert len(requests(place, prompt, 1)) == 1


def test_fault_of_the_request_is_not_asked_again(place: Place, client: Any) -> None:
    prompt = f"wrong-{type(client).__name__}-"
    with pytest.raises(client.broken):
        client.text(place[1], chat({"status": 400}, prompt))
    assert len(requests(place, prompt, 1)) == 1
