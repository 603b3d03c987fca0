"""The shapes of the demo model's answers: each is a pure function from a cleaned, bounded prompt to Markdown."""

from __future__ import annotations

import csv
import json
import re

from penstock.upstreams.demo_quote import excerpt, fence, quote, span

MOST_ITEMS = 12
MOST_COLUMNS = 6
MOST_WORDS = 3_000
LONG_WORDS = 600

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_BULLET = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+(\S.*)$", re.M)
_SEPARATOR = re.compile(r"\s*[,;]\s*(?:and\s+|or\s+)?|\s+and\s+")
_ASKED_WORDS = re.compile(r"\b(\d{1,6}) words\b", re.I)
_LITTLE = re.compile(r"an?|and|are|as|at|be|by|for|i|in|is|its?|me|my|of|on|or|that|the|this|to|was|with|you", re.I)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def words(text: str) -> list[str]:
    """The words that carry the text, each once, in their order; all words if it has none but little ones."""
    found = list(dict.fromkeys(word[:40] for word in _WORD.findall(text[:4_000])))
    return [word for word in found if not _LITTLE.fullmatch(word)] or found


def silence(prompt: str) -> str:
    return f"The message was empty: {span(prompt)} is all of it.\n\nSay something, and I will say it back in order."


def greeting(prompt: str) -> str:
    return (
        f"Hello! I read:\n\n{quote(prompt)}\n\n"
        "Send me a question, a list, a few lines of CSV, some code, or ask for something *long*, "
        "and watch it come back word by word."
    )


def question(prompt: str) -> str:
    carrying = words(prompt)[:6]
    first = (prompt.split() or ["?"])[0]
    return "\n\n".join(
        [
            f"## You asked\n\n{quote(prompt)}",
            "I don't know the answer: there is no model behind me. What I can see is the question itself:",
            "\n".join(
                [
                    f"- it has **{count(len(prompt.split()), 'word')}** and {count(len(prompt), 'character')}",
                    f"- it opens with {span(first)}",
                    f"- it turns on {', '.join(map(span, carrying)) or 'no word at all'}",
                ]
            ),
            _word_rows(carrying),
            "Put a real model behind this address, and its answer would arrive exactly as this one does.",
        ]
    )


def statement(prompt: str) -> str:
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n+", prompt.strip()) if part][:MOST_ITEMS]
    carrying = words(prompt)
    backwards = " ".join(reversed(prompt.split()[:20]))
    return "\n\n".join(
        [
            f"## I read\n\n{quote(prompt)}",
            "Sentence by sentence:\n\n" + "\n".join(f"{i}. {span(part)}" for i, part in enumerate(sentences, 1)),
            f"It has **{count(len(prompt.split()), 'word')}**. In alphabetical order, the ones that carry it: "
            + (", ".join(span(word) for word in sorted(carrying, key=str.lower)[:MOST_ITEMS]) or "none")
            + ".",
            f"Backwards it reads:\n\n{fence(backwards)}",
        ]
    )


def list_items(prompt: str) -> list[str]:
    """The items of a list in the prompt: its bullets, else what stands between commas after the last colon."""
    bullets: list[str] = _BULLET.findall(prompt)
    if len(bullets) >= 2:
        return bullets
    line = prompt.strip().split("\n", 1)[0][:2_000]
    tail = line.rsplit(": ", 1)[-1].rstrip(".!? ")
    found = [item for item in _SEPARATOR.split(tail) if item]
    return found if len(found) >= 3 and all(len(item.split()) <= 5 for item in found) else []


def listing(prompt: str) -> str:
    everything = list_items(prompt) or words(prompt)
    items = everything[:MOST_ITEMS]
    more = f"\n\n… and {count(len(everything) - len(items), 'more item')}." if len(everything) > len(items) else ""
    longest = max(items, key=len, default="")
    return "\n\n".join(
        [
            f"## Your list\n\n{quote(prompt)}",
            f"**{count(len(everything), 'item')}**, in your order:",
            "\n".join(f"{i}. {span(item)}" for i, item in enumerate(items, 1)) + more,
            "And sorted:",
            "\n".join(f"- {span(item)}" for item in sorted(items, key=str.lower)),
            f"The longest is {span(longest)}, with {count(len(longest), 'character')}.",
        ]
    )


def table_rows(prompt: str) -> list[list[str]]:
    """The rows of a table in the prompt: two lines or more that one separator cuts into as many cells each."""
    lines = [line.strip().strip("|") for line in prompt.split("\n") if line.strip() and not set(line) <= set("|-: \t")]
    for separator in "\t|;,":
        rows = list(csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE))
        if len(rows) >= 2 and len(rows[0]) >= 2 and len({len(row) for row in rows}) == 1:
            return rows
    return []


