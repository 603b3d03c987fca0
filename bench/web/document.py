"""The long answer: a seeded document of headings, paragraphs, lists, tables and code, and the sim's script that says it."""

from __future__ import annotations

import json
import random
import re

from bench.processes import ROOT

CORPUS = ROOT / "web" / "packages" / "markdown" / "corpus"
WHOLE = ("answer", "lists", "tables", "links", "quotes", "long-code", "emphasis", "long-list")
"""Documents of the corpus that are taken as they are, now and then: the rest is made of the corpus's words."""

_CODE = {
    "python": "def {a}({b}, {c}=None):\n    # {s}\n    if {c} is None:\n        {c} = {n}\n    return {b} + {c}",
    "ts": 'export function {a}({b}: string): number {{\n  // {s}\n  const {c} = {b}.split(" ");\n  return {c}.at({n});\n}}',
    "sh": "# {s}\ncurl -N --max-time {n} https://example.com/{a} | grep {b} > {c}.txt",
    "json": '{{\n  "{a}": {n},\n  "{b}": ["{c}", true, null]\n}}',
}


def document(characters: int, seed: int = 1) -> str:
    """Exactly so many characters of Markdown; for one seed always the same ones."""
    maker = _Maker(random.Random(seed))
    parts: list[str] = []
    length = 0
    while length < characters:
        part = maker.section()
        parts.append(part)
        length += len(part)
    return "".join(parts)[:characters]


def script(text: str, token: int, pace: float) -> str:
    """The sim's script: whatever is asked is answered with this text, `token` characters at a time."""
    said = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a JSON string is one of TOML
    return f"[[cue]]\ntext = {said}\ntoken_size = {token}\npace = {pace}\n"


class _Maker:
    def __init__(self, random: random.Random) -> None:
        self._random = random
        self._whole = [(CORPUS / f"{name}.md").read_text("utf-8") for name in WHOLE]
        prose = " ".join(path.read_text("utf-8") for path in sorted(CORPUS.glob("*.md")))
        self._words = sorted(set(re.findall(r"\b[a-z]{2,12}\b", prose)))

    def section(self) -> str:
        blocks = [f"{'#' * self._random.randint(1, 4)} {self._words_of(2, 6).capitalize()}"]
        for _ in range(self._random.randint(1, 3)):
            blocks += [self._paragraph() for _ in range(self._random.randint(1, 3))]
            kind = self._random.choice((self._list, self._table, self._code, self._code, self._corpus, self._paragraph))
            blocks.append(kind())
        return "".join(f"{block}\n\n" for block in blocks)

    def _words_of(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(self._words, k=self._random.randint(least, most)))

    def _phrase(self) -> str:
        words = self._words_of(4, 10)
        chance = self._random.random()
        if chance < 0.08:
            return f"{words} **{self._words_of(1, 3)}**"
        if chance < 0.14:
            return f"{words} *{self._words_of(1, 2)}*"
        if chance < 0.22:
            return f"{words} `{self._words_of(1, 2)}`"
        if chance < 0.26:
            return f"{words} [{self._words_of(1, 3)}](https://example.com/{self._words_of(1, 1)})"
        return words

    def _sentence(self) -> str:
        said = ", ".join(self._phrase() for _ in range(self._random.randint(1, 3)))
        return f"{said[0].upper()}{said[1:]}."

    def _paragraph(self) -> str:
        return " ".join(self._sentence() for _ in range(self._random.randint(2, 6)))

    def _list(self) -> str:
        numbered = self._random.random() < 0.4
        lines = []
        for number in range(1, self._random.randint(4, 13)):
            lines.append(f"{number}. {self._sentence()}" if numbered else f"- {self._sentence()}")
            if self._random.random() < 0.2:
                lines.append(f"{'   ' if numbered else '  '}- {self._phrase()}")
        return "\n".join(lines)

    def _table(self) -> str:
        columns = self._random.randint(2, 5)
        rows = [[self._words_of(1, 3) for _ in range(columns)] for _ in range(self._random.randint(4, 15))]
        rows.insert(1, ["---"] * columns)
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _code(self) -> str:
        language = self._random.choice(sorted(_CODE))
        pieces = [
            _CODE[language].format(
                a=self._words_of(1, 1), b=self._words_of(1, 1), c=self._words_of(1, 1),
                s=self._words_of(3, 8), n=self._random.randint(1, 999),
            )
            for _ in range(self._random.randint(1, 5))
        ]  # fmt: skip
        return f"```{language}\n" + "\n\n".join(pieces) + "\n```"

    def _corpus(self) -> str:
        return self._random.choice(self._whole).rstrip("\n")
