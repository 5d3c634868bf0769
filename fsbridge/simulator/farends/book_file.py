"""Reads far-end scripts from YAML or mappings, and says of every fault where it stands and what would be right.

The steps themselves are described in `script`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import yaml

from fsbridge.errors import FsbridgeError
from fsbridge.simulator.audio.sound import AUDIO_FOLDER
from fsbridge.simulator.farends.dialplan import Extension
from fsbridge.simulator.farends.dialplan_file import parse_extensions
from fsbridge.simulator.farends.numbers import read_patterns
from fsbridge.simulator.farends.script import Caller, FarEnd, FarEndBook
from fsbridge.simulator.farends.script_file import StepReader

DEFAULT_BOOK = Path(__file__).parent / "farends.yaml"


class FarEndError(FsbridgeError):
    """A far-end file is wrong; `problems` lists every fault with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def parse_book(document: object, folder: Path | None = None) -> FarEndBook:
    """A book from the mapping ``{far_ends: [{name, match, steps}, …], inbound: […], callers: […]}``.

    `inbound` as in `dialplan_file`; a caller is ``{to, from, after, every, steps}``: numbers and seconds.
    Sound files are looked up in `folder`, then among the simulator's own. Raises FarEndError with every fault found.
    """
    reader = _Reader(tuple(str(place) for place in (folder, AUDIO_FOLDER) if place is not None))
    entries = reader.book(document)
    extensions: tuple[Extension, ...] = ()
    if isinstance(document, Mapping) and "inbound" in document:
        extensions = parse_extensions(document["inbound"], reader.problems)
    callers: tuple[Caller, ...] = ()
    if isinstance(document, Mapping) and "callers" in document:
        callers = reader.callers(document["callers"])
    if reader.problems:
        raise FarEndError(reader.problems)
    return FarEndBook(entries, extensions, callers)


def parse_script(name: str, match: str | Sequence[str], steps: object, folder: Path | None = None) -> FarEnd:
    """One far end from its steps. Raises FarEndError."""
    matches = [match] if isinstance(match, str) else list(match)
    return parse_book({"far_ends": [{"name": name, "match": matches, "steps": steps}]}, folder).entries[0]


def load_book(path: str | Path) -> FarEndBook:
    """A book from a YAML file; its sound files may stand beside it. Raises FarEndError."""
    file = Path(path)
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FarEndError([f"{file}: cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FarEndError([f"{file}: is not YAML: {error}"]) from error
    return parse_book(document, file.parent)


@lru_cache(maxsize=1)
def default_book() -> FarEndBook:
    """The book that comes with the simulator (farends.yaml)."""
    return load_book(DEFAULT_BOOK)


class _Reader(StepReader):
    """Reads a document."""

    def book(self, document: object) -> tuple[FarEnd, ...]:
        if not isinstance(document, Mapping) or set(document) - {"inbound", "callers"} != {"far_ends"}:
            self.problems.append(
                "the document: must be a mapping with the key far_ends, and inbound, callers if need be"
            )
            return ()
        items = document["far_ends"]
        if not isinstance(items, list) or not items:
            self.problems.append("far_ends: must be a list of at least one far end")
            return ()
        return tuple(self._entry(item, f"far_ends[{index}]") for index, item in enumerate(items))

    def callers(self, items: object) -> tuple[Caller, ...]:
        if not isinstance(items, list):
            self.problems.append("callers: must be a list of callers")
            return ()
        return tuple(self._caller(item, f"callers[{index}]") for index, item in enumerate(items))

    def _caller(self, item: object, place: str) -> Caller:
        fields = self._fields(item, place, {"to": "", "from": "+15550199999", "after": 0, "every": 0, "steps": None})
        for key in ("to", "from"):
            if not isinstance(fields[key], str) or not fields[key]:
                self.problems.append(f'{place}.{key}: must be a number, in quotes: "+1999"')
        script = FarEnd(place, (), self.steps(fields["steps"], f"{place}.steps"))
        after, every = (self._seconds(fields[key], f"{place}.{key}") for key in ("after", "every"))
        return Caller(script, str(fields["to"]), str(fields["from"]), after, every)

    def _entry(self, item: object, place: str) -> FarEnd:
        if not isinstance(item, Mapping):
            self.problems.append(f"{place}: must be a mapping with name, match and steps")
            return FarEnd("", (), ())
        for key in sorted(set(map(str, item)) - {"name", "match", "steps"}):
            self.problems.append(f"{place}.{key}: unknown; known are name, match, steps")
        name = item.get("name")
        if not isinstance(name, str) or not name:
            self.problems.append(f"{place}.name: must be a text")
            name = ""
        else:
            place = f"{place} ({name})"
        matches = read_patterns(item.get("match"), f"{place}.match", self.problems)
        return FarEnd(name, matches, self.steps(item.get("steps"), f"{place}.steps"))
