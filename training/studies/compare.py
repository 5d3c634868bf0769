"""Architectures side by side on the same cases: accuracy, time to decide, CPU.

    python -m training compare --run RUN [--run RUN …] [--trees] [--conformer EPOCHS] [--int8] [--json FILE]

Each RUN is a folder of ``training.learning.train`` (small, shipped, large, other seeds …); its thresholds are searched
again in the same way for everybody. ``--trees`` adds the field's usual choice: timing measures from an energy voice
detector and gradient-boosted trees, trained on the first run's cases; ``--conformer`` a larger network that attends
to all that was heard, trained on the same ``--cases``; ``--int8`` the first run's network with its weights
and products in eight bits.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amd_model.detector import checkpoint
from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.features import features
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import CLASSES, CONTEXT_SAMPLES, FRAMES_PER_TICK, MELS, OUTPUTS, TICK_SAMPLES
from amd_model.evaluation.metrics import quantiles, summarise
from amd_model.evaluation.report import percent
from amd_model.verdict import AmdOptions
from training.composition.dataset import Shard, dev_data, train_data
from training.studies import conformer
from training.studies.tune import dev_cases, dev_rows, outcomes_of, search

_BATCH = 256
_LEVEL = MELS + 4


def energy_speech(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[frames] levels (scaled dB) → speech: 8 dB above a floor that follows the quietest of the last 2 s."""
    speech = np.zeros(len(levels), np.bool_)
    for index, level in enumerate(levels):
        floor = max(-1.6, float(np.min(levels[max(0, index - 100) : index + 1])))
        speech[index] = level > floor + 0.4
    return speech


def timing_measures(feats: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """[frames, F] of one case → what a timing rule knows at each tick [ticks, 10], and the speech flags."""
    speech = energy_speech(feats[:, _LEVEL])
    rows = []
    first = -1
    spoken = words = run = silence = longest_pause = longest_word = 0
    for index, flag in enumerate(speech):
        if flag:
            if first < 0:
                first = index
            elif silence:
                longest_pause = max(longest_pause, silence)
            words += silence > 5 or run == 0
            run, silence, spoken = run + 1, 0, spoken + 1
            longest_word = max(longest_word, run)
        else:
            silence += 1
            if silence > 5:
                run = 0
        if (index + 1) % FRAMES_PER_TICK == 0:
            tick = feats[index + 1 - FRAMES_PER_TICK : index + 1]
            since = index - first if first >= 0 else 0
            rows.append(
                [index, first, since, spoken, words, run, silence if first >= 0 else 0, longest_pause, longest_word,
                 float(tick[:, MELS + 1].mean())]
            )  # fmt: skip
    return np.asarray(rows, np.float32), speech


def trees(train: Shard, dev: Shard) -> tuple[list[NDArray[np.float32]], float]:
    """Rows of outputs for dev from boosted trees on timing measures, and microseconds a tick (batch 256)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    inputs, labels = [], []
    for index in range(len(train)):
        rows, _ = timing_measures(train.features[index].astype(np.float32))
        inputs.append(rows[3::4])
        labels.append(np.full(len(inputs[-1]), train.label[index]))
    model = HistGradientBoostingClassifier(max_iter=120, max_leaf_nodes=31, random_state=1)
    model.fit(np.concatenate(inputs), np.concatenate(labels))
    found = []
    for index in range(len(dev)):
        feats = dev.features[index].astype(np.float32)
        rows, speech = timing_measures(feats)
        out = np.zeros((len(rows), OUTPUTS), np.float32)
        out[:, :4] = model.predict_proba(rows)
        out[:, 4:9] = speech.reshape(-1, FRAMES_PER_TICK)
        out[:, 10:] = feats[:, MELS:].reshape(len(rows), -1)
        found.append(out)
    started = time.perf_counter()
    for _ in range(5):
        model.predict_proba(np.concatenate(inputs)[:_BATCH])
    return found, (time.perf_counter() - started) / 5 / _BATCH * 1e6


def quantised(model: LoadedModel) -> LoadedModel:
    """The same network with dynamic int8 products in its linear and recurrent layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants another package for this, which is not needed to serve
        net = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            copy.deepcopy(model.net), {nn.Linear, nn.GRU}, dtype=torch.qint8
        )
    return replace(model, net=net)


