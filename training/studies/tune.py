"""Find the decision's thresholds on dev and show what they give: thresholds are data, not taste.

    python -m training tune --run RUN [--cache DIR] [--tries 150] [--report]

Searches ``Policy`` at random for the lowest cost on dev: a person taken for anything else counts
``--person-cost``, every other mistake 1, each second waited a little, a person's dead air more. Writes the
policy into the run's card; ``--report`` prints the figures of the chosen one. Whether it holds elsewhere is for the
test split to show.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from amd_model.detector import checkpoint
from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.policy import Policy
from amd_model.detector.spec import CLASSES
from amd_model.evaluation import report
from amd_model.evaluation.evaluate import Labelled, events_of, operating_curve, outcome, rows_of_features
from amd_model.evaluation.metrics import Outcome, summarise
from amd_model.verdict import AmdOptions, Mode, Verdict
from training.composition.dataset import CALL, Shard, dev_data

PERSON_COST: Final = 4.0
DEAD_AIR: Final = 0.2  # a second of it, beyond what is aimed at: people hang up
_SECOND: Final = {Verdict.LIVE_PERSON: 0.04, Verdict.ANSWERING_MACHINE: 0.025, Verdict.FAX: 0.004, Verdict.UNKNOWN: 0.0}
_NO_RULE: Final = (Verdict.UNKNOWN, 0)


def dev_rows(model: LoadedModel, data: Shard) -> list[NDArray[np.float32]]:
    """Outputs of every case [ticks, OUTPUTS]."""
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(data), 200):
        seen = torch.from_numpy(data.features[start : start + 200].astype(np.float32))
        rows += list(rows_of_features(model, seen))
    return rows


def dev_cases(data: Shard) -> list[Labelled]:
    """The shard's truth in the evaluation's terms; subsets are kind, voice and how the case was made."""
    cases = []
    for i in range(len(data)):
        kind, voice = str(data.kind[i]), str(data.voice[i])
        label = CLASSES[data.label[i]]
        cases.append(
            Labelled(
                Path(f"{label.value}-{i}"),
                label,
                int(data.first_word_ms[i]),
                int(data.turn_end_ms[i]),
                int(data.beep_ms[i]),
                kind != CALL,
                (("kind", kind), ("voice", voice)),
            )
        )
    return cases


def outcomes_of(
    model: LoadedModel,
    policy: Policy,
    cases: Sequence[Labelled],
    rows: Sequence[NDArray[np.float32]],
    options: AmdOptions,
) -> list[Outcome]:
    """Every case decided with this policy."""
    return [
        outcome(case, row, events_of(model, row, options, policy), _NO_RULE)
        for case, row in zip(cases, rows, strict=True)
    ]


def cost(
    model: LoadedModel,
    policy: Policy,
    cases: Sequence[Labelled],
    rows: Sequence[NDArray[np.float32]],
    person_cost: float = PERSON_COST,
) -> float:
    """Mean cost a case of fast decisions with this policy."""
    options = AmdOptions()
    total = 0.0
    for case, row in zip(cases, rows, strict=True):
        event = events_of(model, row, options, policy)[0]
        if event.result is not case.label:
            total += person_cost if case.label is Verdict.LIVE_PERSON else 1.0
        waited = event.at_ms / 1_000
        if case.label is Verdict.LIVE_PERSON and case.turn_end_ms >= 0:
            # What is aimed at: 0.6 s after a long answer's end, 1 s after a short one's first word.
            aim = max(case.turn_end_ms + 600, case.first_word_ms + 1_000) / 1_000
            total += DEAD_AIR * min(1.0, max(0.0, waited - aim))
            waited = max(0.0, waited - case.turn_end_ms / 1_000)
        total += _SECOND[case.label] * waited
    return total / len(cases)


def search(
    model: LoadedModel,
    cases: Sequence[Labelled],
    rows: Sequence[NDArray[np.float32]],
    tries: int,
    seed: int,
    person_cost: float = PERSON_COST,
) -> tuple[Policy, float]:
    """Random search, then steps around the best; what the model has already is the first to beat."""
    random = np.random.default_rng(seed)
    best = model.policy
    lowest = cost(model, best, cases, rows, person_cost)
    for attempt in range(tries):
        if attempt < tries // 2:
            candidate = Policy(
                live=float(random.uniform(0.6, 0.985)),
                live_late=float(random.uniform(0.4, 0.95)),
                live_short=float(random.uniform(0.5, 1.0)),
                live_silence_ms=int(random.choice([150, 200, 250, 300, 400])),
                machine=float(1 - np.exp(random.uniform(np.log(0.004), np.log(0.2)))),
                machine_silence=float(1 - np.exp(random.uniform(np.log(0.01), np.log(0.4)))),
                fax=float(random.uniform(0.8, 0.99)),
                unknown=float(random.uniform(0.7, 0.99)),
            )
        else:
            nudged = {
                name: 1 - (1 - getattr(best, name)) * float(np.exp(random.normal(0, 0.3)))
                for name in ("live", "machine", "machine_silence", "fax", "unknown")
            }
            short = best.live_short + float(random.normal(0, 0.06))
            late = best.live_late + float(random.normal(0, 0.06))
            silence = max(100, best.live_silence_ms + int(random.choice([-50, 0, 50])))
            candidate = replace(
                best,
                live_late=max(0.05, late),
                live_short=min(1.0, max(0.3, short)),
                live_silence_ms=silence,
                **{n: max(0.05, v) for n, v in nudged.items()},
            )
        if candidate.live_late > candidate.live:  # the longer the silence, the lower the demand
            candidate = replace(candidate, live_late=candidate.live)
        value = cost(model, candidate, cases, rows, person_cost)
        if value < lowest:
            best, lowest = candidate, value
    rounded = {name: round(value, 4) for name, value in best.to_json().items()}
    return Policy.from_json({**rounded, "live_silence_ms": best.live_silence_ms}), lowest


def body_of(
    model: LoadedModel, policy: Policy, cases: Sequence[Labelled], rows: Sequence[NDArray[np.float32]]
) -> dict[str, Any]:
    """The evaluation's object for composed cases (the classic rule is not run on features)."""
    body = {
        "model": model.version,
        **summarise(outcomes_of(model, policy, cases, rows, AmdOptions(mode=Mode.MESSAGE_END))),
    }
    body["operatingCurve"] = operating_curve(replace(model, policy=policy), cases, rows)
    return body


