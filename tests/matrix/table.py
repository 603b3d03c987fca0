"""The matrix: which facts cross from an upstream's dialect to a client's. Run it to write docs/matrix.md.

Every cell is a test (`tests/matrix/test_matrix.py`): what is said to cross must, and what is said not to must be told as
the cell says. A cell that is not listed here crosses.
"""

from __future__ import annotations

from pathlib import Path

from penstock.dialects import DIALECTS
from tests.matrix.speech import ADDRESS

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"
CLIENTS = [name for name in ADDRESS if name in DIALECTS]
UPSTREAMS = [name for name in ("openai-chat", "openai-responses", "anthropic", "gemini") if name in DIALECTS]

FEATURES = {
    "text": "system prompt, words, in order, once",
    "tools": "tool definitions to the upstream, calls with their ids, names and whole arguments back",
    "reasoning": "visible thinking",
    "images": "a picture in the question",
    "usage": "input and output tokens",
    "stop": "why it ended: whole, cut by the token limit, a tool call",
    "error": "an error in the stream is an error, and no end",
}

EXCEPT: dict[tuple[str, str], str] = {
    ("ui-messages", "tools"): "own",
}
"""(client's dialect, feature): a note in the place of a yes."""

NOTES = {
    "own": "calls come back; the request has no words for tools (the AI SDK defines them on the server)",
}


def page() -> str:
    """The documentation's page."""
    lines = [
        "# What crosses from where to where",
        "",
        "A client in any dialect reaches an upstream in any other. Each cell below is a test over real sockets, through",
        "`penstock serve` from `penstock sim` (`pytest tests/matrix`); this page is made from the same table",
        "(`python -m tests.matrix.table`).",
        "",
        *(f"- **{name}**: {meaning}." for name, meaning in FEATURES.items()),
        "",
    ]
    for client in CLIENTS:
        lines += [
            f"## A client that speaks `{client}`",
            "",
            f"| upstream | {' | '.join(FEATURES)} |",
            f"|---|{'---|' * len(FEATURES)}",
        ]
        for upstream in UPSTREAMS:
            cells = []
            for feature in FEATURES:
                note = EXCEPT.get((client, feature))
                cells.append("yes" if note is None else f"yes ({list(NOTES).index(note) + 1})")
            lines.append(f"| `{upstream}` | {' | '.join(cells)} |")
        lines.append("")
    lines += [f"{number}. {words}." for number, words in enumerate(NOTES.values(), 1)]
    lines += [
        "",
        "Where client and upstream speak the same dialect, the upstream's blocks pass untouched. What a target has no words",
        "for is refused by name where it would change the answer, and listed in `Penstock-Dropped` where it is a hint: see",
        "[the API](api.md).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
