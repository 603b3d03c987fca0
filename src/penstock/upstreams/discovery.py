"""What `penstock demo` finds on its own: keys in the environment, an Ollama on this machine.

Asked once, at start, for a second or two at most; whatever does not answer is simply not there.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from penstock.dialects import DIALECTS

OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"
OLLAMA = "http://127.0.0.1:11434/v1"
SECONDS = 2.0
MOST_MODELS = 40


class Place(NamedTuple):
    """An endpoint, and the models that it names."""

    name: str
    dialect: str
    base_url: str
    api_keys: tuple[str, ...]
    models: tuple[str, ...]


class Found(NamedTuple):
    """Everything that was found, and what a person should know about the rest."""

    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()


class _Model(msgspec.Struct):
    id: str


class _Named(msgspec.Struct):
    """Gemini's way: `models/gemini-...`, and what the model can do."""

    name: str
    supportedGenerationMethods: list[str] = []  # noqa: N815  # Google's name


class _Models(msgspec.Struct):
    data: list[_Model] = []
    models: list[_Named] = []


def discover(environment: Mapping[str, str], ollama: str = OLLAMA) -> Found:
    """Look for models. `environment` holds the keys; `ollama` is where a local Ollama would be."""
    places: list[Place] = []
    notes: list[str] = []
    if key := environment.get("OPENAI_API_KEY"):
        base = environment.get("OPENAI_BASE_URL", OPENAI).rstrip("/")
        _look("openai", "openai-chat", base, key, places, notes)
    # These two providers' own variables name the host, without the version.
    if key := environment.get("ANTHROPIC_API_KEY"):
        base = f"{environment.get('ANTHROPIC_BASE_URL', ANTHROPIC).rstrip('/')}/v1"
        _look("anthropic", "anthropic", base, key, places, notes)
    if key := environment.get("GEMINI_API_KEY"):
        base = f"{environment.get('GOOGLE_GEMINI_BASE_URL', GEMINI).rstrip('/')}/v1beta"
        _look("gemini", "gemini", base, key, places, notes)
    models = _ask(ollama, [])
    if models:
        places.append(Place("ollama", "openai-chat", ollama, (), models))
    taken = {"demo"}
    apart = []
    for place in places:
        apart.append(place._replace(models=tuple(model for model in place.models if model not in taken)))
        taken.update(place.models)
    return Found(tuple(apart), tuple(notes))


def _look(name: str, dialect: str, base_url: str, key: str, places: list[Place], notes: list[str]) -> None:
    models = _ask(base_url, DIALECTS[dialect].headers(key))
    if models:
        places.append(Place(name, dialect, base_url, (key,), models))
    else:
        notes.append(f"{name.upper()}_API_KEY is set, but {base_url} did not list any models")


def _ask(base_url: str, headers: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The models at `base_url`, as `GET /models` lists them; none if nobody answers."""
    try:
        # Only http:// and https:// addresses of ours, or of the person who starts the demo.
        request = urllib.request.Request(f"{base_url}/models", headers=dict(headers))  # noqa: S310
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            told = msgspec.json.decode(response.read(4 * 1024 * 1024), type=_Models)
    except (OSError, ValueError, msgspec.MsgspecError):
        return ()
    named = (model.name.removeprefix("models/") for model in told.models if _talks(model))
    return tuple(name for name in (*(model.id for model in told.data), *named) if name)[:MOST_MODELS]


def _talks(model: _Named) -> bool:
    return "generateContent" in model.supportedGenerationMethods
