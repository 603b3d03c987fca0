"""Wire formats, one module each; see `penstock.dialects.base` for what a dialect is."""

from __future__ import annotations

from penstock.dialects.anthropic import Anthropic
from penstock.dialects.base import Dialect
from penstock.dialects.gemini import Gemini
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.dialects.ui_messages import UIMessages

_ALL: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini(), UIMessages(), Native())

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
"""Every dialect by its name in configuration and in `?format=`."""
