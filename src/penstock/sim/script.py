"""Which cue a request gets: inline ones first, then the script file's, then the default."""

import fnmatch
import re
import tomllib
from collections import Counter
from pathlib import Path

import msgspec

from penstock.sim.cue import Cue, CueError, inline, parse

_TABLE = re.compile(r"^\s*\[\[\s*cue\s*\]\]")


class Script:
    """The cues of one file, and how often each was used."""

    def __init__(self, cues: list[Cue] | None = None, models: list[str] | None = None) -> None:
        self.cues = cues or []
        self.models = models or ["sim"]
        self._used: Counter[tuple[str, int]] = Counter()

    def choose(self, prompt: str, model: str, api_key: str) -> Cue:
        """The cue for a request, counted as used. Raises CueError for a bad inline cue."""
        # Inline cues are counted per prompt, so that a retry meets the next one, and nobody else notices.
        for source, cues in ((prompt, inline(prompt)), ("", self.cues)):
            for number, cue in enumerate(cues):
                if not _matches(cue, prompt, model, api_key):
                    continue
                if cue.times is not None:
                    if self._used[source, number] >= cue.times:
                        continue
                    self._used[source, number] += 1
                return cue
        return Cue()


def _matches(cue: Cue, prompt: str, model: str, api_key: str) -> bool:
    return (
        (cue.model is None or fnmatch.fnmatchcase(model, cue.model))
        and (cue.prompt is None or cue.prompt in prompt)
        and (cue.api_key is None or fnmatch.fnmatchcase(api_key, cue.api_key))
    )


def load(path: Path) -> Script:
    """Reads a script file. Raises CueError with a message of the form `file:line: what is wrong`."""
    try:
        text = path.read_text("utf-8-sig")
        tables = tomllib.loads(text)
    except OSError as error:
        raise CueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CueError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise CueError(f"{path}: nested too deeply") from None
    except ValueError as error:  # also what is no TOMLDecodeError: a number of more digits than Python reads
        found = re.search(r"line (\d+)", str(error))
        raise CueError(f"{path}:{found[1] if found else 1}: {error}") from None
    for key in tables.keys() - {"cue", "models"}:
        raise CueError(f"{path}:{_line(text, 0, key)}: unknown key `{key}`; a script has `models` and `[[cue]]`")
    try:
        models = msgspec.convert(tables.get("models", []), list[str])
    except msgspec.ValidationError as error:
        raise CueError(f"{path}:{_line(text, 0, 'models')}: `models`: {error}") from None
    rows = tables.get("cue", [])
    if not isinstance(rows, list):
        raise CueError(f"{path}:{_line(text, 0, 'cue')}: write `[[cue]]`, with two brackets")
    starts = [number for number, line in enumerate(text.splitlines()) if _TABLE.match(line)]
    cues = []
    for number, keys in enumerate(rows):
        try:
            cues.append(parse(keys))
        except CueError as error:
            start = starts[number] if number < len(starts) else 0
            named = re.search(r"field `(\w+)`|at `\$\.(\w+)", str(error))
            line = _line(text, start, (named[1] or named[2]) if named else "")
            raise CueError(f"{path}:{line}: cue {number + 1}: {error}") from None
    return Script(cues, models)


def _line(text: str, start: int, key: str) -> int:
    """The line (from 1) of a key at or below line index `start`; that line itself when it is not found."""
    lines = text.splitlines()
    pattern = re.compile(rf"^\s*\[*\s*[\"']?{re.escape(key)}\b") if key else None
    for number in range(start, len(lines)):
        if pattern and pattern.match(lines[number]):
            return number + 1
    return start + 1
