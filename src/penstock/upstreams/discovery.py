"""What `penstock demo` finds on its own: a key in the environment, an Ollama on this machine.

Asked once, at start, for a second or two at most; whatever does not answer is simply not there.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

OPENAI = "https://api.openai.com/v1"
OLLAMA = "http://127.0.0.1:11434/v1"
SECONDS = 2.0
MOST_MODELS = 40


class Place(NamedTuple):
    """An endpoint that speaks openai-chat, and the models that it names."""

    name: str
    base_url: str
    api_keys: tuple[str, ...]
    models: tuple[str, ...]


class Found(NamedTuple):
    """Everything that was found, and what a person should know about the rest."""

    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] = []


def discover(environment: Mapping[str, str], ollama: str = OLLAMA) -> Found:
    """Look for models. `environment` holds the keys; `ollama` is where a local Ollama would be."""
    places: list[Place] = []
    notes: list[str] = []
    if key := environment.get("OPENAI_API_KEY"):
        base = environment.get("OPENAI_BASE_URL", OPENAI).rstrip("/")
        models = _ask(base, key)
        if models:
            places.append(Place("openai", base, (key,), models))
        else:
            notes.append(f"OPENAI_API_KEY is set, but {base} did not list any models")
    models = _ask(ollama, None)
    if models:
        places.append(Place("ollama", ollama, (), models))
    notes += [
        f"{name} is set, but that provider's dialect is not built yet"
        for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY")
        if environment.get(name)
    ]
    taken = {"demo"}
    apart = []
    for place in places:
        apart.append(place._replace(models=tuple(model for model in place.models if model not in taken)))
        taken.update(place.models)
    return Found(tuple(apart), tuple(notes))


def _ask(base_url: str, key: str | None) -> tuple[str, ...]:
    """The models at `base_url`, as `GET /models` lists them; none if nobody answers."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(f"{base_url}/models", headers=headers)  # noqa: S310  # http(s) addresses of ours
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            told = msgspec.json.decode(response.read(4 * 1024 * 1024), type=_Models)
    except (OSError, ValueError, msgspec.MsgspecError):
        return ()
    return tuple(model.id for model in told.data[:MOST_MODELS] if model.id)
