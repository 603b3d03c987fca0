"""The wire formats the sim speaks, one file each.

A voice knows how requests are read and how pieces are put in bytes; nothing of timing, faults, or sockets.
To add a format: write its file, and name it in `VOICES`.
"""

from penstock.sim.voices.anthropic import Anthropic
from penstock.sim.voices.base import RequestError, Said, Speech, Style, Voice
from penstock.sim.voices.gemini import Gemini
from penstock.sim.voices.openai_chat import OpenAIChat
from penstock.sim.voices.openai_responses import OpenAIResponses

__all__ = ["VOICES", "RequestError", "Said", "Speech", "Style", "Voice", "voice_for"]

VOICES: tuple[Voice, ...] = (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini())


def voice_for(path: str) -> Voice | None:
    """The voice that answers POST requests to a path (without its query)."""
    return next((voice for voice in VOICES if voice.answers(path)), None)