def table(prompt: str) -> str:
    rows = [[" ".join(cell.split()) for cell in row[:MOST_COLUMNS]] for row in table_rows(prompt)]
    head, body = rows[0], rows[1:]
    lines = [_row(head), _row(["---"] * len(head), plain=True), *(_row(row) for row in body[:MOST_ITEMS])]
    if len(body) > MOST_ITEMS:
        lines.append(_row([f"… {count(len(body) - MOST_ITEMS, 'more row')}"] + [""] * (len(head) - 1), plain=True))
    sums = [f"- {span(name)} adds up to **{_sum(cells)}**" for name, *cells in zip(*rows, strict=True) if _sum(cells)]
    return "\n\n".join(
        [
            f"## {count(len(body), 'row')}, {count(len(head), 'column')}\n\n{quote(prompt)}",
            "As a table:",
            "\n".join(lines),
            "\n".join(sums) or "No column holds numbers only, so there is nothing to add up.",
        ]
    )


def word_table(prompt: str) -> str:
    return f"## A table of your words\n\n{quote(prompt)}\n\n{_word_rows(words(prompt)[:MOST_ITEMS])}"


def code(prompt: str) -> str:
    short = excerpt(prompt, 120, 4)
    longest = max(short.split(), key=len, default="")
    program = (
        f"prompt = {json.dumps(short, ensure_ascii=False)}\n\n"
        "words = prompt.split()\n"
        'print(len(words), "words; the longest is", repr(max(words, key=len)))\n'
        "for number, word in enumerate(words[:3], start=1):\n"
        '    print(f"{number:>2}  {word}")'
    )
    output = "\n".join(
        [
            f"{len(short.split())} words; the longest is {longest!r}",
            *(f"{number:>2}  {word}" for number, word in enumerate(short.split()[:3], 1)),
        ]
    )
    return "\n\n".join(
        [
            f"## Code about what you sent\n\n{quote(prompt)}",
            "I can't write what you need, but this program about your words is real:",
            fence(program, "python"),
            f"It prints:\n\n{fence(output)}",
        ]
    )


_CHAPTERS = (
    ("The source", "{w} enters at the top. Every answer is a stream, and a stream is a log with one writer."),
    ("The gate", "The gate decides before the first word of {w} passes: whose request it is, and what it may use."),
    ("The pipe", "Word after word gets a position. That of {w} is an epoch and an offset, and offsets have no gaps."),
    ("The readers", "Any number of readers follow {w}, each at its own pace. A slow one lags; nobody waits for it."),
    ("The cut", "Pull the plug while you read about {w}. The page keeps its position, and reads on from there."),
    (
        "The second tab",
        "Open this page's address in another tab: {w} is there too, from the same log.",
    ),
    ("The turbine", "{w} arrives once: never lost, never doubled. Reload now, and this sentence will still be here."),
    ("The outlet", "In the end there is exactly one last event, and it says truly how the answer about {w} ended."),
)


def long(prompt: str) -> str:
    """A long answer: as many words as asked for ("800 words"), within reason."""
    asked = _ASKED_WORDS.search(prompt)
    wanted = max(50, min(int(asked[1]), MOST_WORDS)) if asked else LONG_WORDS
    subject = prompt.partition(" about ")[2] or prompt
    carrying = words(subject)[:16] or ["nothing"]
    parts = [f"# A long answer\n\n{quote(prompt)}"]
    written, number = 0, 0
    while written < wanted:
        title, sentence = _CHAPTERS[number % len(_CHAPTERS)]
        word = carrying[number % len(carrying)]
        number += 1
        lines = [
            f"## {number}. {title}",
            sentence.format(w=f"**{word}**") + f" This is part {number}, and it was written for {span(word)} alone.",
            f"- backwards: {span(word[::-1])}\n- after {count(written, 'word')} of the {wanted:,} you will read here",
        ]
        parts += lines
        written += sum(len(line.split()) for line in lines)
    return "\n\n".join(parts)


def _word_rows(rows: list[str]) -> str:
    if not rows:
        return "There is no word to put into a table."
    lines = [_row([str(i), word, str(len(word))]) for i, word in enumerate(rows, 1)]
    return "\n".join(["| # | word | letters |", "| --- | --- | --- |", *lines])


def _row(cells: list[str], plain: bool = False) -> str:
    """One table row. Ordinary words and numbers stand as they are, everything else as inline code."""
    shown = [cell if plain or re.fullmatch(r"(?:[^\W_]|[ .,%-]){0,40}", cell) else span(cell, 40) for cell in cells]
    return f"| {' | '.join(shown)} |"


def _sum(cells: list[str]) -> str:
    """The column's sum, or nothing if a cell is no number."""
    if not cells or not all(re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", cell) for cell in cells):
        return ""
    return f"{sum(map(float, cells)):,.2f}".rstrip("0").rstrip(".")
