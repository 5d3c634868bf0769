"""Has the network learned the microphone instead of the difference? Three probes that must stay near chance.

    python -m training probe --run RUN [--cache DIR]

1. the network itself, on the last tick before the first word: line and noise only, so nothing to know;
2. a linear classifier on the mean of the frames before the first word, trained on composed train cases;
3. a linear classifier on one 20 ms frame of speech.

Each is person against machine on dev, weighted so that guessing gives 50 %. A fourth line shows the network
on swapped sources: people's and machines' turns made of the same human voices only, and of synthetic ones only.
Last, the tone tracker followed to the end of every machine's audio, whatever the verdict was: its first beep.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amd_model.detector import checkpoint
from amd_model.detector.spec import MEASURES, MELS, SPEECH, TICK_MS, TONE
from amd_model.evaluation.metrics import BEEP_TOLERANCE_MS, rate
from amd_model.verdict import AmdOptions
from training.composition.dataset import Shard, dev_data, train_data
from training.studies.tune import dev_cases, dev_rows, outcomes_of

Floats = NDArray[np.float32]
_LINE_MS = 400  # less than this before the first word is too little to look at


def line_only(data: Shard, index: int, random: np.random.Generator) -> Floats | None:
    """Mean and spread of the bands before the first word."""
    frames = int(data.first_word_ms[index]) // 20 - 3
    if frames * 20 < _LINE_MS:
        return None
    before = data.features[index, :frames, :MELS].astype(np.float32)
    return np.concatenate((before.mean(axis=0), before.std(axis=0)))


def one_frame(data: Shard, index: int, random: np.random.Generator) -> Floats | None:
    """One frame of speech, from anywhere in the first second of it."""
    first = max(0, int(data.first_word_ms[index]) // 20)
    spoken = first + np.flatnonzero(data.speech[index, first : first + 50])
    if not len(spoken):
        return None
    return np.asarray(data.features[index, int(random.choice(spoken)), :MELS], dtype=np.float32)


def linear(
    train: Shard, dev: Shard, look: Callable[[Shard, int, np.random.Generator], Floats | None]
) -> dict[str, Any]:
    """Balanced accuracy on dev of a linear classifier on what ``look`` shows of a case."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def table(data: Shard) -> tuple[Floats, NDArray[np.int8]]:
        random = np.random.default_rng(1)
        seen = [(look(data, i, random), data.label[i]) for i in range(len(data)) if data.label[i] < 2]
        kept = [(row, label) for row, label in seen if row is not None]
        return np.stack([row for row, _ in kept]), np.array([label for _, label in kept], np.int8)

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, class_weight="balanced"))
    model.fit(*table(train))
    inputs, labels = table(dev)
    said = model.predict(inputs)
    return balanced(said == labels, labels)


def balanced(right: NDArray[np.bool_], labels: NDArray[np.int8]) -> dict[str, Any]:
    """Mean of both classes' shares, with the half width of its 95 % interval."""
    shares, variance = [], 0.0
    for label in (0, 1):
        of = right[labels == label]
        share = float(of.mean()) if len(of) else 0.5
        shares.append(share)
        variance += share * (1 - share) / max(1, len(of)) / 4
    return {"balanced": round(sum(shares) / 2, 4), "plusMinus": round(1.96 * variance**0.5, 4), "n": len(right)}


def before_the_first_word(data: Shard, rows: list[Floats]) -> dict[str, Any]:
    """The network's own lean, person or machine, before anybody spoke; its overall prior is taken out."""
    leans, labels = [], []
    for index, row in enumerate(rows):
        tick = int(data.first_word_ms[index]) // TICK_MS - 1
        if data.label[index] < 2 and tick * TICK_MS >= _LINE_MS:
            leans.append(float(np.log(row[tick, 0] + 1e-6) - np.log(row[tick, 1] + 1e-6)))
            labels.append(data.label[index])
    middle = float(np.median(leans))
    said = (np.array(leans) < middle).astype(np.int8)
    truth = np.array(labels, np.int8)
    return balanced(said == truth, truth)


def beeps_to_the_end(model: checkpoint.LoadedModel, data: Shard, rows: list[Floats]) -> dict[str, Any]:
    """Machines' beeps found at their place, and machines whose first beep found was none."""
    found = having = false = machines = 0
    for index, row in enumerate(rows):
        if data.label[index] != 1:
            continue
        state, starts = model.start(), []
        for tick, outputs in enumerate(row.tolist()):
            state.hear(outputs[SPEECH], tick * TICK_MS)
            for tone in state.tones.feed(outputs[MEASURES], outputs[SPEECH], outputs[TONE]):
                if state.after_speech and state.is_beep(tone):
                    starts.append(tone.start_ms)
        truth = int(data.beep_ms[index])
        near = [truth >= 0 and abs(start - truth) <= BEEP_TOLERANCE_MS for start in starts]
        machines, having, found = machines + 1, having + (truth >= 0), found + any(near)
        false += bool(near) and not near[0]
    return {"recall": rate(found, having), "firstBeepWasNone": rate(false, machines)}


def main(argv: list[str] | None = None) -> int:
    """Command line; prints one JSON object."""
    parser = argparse.ArgumentParser("python -m training probe", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = checkpoint.load(options.run / "best.safetensors")
    config = json.loads((options.run / "config.json").read_text(encoding="utf-8"))
    cache = options.cache or options.run.parent / "cases"
    folders = [Path(folder) for folder in config["data"]]
    dev = dev_data(folders, cache, config["dev_cases"], config["processes"])
    count = min(config["cases"], 4_000)
    train = train_data(folders, cache, count, 0.0, config["processes"])
    rows = dev_rows(model, dev)
    cases = dev_cases(dev)
    outcomes = outcomes_of(model, model.policy, cases, rows, AmdOptions())
    swapped = {}
    for voice in sorted(set(dev.voice.tolist()) - {"none"}):
        chosen = np.array([i for i in range(len(dev)) if dev.voice[i] == voice and dev.label[i] < 2])
        right = np.array([outcomes[i].verdict is cases[i].label for i in chosen])
        swapped[voice] = balanced(right, dev.label[chosen])
    body = {
        "networkBeforeFirstWord": before_the_first_word(dev, rows),
        "linearOnLineOnly": linear(train, dev, line_only),
        "linearOnOneFrame": linear(train, dev, one_frame),
        "networkBySource": swapped,
        "beepsToTheEnd": beeps_to_the_end(model, dev, rows),
    }
    print(json.dumps(body, indent=1))
    return 0
