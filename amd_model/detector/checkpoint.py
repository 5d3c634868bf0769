"""Weights on disk: a safetensors file and beside it a JSON card with version, shape, policy and checksum.

A card that does not fit its weights, or weights of another format, are refused with words that say what to
do; nothing is ever unpickled. ``save`` is what ``training.learning.export`` calls.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from amd_model.detector.decision import DecisionState
from amd_model.detector.features import features
from amd_model.detector.network import AmdNet
from amd_model.detector.policy import Policy
from amd_model.detector.spec import FORMAT_VERSION, MELS, ModelSpec

SHIPPED: Final = Path(__file__).parents[1] / "weights" / "amd.safetensors"
MAX_BYTES: Final = 5 * 1024 * 1024
_WRITTEN: Final = ("version", "format", "spec", "policy", "parameters", "sha256")


class CheckpointError(Exception):
    """A model that must not be used; the message names the file, the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network ready to run and what its card says."""

    spec: ModelSpec
    net: AmdNet
    version: str
    policy: Policy = field(default_factory=Policy)
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def notes(self) -> dict[str, Any]:
        """What the card tells beside the fields that `save` writes itself: how the model was made."""
        return {name: value for name, value in self.card.items() if name not in _WRITTEN}

    def start(self) -> DecisionState:
        """The memory of a stream that has heard nothing, with this model's thresholds."""
        return DecisionState(self.policy, self.version)

    def tick(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """[B, CONTEXT+TICK] audio, [B, S] → [B, OUTPUTS] as ``spec`` orders them, [B, S]."""
        with torch.inference_mode():
            seen = features(samples)
            outputs, new_state = self.net.step(seen, state)
            return torch.cat((outputs, seen[:, :, MELS:].flatten(1)), dim=1), new_state


def card_path(weights: Path) -> Path:
    """The card's place: ``amd.safetensors`` has ``amd.json``."""
    return weights.with_suffix(".json")


def load(path: str | os.PathLike[str] | None = None) -> LoadedModel:
    """The shipped model, or the one at ``path``, in evaluation mode. Raises CheckpointError."""
    weights = Path(path) if path is not None else SHIPPED
    try:
        raw = weights.read_bytes() if weights.stat().st_size <= MAX_BYTES else None
        text = card_path(weights).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{weights.name}: cannot read the weights or their card: {error}") from error
    if raw is None:
        raise CheckpointError(f"{weights.name}: larger than {MAX_BYTES} bytes, so it is not a detector model")
    try:
        card = json.loads(text)
        version, checksum = str(card["version"]), card["sha256"]
        if card["format"] != FORMAT_VERSION:
            raise CheckpointError(
                f"{weights.name}: format {card['format']!r}, this program reads {FORMAT_VERSION}: "
                "export the model again with this release"
            )
        spec, policy = ModelSpec.from_json(card["spec"]), Policy.from_json(card["policy"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{card_path(weights).name}: not a model card: {error}") from error
    if hashlib.sha256(raw).hexdigest() != checksum:
        raise CheckpointError(f"{weights.name}: checksum differs from its card: copy both files again")
    net = AmdNet(spec)
    try:
        net.load_state_dict(load_tensors(raw))
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{weights.name}: the tensors do not fit the card's shape: {error}") from error
    return LoadedModel(spec, net.eval(), version, policy, card)


def save(
    path: Path, net: AmdNet, version: str, policy: Policy | None = None, extra: dict[str, Any] | None = None
) -> None:
    """Write weights and card; each is renamed into place, the card last, so a reader never sees half a file."""
    raw = save_tensors({name: tensor.detach().contiguous().cpu() for name, tensor in net.state_dict().items()})
    if len(raw) > MAX_BYTES:
        raise CheckpointError(f"{path.name}: {len(raw)} bytes, the limit is {MAX_BYTES}: train a smaller network")
    card = {
        **(extra or {}),
        "version": version,
        "format": FORMAT_VERSION,
        "spec": net.spec.to_json(),
        "policy": (policy or Policy()).to_json(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, content in ((path, raw), (card_path(path), (json.dumps(card, indent=1) + "\n").encode())):
        partial = target.with_name(target.name + ".part")
        partial.write_bytes(content)
        os.replace(partial, target)
