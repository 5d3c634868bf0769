"""Average the weights of two runs, the second of which went on from the first.

    python -m training average --run runs/a --run runs/b --share 0.6 --out runs/ab

What a network learns when it goes on with other material costs it some of what it knew; on the straight line between
before and after lies one that is better than both at either (Wortsman et al., "Robust fine-tuning of zero-shot
models", 2022). ``--share`` is the second run's part. It is chosen on dev: each is printed with its loss there, and the
lowest is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from amd_model.detector import checkpoint
from amd_model.detector.checkpoint import CheckpointError
from amd_model.detector.network import AmdNet
from training.composition.dataset import dev_data
from training.corpus.manifest import ManifestError
from training.learning.losses import dev_loss
from training.learning.train import Config, keep_run


def between(first: AmdNet, second: AmdNet, share: float) -> AmdNet:
    """The network at ``share`` of the way from the first to the second. Raises ValueError where their shapes differ."""
    if first.spec != second.spec:
        raise ValueError(f"the runs' networks differ in shape: {first.spec} and {second.spec}")
    ours, theirs = first.state_dict(), second.state_dict()
    net = AmdNet(first.spec)
    net.load_state_dict({name: torch.lerp(value, theirs[name], share) for name, value in ours.items()})
    net.temperature.fill_(1.0)
    return net.eval()


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 1 when a run or the data is refused."""
    parser = argparse.ArgumentParser("python -m training average", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", required=True, help="twice: before and after")
    parser.add_argument(
        "--share", type=float, action="append", help="of the second; repeatable (default 0.3, 0.5, 0.7)"
    )
    parser.add_argument("--cache", type=Path, help="where composed cases are kept (default: OUT/../cases)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    shares = options.share or [0.3, 0.5, 0.7]
    if len(options.run) != 2 or not all(0.0 <= share <= 1.0 for share in shares):
        parser.error("give --run twice, and shares from 0 to 1")
    torch.set_num_threads(1)
    device = torch.device("cpu")
    try:
        first, second = (checkpoint.load(run / "best.safetensors") for run in options.run)
        written = json.loads((options.run[1] / "config.json").read_text(encoding="utf-8"))
        config = Config(**{field.name: written[field.name] for field in fields(Config) if field.name in written})
        folders = [Path(folder) for folder in config.data]
        dev = dev_data(folders, options.cache or options.out.parent / "cases", config.dev_cases, config.processes)
        tried = []
        for share in shares:
            net = between(first.net, second.net, share)
            figures = dev_loss(net, dev, device)
            print(f"{share:.2f} of {options.run[1].name}: dev loss {figures['classes']:.4f}")
            tried.append((figures["classes"], share, net, figures))
    except (CheckpointError, ManifestError, OSError, ValueError) as error:
        print(f"not averaged: {error}", file=sys.stderr)
        return 1
    _, share, net, figures = min(tried, key=lambda one: one[0])
    keep_run(net, options.out, config, dev, device, figures, second.policy)
    print(f"kept {share:.2f}; next: python -m training tune --run {options.out}")
    return 0