def larger(model: LoadedModel, data: Shard, epochs: int) -> tuple[LoadedModel, float, int]:
    """A conformer trained on these cases; µs a tick when whole answers go through it; its parameters."""
    net = conformer.fit(data, epochs)
    seen = torch.from_numpy(data.features[:16].astype(np.float32))
    with torch.inference_mode():
        started = time.perf_counter()
        net(seen, net.initial_state(len(seen)))
        spent = time.perf_counter() - started
    ticks = len(seen) * seen.shape[1] // FRAMES_PER_TICK
    loaded = replace(model, net=cast(AmdNet, net), version="conformer")
    return loaded, spent / ticks * 1e6 + feature_cost(), sum(p.numel() for p in net.parameters())


def feature_cost() -> float:
    """Microseconds a stream and tick that the features alone take, in batches of 256."""
    samples = torch.randn(_BATCH, CONTEXT_SAMPLES + TICK_SAMPLES)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        features(samples)
        best = min(best, time.perf_counter() - started)
    return best / _BATCH * 1e6


def tick_cost(model: LoadedModel) -> float:
    """Microseconds of one core a stream and tick, features included, in batches of 256 (best of 10)."""
    samples = torch.randn(_BATCH, CONTEXT_SAMPLES + TICK_SAMPLES) * 0.1
    state = model.net.initial_state(_BATCH)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        model.tick(samples, state)
        best = min(best, time.perf_counter() - started)
    return best / _BATCH * 1e6


def line(
    name: str, model: LoadedModel, data: Shard, rows: Sequence[NDArray[np.float32]], micros: float, tries: int
) -> dict[str, Any]:
    """One architecture's figures: thresholds from one half of dev, figures from the other."""
    cases = dev_cases(data)
    policy, _ = search(model, cases[::2], rows[::2], tries, 1)
    outcomes = outcomes_of(model, policy, cases[1::2], rows[1::2], AmdOptions())
    body = summarise(outcomes)
    machines = [o.decided_ms - o.first_word_ms for o in outcomes if o.label is CLASSES[1] and o.first_word_ms >= 0]
    return {
        "name": name,
        "accuracy": body["accuracy"],
        "recall": body["recall"],
        "person": body["person"],
        "machineSinceFirstWordMs": quantiles(machines),
        "ece": body["calibration"]["ece"],
        "microsATick": round(micros, 1),
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m training compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", required=True)
    parser.add_argument("--trees", action="store_true")
    parser.add_argument("--conformer", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--cases", type=int, default=4_000, help="that trees and conformer learn from (%(default)s)")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--tries", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    config = json.loads((options.run[0] / "config.json").read_text(encoding="utf-8"))
    cache = options.cache or options.run[0].parent / "cases"
    folders = [Path(folder) for folder in config["data"]]
    data = dev_data(folders, cache, config["dev_cases"], config["processes"])
    table = []
    if options.trees:
        count = min(config["cases"], options.cases)
        train = train_data(folders, cache, count, 0.0, config["processes"])
        rows, micros = trees(train, data)
        model = checkpoint.load(options.run[0] / "best.safetensors")
        micros += feature_cost()
        table.append(line("timing measures + boosted trees", model, data, rows, micros, options.tries))
    if options.conformer:
        train = train_data(folders, cache, min(config["cases"], options.cases), 0.0, config["processes"])
        model, micros, size = larger(checkpoint.load(options.run[0] / "best.safetensors"), train, options.conformer)
        name = f"conformer, {size:,} parameters, {len(train)} cases, {options.conformer} epochs"
        table.append(line(name, model, data, dev_rows(model, data), micros, options.tries))
    if options.int8:
        model = quantised(checkpoint.load(options.run[0] / "best.safetensors"))
        name = f"{options.run[0].name} in int8"
        table.append(line(name, model, data, dev_rows(model, data), tick_cost(model), options.tries))
    for run in options.run:
        model = checkpoint.load(run / "best.safetensors")
        size = sum(p.numel() for p in model.net.parameters())
        table.append(
            line(
                f"{run.name}, {size:,} parameters", model, data, dev_rows(model, data), tick_cost(model), options.tries
            )
        )
    for row in table:
        person = row["person"]
        print(
            f"{row['name']}\n  accuracy {percent(row['accuracy'])}; people {percent(row['recall']['live_person'])}; "
            f"machines {percent(row['recall']['answering_machine'])}\n  short people since first word "
            f"{person['shortSinceFirstWordMs']}; long since they stopped {person['longSinceTurnEndMs']}; machines "
            f"since first word {row['machineSinceFirstWordMs']}\n  ECE {row['ece']}; {row['microsATick']} µs a tick"
        )
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0
