"""Give a trained network more memory without forgetting anything: a run that begins where a smaller one ended.

    python -m training.widen --start shipped --listening 128 --hidden 160 --out runs/wide.safetensors
    python -m training.train --data DIR --start runs/wide.safetensors --out runs/mine

The new units of a GRU hear the old ones, and nobody hears them yet: the wider network says what the smaller one said,
and has room to learn (after Chen et al., "Net2Net", 2016).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from amd_model import checkpoint
from amd_model.checkpoint import CheckpointError
from amd_model.network import AmdNet
from training.train import weights_of

_GATES = 3


def widened(net: AmdNet, listening: int, hidden: int, seed: int = 1) -> AmdNet:
    """The same function with larger GRUs. Raises ValueError for one that is smaller than it was."""
    old = net.spec
    if listening < old.listening or hidden < old.hidden:
        raise ValueError(f"cannot shrink: listening is {old.listening}, hidden is {old.hidden}")
    torch.manual_seed(seed)
    wide = AmdNet(replace(old, listening=listening, hidden=hidden))
    for name in ("frames", "tick", "tone"):
        wide.get_submodule(name).load_state_dict(net.get_submodule(name).state_dict())
    wide.temperature.copy_(net.temperature)
    with torch.no_grad():
        _grow(wide.listening, net.listening, list(range(old.embedding)))
        after = old.embedding + listening  # where the speech probabilities stand now
        heard = [*range(old.embedding + old.listening), *range(after, after + net.speech.out_features)]
        _grow(wide.judging, net.judging, heard)
        _widen(wide.speech, net.speech)
        _widen(wide.classes, net.classes)
    return wide.eval()


def _grow(wide: nn.GRU, small: nn.GRU, inputs: list[int]) -> None:
    """Copy a GRU into the first units of a larger one; ``inputs`` are the places where its inputs are found there."""
    for name, value in small.named_parameters():
        target: Tensor = wide.get_parameter(name)
        ours = target.view(_GATES, wide.hidden_size, -1)
        theirs = value.view(_GATES, small.hidden_size, -1)
        places = inputs if name.startswith("weight_ih") else list(range(theirs.shape[2]))
        if name.startswith("weight"):
            ours[:, : small.hidden_size] = 0.0
        ours[:, : small.hidden_size, places] = theirs


def _widen(wide: nn.Linear, small: nn.Linear) -> None:
    """Copy a layer; what comes in beyond its inputs counts for nothing yet."""
    wide.weight.zero_()
    wide.weight[:, : small.in_features] = small.weight
    wide.bias.copy_(small.bias)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 1 when the weights or the sizes are refused."""
    parser = argparse.ArgumentParser("python -m training.widen", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--start", default="shipped", help="'shipped', a run's folder or a weights file")
    parser.add_argument("--listening", type=int, help="units of the GRU that listens (default: as it is)")
    parser.add_argument("--hidden", type=int, help="units of the GRU that judges (default: as it is)")
    parser.add_argument("--out", type=Path, required=True, help="a weights file")
    options = parser.parse_args(argv)
    try:
        model = checkpoint.load(weights_of(options.start))
        spec = model.net.spec
        net = widened(model.net, options.listening or spec.listening, options.hidden or spec.hidden)
    except (CheckpointError, ValueError) as error:
        print(f"not widened: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(options.out, net, f"{model.version}-wide", model.policy, model.notes)
    print(f"{options.out}: {sum(value.numel() for value in net.parameters()):,} parameters")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
