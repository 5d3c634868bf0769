"""One command from recordings to a measured model.

    python -m training recipe --data calls --out runs/mine          # make train DATA=calls RUN=runs/mine

``--data`` is a folder of labelled recordings (a folder per verdict, or ``labels.csv`` as ``fsbridge amd label`` writes
it) or of clips with a ``manifest.tsv``; it may be given more than once. What is done:

* recordings are copied to ``RUN/recordings`` as 8 kHz mono and split by speaker into train, dev and test;
* the shipped model learns from them (``--start`` names another, ``--start nothing`` none), beside composed answers
  where the clips allow any. If no epoch is better on dev than what was started from, that stays;
* the decision's thresholds are searched on dev, if dev has ``ENOUGH_DEV`` cases; else they stay as well;
* model and start are measured on the test recordings, which neither has seen, or on dev where there are none.

``RUN/report.html``, ``.json`` and ``.txt`` hold the figures; nothing is installed: ``python -m training export`` does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from amd_model.detector import checkpoint
from amd_model.detector.checkpoint import CheckpointError, LoadedModel
from amd_model.evaluation import evaluate, report
from amd_model.verdict import Verdict
from training.composition import cases as listing
from training.composition.dataset import Shard, dev_data, load_clips
from training.corpus.audio import copy_in
from training.corpus.importers import recordings
from training.corpus.manifest import SPLITS, Clip, ManifestError
from training.learning import train
from training.learning.train import ENOUGH_DEV, NOTHING, SHIPPED, Config
from training.studies import tune

RECORDINGS_EPOCHS, RECORDINGS_RATE = 30, 3e-4
"""For a model that goes on from recordings alone: a few hundred steps, small ones."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The corpora given, and what they allow."""

    folders: tuple[Path, ...]
    clips: tuple[Clip, ...]

    def counts(self) -> Counter[str]:
        """Recordings by split."""
        return Counter(clip.split for clip in self.clips if clip.verdict)

    def told(self) -> str:
        """The recordings by split and verdict, and what the test will say nothing of."""
        found = Counter((clip.split, clip.verdict) for clip in self.clips if clip.verdict)
        if not found:
            return "no recordings: answers are composed"
        verdicts = [verdict for verdict in Verdict if any(found[split, verdict] for split in SPLITS)]
        lines = ["recordings:"]
        for split in SPLITS:
            parts = [f"{found[split, verdict]} {verdict}" for verdict in verdicts if found[split, verdict]]
            lines.append(f"  {split}: {', '.join(parts) or 'none'}")
        if missing := [verdict for verdict in verdicts if not found["test", verdict]]:
            lines.append(f"  no {' and no '.join(missing)} in test: its figures will say nothing of them")
        return "\n".join(lines)

    def composable(self, split: str) -> bool:
        """Whether answers can be composed: there is speech of people who serve both classes."""
        return any(clip.split == split and clip.kind == "speech" for clip in self.clips)


def gather(data: Sequence[Path], out: Path, channel: int | None = None) -> Plan:
    """Folders with a manifest as they are, recordings imported. Raises ManifestError naming the folder."""
    folders = []
    for number, folder in enumerate(data):
        if not folder.is_dir():
            raise ManifestError(f"{folder}: no such folder")
        if (folder / "manifest.tsv").is_file() or any(folder.glob("*/manifest.tsv")):
            folders.append(folder)
            continue
        labels = folder / "labels.csv"
        target = out / ("recordings" if number == 0 else f"recordings-{number + 1}")
        if not copy_in(recordings(folder, labels if labels.is_file() else None), target, channel).clips:
            raise ManifestError(
                f"{folder}: no recordings: put them in folders named after the verdicts, or list them in labels.csv "
                "(file,label), or give a folder with a manifest.tsv"
            )
        folders.append(target)
    return Plan(tuple(folders), tuple(load_clips(folders)))