def choose(run: Path, data: Shard, tries: int, person_cost: float = PERSON_COST) -> Policy:
    """Search on these cases and write what was found into the run's card. Raises CheckpointError."""
    path = run / "best.safetensors"
    model = checkpoint.load(path)
    policy, value = search(model, dev_cases(data), dev_rows(model, data), tries, 1, person_cost)
    print(f"policy {policy.to_json()}\ncost {value:.4f}")
    checkpoint.save(path, model.net, model.version, policy, model.notes)
    return policy


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m training tune", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--tries", type=int, default=150)
    parser.add_argument("--person-cost", type=float, default=PERSON_COST, help="in other mistakes (%(default)s)")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = checkpoint.load(options.run / "best.safetensors")
    config = json.loads((options.run / "config.json").read_text(encoding="utf-8"))
    cache = options.cache or options.run.parent / "cases"
    folders = [Path(folder) for folder in config["data"]]
    data = dev_data(folders, cache, config["dev_cases"], config["processes"])
    policy = choose(options.run, data, options.tries, options.person_cost) if options.tries else model.policy
    if options.report:
        body = body_of(model, policy, dev_cases(data), dev_rows(model, data))
        (options.run / "dev.json").write_text(json.dumps(body) + "\n", encoding="utf-8")
        print(report.as_text(body))
    return 0
