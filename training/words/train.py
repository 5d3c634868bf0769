"""Train the phrase model: texts by grammar, and one's own transcripts, → weights and a report by language.

    python -m training words --out runs/words [--transcripts FILE.tsv …] [--texts 20000] [--epochs 6] [--install]

A transcripts file has a kind, a language and a text a line, apart by tabs; they weigh as much as the grammar's. A
seventh of each kind's templates is held out in every language, and the report is on those alone.
"""

from __future__ import annotations

import argparse
import json
import random as standard
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from amd_model.words.phrases import BUCKETS, KINDS, LIVE, MACHINE, SHIPPED, Kind, Phrases, buckets, live_share, scale
from training.words import grammar
from training.words.hearing import INVENTED, heard

HELD_OUT: Final = 7
"""Every so many templates of a kind, one is for the report only."""
DECIDED: Final = 0.8
"""A share of the live side from here on is told as a person, below 1 minus it as a machine."""
BATCH: Final = 256


class TranscriptsError(ValueError):
    """A transcripts file cannot be used; the message says which line, and what to change."""


@dataclass(frozen=True, slots=True)
class Example:
    """One transcript: what it is, in which language, and as it was written down."""

    kind: Kind
    language: str
    text: str


def composed(count: int, seed: int, *, held_out: bool) -> list[Example]:
    """`count` transcripts of each language, evenly by kind; of the held-out templates or of the others."""
    examples = []
    for spoken in grammar.languages():
        random = standard.Random(f"{spoken.language} {seed} {held_out}")
        for kind, templates in spoken.kinds.items():
            mine = [text for place, text in enumerate(templates) if (place % HELD_OUT == HELD_OUT // 2) is held_out]
            for _ in range(count // len(KINDS) if mine else 0):
                text = heard(spoken.text(random.choice(mine), random), random)
                examples.append(Example(kind, spoken.language, text))
        if not held_out:
            silence = [Example(Kind.OTHER, spoken.language, text) for text in INVENTED]
            examples += silence * max(1, count // 40 // len(silence))
    return examples


def transcripts(path: Path) -> list[Example]:
    """One's own: kind, language, text. Raises TranscriptsError."""
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, language, text = line.split("\t")
            examples.append(Example(Kind(kind), language, text))
        except ValueError as error:
            wanted = ", ".join(KINDS)
            raise TranscriptsError(
                f"{path}:{number}: a kind ({wanted}), a language and a text, apart by tabs"
            ) from error
    return examples


def fit(examples: Sequence[Example], epochs: int, seed: int) -> NDArray[np.float32]:
    """Softmax regression over hashed features, by Adam: weights, float32 [BUCKETS, len(KINDS)]."""
    torch.manual_seed(seed)
    rows = [torch.from_numpy(buckets(example.text)) for example in examples]
    scales = torch.tensor([scale(len(row)) for row in rows], dtype=torch.float32)
    labels = torch.tensor([KINDS.index(example.kind) for example in examples])
    table = torch.nn.EmbeddingBag(BUCKETS, len(KINDS), mode="sum", sparse=False)
    torch.nn.init.zeros_(table.weight)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.03, weight_decay=1e-6)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.02)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * (1 - epoch / epochs)
        order = torch.randperm(len(examples))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH].tolist()
            bags = [rows[place] for place in chosen]
            offsets = torch.tensor([0, *np.cumsum([len(bag) for bag in bags])[:-1]])
            logits = table(torch.cat(bags), offsets) * scales[chosen][:, None]
            loss = loss_of(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    weights: NDArray[np.float32] = table.weight.detach().numpy().astype(np.float32)
    return weights


def report(model: Phrases, examples: Iterable[Example]) -> dict[str, Any]:
    """By language: how many, the share whose kind is right, and of people and machines how many are told for which."""
    by_language: dict[str, list[Example]] = {}
    for example in examples:
        by_language.setdefault(example.language, []).append(example)
    return {language: _figures(model, mine) for language, mine in sorted(by_language.items())}


def _figures(model: Phrases, examples: Sequence[Example]) -> dict[str, Any]:
    judged = [model.judge(example.text) for example in examples]
    right = sum(KINDS[int(np.argmax(one))] is example.kind for one, example in zip(judged, examples, strict=True))
    figures: dict[str, Any] = {"texts": len(examples), "kind": round(right / len(examples), 4)}
    for name, kinds in (("people", LIVE), ("machines", MACHINE)):
        shares = [live_share(one) for one, example in zip(judged, examples, strict=True) if example.kind in kinds]
        live = sum(share >= DECIDED for share in shares) / max(1, len(shares))
        machine = sum(share <= 1 - DECIDED for share in shares) / max(1, len(shares))
        figures[name] = {"as_people": round(live, 4), "as_machines": round(machine, 4)}
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m training words", description="Train the phrase model on texts.")
    parser.add_argument("--out", type=Path, required=True, help="folder for phrases.safetensors and report.json")
    parser.add_argument("--transcripts", type=Path, action="append", default=[], help="your own: kind, language, text")
    parser.add_argument("--texts", type=int, default=20_000, help="texts of each language by the grammar")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--install", action="store_true", help="put it where the detector takes it from")
    arguments = parser.parse_args(argv)
    try:
        own = [example for path in arguments.transcripts for example in transcripts(path)]
        examples = composed(arguments.texts, arguments.seed, held_out=False)
    except (OSError, TranscriptsError, grammar.GrammarError) as error:
        parser.error(str(error))
    repeats = max(1, len(examples) // len(own)) if own else 0
    weights = fit(examples + own * repeats, arguments.epochs, arguments.seed)
    held = composed(4_000, arguments.seed + 1, held_out=True)
    card = {"kinds": [str(kind) for kind in KINDS], "version": "1", "languages": sorted({one.language for one in held})}
    model = Phrases(weights.astype(np.float16).astype(np.float32), card)
    figures = report(model, held)
    model.card["held_out"] = figures
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.save(arguments.out / "phrases.safetensors")
    (arguments.out / "report.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if arguments.install:
        model.save(SHIPPED)
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