def measure(plan: Plan, run: Path, dev: Shard, models: Sequence[LoadedModel]) -> list[dict[str, Any]]:
    """A report's object for each model, on the same cases: the test recordings, or dev where there are none."""
    if plan.counts()["test"]:
        listed = evaluate.read_cases(listing.list_calls(plan.folders, "test", run / "test"))
        return [{"split": "test", **evaluate.evaluate(model, listed)[0]} for model in models]
    known = tune.dev_cases(dev)
    return [{"split": "dev", **tune.body_of(model, model.policy, known, tune.dev_rows(model, dev))} for model in models]


def beside(bodies: Sequence[dict[str, Any]]) -> str:
    """The figures that decide, one model a line."""
    lines = [f"on {bodies[0]['split']}:"]
    for body in bodies:
        recall = ", ".join(f"{name} {_percent(value)}" for name, value in body["recall"].items() if value["n"])
        lines.append(f"  {body['model']}: accuracy {_percent(body['accuracy'])}; found: {recall}")
    return "\n".join(lines)


def _percent(value: dict[str, Any]) -> str:
    """A rate with its interval, as the evaluation's object has it."""
    return f"{100 * value['value']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}] of {value['n']}"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 1 when the data or a model is refused."""
    parser = argparse.ArgumentParser("python -m training recipe", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/model"), help="the run's folder (default %(default)s)")
    parser.add_argument("--channel", type=int, help="stereo recordings: the far end's channel, from 0")
    parser.add_argument("--start", default=SHIPPED, help="a run, a weights file, 'shipped' (default) or 'nothing'")
    parser.add_argument("--cases", type=int, default=12_000, help="answers to compose, if the clips allow any")
    parser.add_argument("--dev-cases", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, help="default: as many as suit what is learnt from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    parser.add_argument("--processes", type=int, default=2, help="that compose answers")
    parser.add_argument("--tries", type=int, default=100, help="thresholds tried on dev")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    out: Path = options.out
    cache = out.parent / "cases"
    try:
        plan = gather(options.data, out, options.channel)
        print(plan.told())
        cases = options.cases if plan.composable("train") else 0
        dev_cases = options.dev_cases if plan.composable("dev") else 0
        start = "" if options.start == NOTHING else options.start
        config = replace(
            Config(data=tuple(str(folder) for folder in plan.folders)),
            cases=cases,
            dev_cases=dev_cases,
            epochs=options.epochs or (RECORDINGS_EPOCHS if not cases else 4 if start else 12),
            batch=64 if cases else 16,
            rate=(1e-3 if cases else RECORDINGS_RATE) if start else 3e-3,
            seed=options.seed,
            processes=options.processes,
            start=start,
        )
        train.train(config, out, cache, options.resume)
        print(f"kept: {train.kept(out)}")
        dev = dev_data(plan.folders, cache, dev_cases, options.processes)
        if len(dev) >= ENOUGH_DEV:
            tune.choose(out, dev, options.tries)
        else:
            print(f"thresholds stay: dev has {len(dev)} cases, {ENOUGH_DEV} are needed to choose others")
        before = checkpoint.load(train.weights_of(start)) if start else checkpoint.load()
        bodies = measure(plan, out, dev, [before, checkpoint.load(out / "best.safetensors")])
    except (ManifestError, CheckpointError, evaluate.EvaluationError) as error:
        print(f"no model: {error}", file=sys.stderr)
        return 1
    (out / "report.json").write_text(json.dumps(bodies[1]) + "\n", encoding="utf-8")
    (out / "report.html").write_text(report.as_html(bodies[1]), encoding="utf-8")
    (out / "report.txt").write_text(f"{report.as_text(bodies[1])}\n\n{beside(bodies)}\n", encoding="utf-8")
    print(beside(bodies))
    print(f"report: {out / 'report.html'}; to install: python -m training export --run {out} --version NAME")
    return 0
