"""How a client speaks each dialect: what it asks, and how it reads text, the end and refusals.

Written by hand from the providers' references, so that no dialect of the product judges itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from penstock.dialects import DIALECTS
from penstock.faces.root import ADDRESSES
from tests.support import wording
from tests.support.client import Block
from tests.support.said import Part, Piece, parts_of, words_of

Ending = Literal["", "good", "bad", "cancelled"]
"""What a block says of the answer's end: nothing; it is whole; it failed; somebody cancelled it."""

Cues = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Spoken(NamedTuple):
    """One dialect, as its clients speak it."""

    name: str
    ask: Callable[[str], dict[str, Any]]
    """The fields of a request with these words in it, besides `model` and `stream`."""
    words: Callable[[Any, str], Iterable[Piece]]
    """(data, event) -> the pieces of the answer in a block."""
    ending: Callable[[Any, str], Ending]
    """(data, event) -> what a block says of the end."""
    code: Callable[[Any], str | None]
    """(data) -> Penstock's code in an error block or in the body of a refusal; None where the dialect has no place for it."""
    unstreamed: bool = True
    """It can be asked for the answer in one piece."""
    marked: bool = False
    """`[DONE]` follows every end, the bad ones too."""
    values: bool = False
    """It has a call's arguments as JSON, all of them at once; the others as a text, in pieces."""
    open_ended: bool = False
    """Without an end marker: what looks like the end is none if something follows it."""
    tool: Callable[[str], dict[str, Any]] | None = None
    """A tool of that name, as requests offer it; None: they can't."""
    limit: str | None = None
    """The field of a request that limits the answer's tokens."""

    @property
    def path(self) -> str | None:
        """Where requests are posted; None: this dialect is only read."""
        return next((path for path, name in ADDRESSES.items() if name == self.name), None)

    def request(
        self, cues: Cues, prompt: str = "", *, model: str = "m", stream: bool = True, **fields: Any
    ) -> dict[str, Any]:
        """A request that the simulated model answers as `cues` say. `prompt` tells it apart in the truth file."""
        several = [cues] if isinstance(cues, Mapping) else cues
        words = " ".join([prompt, *(f"sim:{json.dumps(cue)}" for cue in several)])
        assert stream or self.unstreamed, f"{self.name} has streams only"
        asked = {"stream": stream} if self.unstreamed else {}
        return {"model": model, **asked, **self.ask(words), **fields}

    def said(self, blocks: Sequence[Block]) -> list[Part]:
        """What these blocks say of the answer."""
        return parts_of(piece for block in blocks for piece in self.words(data_of(block), block.event))

    def text_of(self, blocks: Sequence[Block]) -> str:
        return words_of(self.said(blocks), "text")

    def endings_of(self, blocks: Sequence[Block]) -> list[Ending]:
        """Of every block that says something of the end."""
        ends = [end for block in blocks if (end := self.ending(data_of(block), block.event))]
        return ends[-1:] if self.open_ended else ends

    def over(self, blocks: Sequence[Block]) -> bool:
        """The last of them is the last that there is."""
        if self.marked:
            return bool(blocks) and blocks[-1].data == "[DONE]"
        return bool(self.endings_of(blocks[-1:]))

    def code_of(self, blocks: Sequence[Block]) -> str | None:
        """Penstock's code in the block that ends an answer badly, the only one that says anything of the end."""
        (told,) = (data for block in blocks if self.ending(data := data_of(block), block.event))
        return self.code(told)


def data_of(block: Block) -> Any:
    """The JSON of a block; None for what is none."""
    try:
        return json.loads(block.data)
    except ValueError:
        return None


def _messages(words: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}]}


def _native_ending(data: Any, event: str) -> Ending:
    if event == "done":
        return "cancelled" if data["outcome"] == "cancelled" else "good"
    return "bad" if event == "error" else ""


def _error_code(data: Any) -> str | None:
    return str(data["error"]["code"]) if isinstance(data.get("error"), dict) else str(data["code"])


def _bad(code: str | None) -> Ending:
    return "cancelled" if code == "cancelled" else "bad"


def _chat_ending(data: Any, event: str) -> Ending:
    if data is None:
        return "good"  # [DONE]
    return _bad(_error_code(data)) if "error" in data else ""


def _anthropic_ending(data: Any, event: str) -> Ending:
    if event == "message_stop":
        return "good"
    return _bad(_error_code(data)) if event == "error" else ""


def _responses_code(data: Any) -> str | None:
    error = data.get("error") or (data.get("response") or {}).get("error") or data
    return str(error["code"]) if "code" in error else None


def _responses_ending(data: Any, event: str) -> Ending:
    if event in ("response.completed", "response.incomplete"):
        return "good"
    return _bad(_responses_code(data)) if event in ("response.failed", "response.cancelled", "error") else ""


def _ui_ending(data: Any, event: str) -> Ending:
    kind = "" if data is None else data["type"]  # [DONE] closes every stream of this dialect, also one that failed
    return {"finish": "good", "error": "bad", "abort": "cancelled"}.get(kind, "")  # type: ignore[return-value]


def _ui_code(data: Any) -> str | None:
    return str(data["error"]["code"]) if "error" in data else None  # an `error` part is nothing but words


def _anthropic_ask(words: str) -> dict[str, Any]:
    return {"max_tokens": 100_000, **_messages(words)}


def _responses_ask(words: str) -> dict[str, Any]:
    return {"input": words}


def _ui_ask(words: str) -> dict[str, Any]:
    return {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": words}]}]}


def _gemini_ending(data: Any, event: str) -> Ending:
    if "error" in data:
        return _bad(_gemini_code(data))
    return "good" if any(candidate.get("finishReason") for candidate in data.get("candidates") or ()) else ""


def _gemini_code(data: Any) -> str | None:
    return next((str(detail["reason"]) for detail in data["error"]["details"] if "reason" in detail), None)


_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def _function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": _SCHEMA}}


def _flat_function(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": _SCHEMA}


def _anthropic_tool(name: str) -> dict[str, Any]:
    return {"name": name, "input_schema": _SCHEMA}


_ALL = (
    Spoken("openai-chat", _messages, wording.chat, _chat_ending, _error_code, tool=_function, limit="max_tokens"),
    Spoken("native", _messages, wording.native, _native_ending, _error_code, tool=_function, limit="max_tokens"),
    Spoken(
        "anthropic",
        _anthropic_ask,
        wording.anthropic,
        _anthropic_ending,
        _error_code,
        tool=_anthropic_tool,
        limit="max_tokens",
    ),
    Spoken(
        "openai-responses",
        _responses_ask,
        wording.responses,
        _responses_ending,
        _responses_code,
        tool=_flat_function,
        limit="max_output_tokens",
    ),
    Spoken("ui-messages", _ui_ask, wording.ui, _ui_ending, _ui_code, unstreamed=False, marked=True),
    Spoken("gemini", _messages, wording.gemini, _gemini_ending, _gemini_code, values=True, open_ended=True),
)

READ = {spoken.name: spoken for spoken in _ALL if spoken.name in DIALECTS}
"""The dialects that a client can read streams in, by `?format=`."""

ASKED = {name: spoken for name, spoken in READ.items() if spoken.path is not None}
"""Those that it can also ask in."""

UNSTREAMED = {name: spoken for name, spoken in ASKED.items() if spoken.unstreamed}
"""Of these, those that have answers in one piece."""
