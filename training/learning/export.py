"""Install a trained model: weights and card where the worker loads them, checked by loading them again.

    python -m training export --run RUN --version 0.2.0 [--to amd_model/weights/amd.safetensors]

The old model is kept as ``amd.previous.*`` beside it; a running worker takes the new one on SIGHUP without
dropping streams.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from amd_model.detector import checkpoint
from training.learning.train import Config


def export(run: Path, version: str, target: Path) -> dict[str, Any]:
    """Write ``target`` and its card; returns the card. Raises CheckpointError and leaves the old files."""
    source = run / "best.safetensors"
    model = checkpoint.load(source)
    if target.is_file():
        for old in (target, checkpoint.card_path(target)):
            shutil.copy2(old, old.with_name(old.stem + ".previous" + old.suffix))
    notes = model.notes
    # Where the data lay on the training machine is nobody's business.
    config = {name: value for name, value in notes.get("config", {}).items() if name in Config.__slots__}
    for name in ("data", "start"):
        config.pop(name, None)
    checkpoint.save(target, model.net, version, model.policy, {**notes, "config": config})
    return checkpoint.load(target).card


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 when the run's model is refused."""
    parser = argparse.ArgumentParser("python -m training export", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--to", type=Path, default=checkpoint.SHIPPED)
    options = parser.parse_args(argv)
    try:
        card = export(options.run, options.version, options.to)
    except checkpoint.CheckpointError as error:
        print(f"not exported: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"installed": options.to.name, "version": card["version"], "parameters": card["parameters"]}))
    return 0
