"""What is said when a call is answered, as templates with slots: one YAML file a language beside this module.

A file has `slots` (a name, and its fillings apart by ``|``; a filling may hold slots) and `kinds` (a name of
`amd_model.words.phrases.Kind`, and its templates, one a line). A seed draws as many texts as are asked for.
"""

from __future__ import annotations

import random as standard
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from amd_model.words.phrases import Kind

FOLDER: Final = Path(__file__).parent / "grammar"
_SLOT: Final = re.compile(r"\{(\w+)\}")
_MAX_DEPTH: Final = 400
"""Slots filled in one text; a grammar that goes in a circle is found by it."""


class GrammarError(ValueError):
    """The file cannot be used; the message says which, and what to change."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language's wordings."""

    language: str
    slots: dict[str, tuple[str, ...]]
    kinds: dict[Kind, tuple[str, ...]]

    def text(self, template: str, random: standard.Random) -> str:
        """The template with its slots filled, a capital at every start, as a recogniser writes."""
        text = template
        for _ in range(_MAX_DEPTH):
            slot = _SLOT.search(text)
            if slot is None:
                break
            text = text[: slot.start()] + random.choice(self.slots[slot[1]]) + text[slot.end() :]
        else:
            raise GrammarError(f"{self.language}: the slots of {template!r} never end; one of them leads to itself")
        text = re.sub(r"\s+([.,?!])", r"\1", " ".join(text.split()))
        text = re.sub(r"([.?!])[.,]+", r"\1", text)
        return re.sub(r"(^|[.?!¿¡] )(\w)", lambda match: match[1] + match[2].upper(), text)


def read(path: Path) -> Grammar:
    """One language. Raises GrammarError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        slots = {name: tuple(part.strip() for part in text.split("|")) for name, text in content["slots"].items()}
        kinds = {
            Kind(name): tuple(line.strip() for line in text.splitlines() if line.strip())
            for name, text in content["kinds"].items()
        }
    except (OSError, yaml.YAMLError, KeyError, AttributeError, ValueError) as error:
        raise GrammarError(f"{path}: {error}") from error
    unknown = {
        slot
        for text in [*(line for lines in kinds.values() for line in lines), *(t for ts in slots.values() for t in ts)]
        for slot in _SLOT.findall(text)
    } - slots.keys()
    if unknown:
        raise GrammarError(f"{path}: no slot {', '.join(sorted(unknown))}; add it under slots")
    return Grammar(path.stem, slots, kinds)


def languages(folder: Path = FOLDER) -> list[Grammar]:
    """Every language that there is, by name."""
    return [read(path) for path in sorted(folder.glob("*.yaml"))]
