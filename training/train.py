"""Train the detector: composed cases → a run folder with weights, curves and a report on dev.

    python -m training.train --data DIR [--data DIR …] --out RUN [--cases 20000] [--epochs 20] [--seed 1] [--resume]
        [--start RUN]

Each DIR holds a ``manifest.tsv`` (see ``training.manifest``). The same seed, data and options give the same
weights on the same machine. The GPU is used when there is one. ``RUN/config.json`` is what was asked,
``RUN/curves.jsonl`` a line an epoch, ``RUN/last.pt`` what ``--resume`` continues from, ``RUN/best.safetensors``
(with its card) the epoch that did best on the dev split, whose composition follows other laws than training's.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from amd_model import checkpoint
from amd_model.decision import Policy
from amd_model.features import mel_hz
from amd_model.network import AmdNet, Logits
from amd_model.spec import FRAMES_PER_TICK, MELS, TICK_MS, ModelSpec
from training.dataset import CALL, Shard, dev_data, train_data
from training.manifest import ManifestError
from training.spelling import Spelling

SHIPPED, NOTHING = "shipped", "nothing"
ENOUGH_DEV = 300
"""Cases of dev below which temperature and thresholds would fit its accidents: an error rate of 3 % is nine of them."""
MOST_SKIPPED = 6
"""Ticks cut off an answer's beginning, in every second batch: the same answer, heard from later on."""
SETTLED_MS = 1_300
"""Silence after which the decision's even odds have fallen (1.2 s by default)."""
LEVEL, TILT, BEND = 0.15, 0.25, 0.1
"""How far a microphone's level and its response's tilt and bends vary: standard deviations in the features' 20 dB."""


@dataclass(frozen=True, slots=True)
class Config:
    """One run; written into its folder."""

    data: tuple[str, ...]
    cases: int = 20_000
    dev_cases: int = 2_000
    epochs: int = 20
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.2
    ema: float = 0.998
    seed: int = 1
    conv_channels: int = 64
    embedding: int = 96
    listening: int = 64
    hidden: int = 128
    processes: int = 2
    call_share: float = 0.2
    start: str = ""  # what is gone on from (see ``weights_of``), which then gives the shape; "": from nothing
    spelling: float = 0.3  # weight of the phones' loss (see ``training.spelling``); nothing where no text is known
    precision: str = "float32"  # or bfloat16: a third faster on CPUs that have it; the weights stay float32

    @property
    def spec(self) -> ModelSpec:
        """The network's shape."""
        return ModelSpec(self.conv_channels, self.embedding, self.listening, self.hidden)

    def shaped_as(self, spec: ModelSpec) -> Config:
        """The same run of a network of this shape."""
        return replace(
            self,
            conv_channels=spec.conv_channels,
            embedding=spec.embedding,
            listening=spec.listening,
            hidden=spec.hidden,
        )


WARP = 0.06
"""How far a speaker's vocal tract varies: standard deviation of the logarithm of its length."""

_CENTRES = np.array(mel_hz()[1:-1])
_SHAPES = np.stack([np.cos(np.pi * k * np.linspace(0, 1, MELS)) for k in (1, 2, 3)]).astype(np.float32)
"""[3, MELS]: a tilt and two bends over the bands."""


class Trainable(Protocol):
    """What the losses need of a network; ``training.conformer`` has it too."""

    def initial_state(self, batch: int) -> Tensor:
        """[B, S] of zeros."""

    def logits(self, features: Tensor, state: Tensor, dropout: float = 0.0) -> Logits:
        """What every tick holds."""


def weights_of(start: str) -> Path:
    """The weights that a run goes on from: ``shipped``, a run's folder, or a weights file."""
    if start == SHIPPED:
        return checkpoint.SHIPPED
    return Path(start) / "best.safetensors" if Path(start).is_dir() else Path(start)


def tick_weights(first_word_ms: Tensor, speech: Tensor, known: Tensor) -> Tensor:
    """[B], [B, ticks·5] of 0 and 1, [B] of 0 and 1 → [B, ticks]. What counts is while a verdict may be due.

    Before the first word only the prior can be known; after ``SETTLED_MS`` of silence the decision has been taken.
    The weight depends on what can be heard (never on the label or on what comes later), so that the posterior stays a
    probability. Where nobody wrote down who speaks when (``known`` is 0) no silence is counted.
    """
    spoken = speech.reshape(len(speech), -1, FRAMES_PER_TICK).amax(dim=2) > 0.5
    number = torch.arange(1, spoken.shape[1] + 1, device=speech.device)
    last = torch.where(spoken, number, 0).cummax(dim=1).values
    settled = (last > 0) & ((number - last) * TICK_MS > SETTLED_MS) & (known[:, None] > 0.5)
    since = number * TICK_MS - first_word_ms[:, None]
    weight = torch.where(since < 0, 0.15, torch.where(settled, 0.25, torch.where(since < 6_000, 1.0, 0.5)))
    return torch.where(first_word_ms[:, None] < 0, 0.4, weight)


def _weights(batch: dict[str, Tensor]) -> Tensor:
    return tick_weights(batch["first_word_ms"], batch["speech"], batch["known"]) * batch["heard"]


def loss_of(
    net: Trainable, batch: dict[str, Tensor], dropout: float, spelling: Spelling | None = None, share: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Class loss of every tick, plus speech (frames) and tone (ticks), and phones where somebody spells them."""
    state = net.initial_state(len(batch["label"])).to(batch["label"].device)
    classes, speech, tone, _, evidence = net.logits(batch["features"], state, dropout)
    ticks = classes.shape[1]
    target = batch["label"][:, None].expand(-1, ticks)
    per_tick = nn.functional.cross_entropy(classes.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    weight = _weights(batch)
    main = (per_tick * weight).sum() / weight.sum()
    known = batch["known"][:, None]
    total = known.sum().clamp(min=1.0)
    losses = nn.functional.binary_cross_entropy_with_logits(speech.flatten(1), batch["speech"], reduction="none")
    spoken = (losses * known).sum() / total / losses.shape[1]
    losses = nn.functional.binary_cross_entropy_with_logits(tone[..., 0], batch["tone"], reduction="none")
    toned = (losses * known).sum() / total / losses.shape[1]
    parts = {"classes": main.item(), "speech": spoken.item(), "tone": toned.item()}
    total_loss = main + spoken + 0.3 * toned
    if spelling is not None:
        spelt = spelling.loss(evidence, batch["spans"], batch["phones"])
        parts["phones"] = spelt.item()
        total_loss = total_loss + share * spelt
    return total_loss, parts


def batch_of(
    data: Shard, rows: np.ndarray[Any, Any], device: torch.device, random: np.random.Generator | None
) -> dict[str, Tensor]:
    """Rows of a shard as tensors; with a generator, varied: voice, level, response, one band, first sample."""
    skip = int(random.integers(1, MOST_SKIPPED + 1)) if random is not None and random.random() < 0.5 else 0
    feats = torch.from_numpy(data.features[rows, skip * FRAMES_PER_TICK :].astype(np.float32))
    first = data.first_word_ms[rows]
    ticks = feats.shape[1] // FRAMES_PER_TICK
    ends = (np.arange(ticks) + 1 + skip) * TICK_MS
    if random is not None:
        count = len(rows)
        level = torch.from_numpy(random.normal(0, LEVEL, (count, 1, 1)).astype(np.float32))
        sizes = random.normal(0, (TILT, BEND, BEND), (count, 3)).astype(np.float32)
        response = torch.from_numpy(sizes @ _SHAPES)[:, None]
        feats[:, :, :MELS] = torch.clamp(warped(feats[:, :, :MELS], random) + level + response, min=-2.0)
        feats[:, :, MELS + 4] = torch.clamp(feats[:, :, MELS + 4] + level[:, :, 0], min=-2.0)
        for row in np.flatnonzero(random.random(count) < 0.4):
            low = int(random.integers(0, MELS - 4))
            feats[row, :, low : low + int(random.integers(1, 6))] = feats[row, :, :MELS].mean()
    spans = data.spans[rows].astype(np.int64) - skip * FRAMES_PER_TICK
    phones = np.where(spans[:, :, :1] >= 0, data.phones[rows], 0).astype(np.int64)
    return {
        "features": feats.to(device),
        "label": torch.from_numpy(data.label[rows].astype(np.int64)).to(device),
        "speech": torch.from_numpy(data.speech[rows, skip * FRAMES_PER_TICK :].astype(np.float32)).to(device),
        "tone": torch.from_numpy(data.tone[rows, skip:].astype(np.float32)).to(device),
        "first_word_ms": torch.from_numpy(np.where(first < 0, -1, np.maximum(0, first - skip * TICK_MS))).to(device),
        "heard": torch.from_numpy((ends[None] <= data.heard_ms[rows, None]).astype(np.float32)).to(device),
        "known": torch.from_numpy((data.kind[rows] != CALL).astype(np.float32)).to(device),
        "spans": torch.from_numpy(spans).to(device),
        "phones": torch.from_numpy(phones[:, :, : max(1, int((phones > 0).sum(axis=2).max()))]).to(device),
    }


def warped(bands: Tensor, random: np.random.Generator) -> Tensor:
    """[B, frames, MELS] as if every speaker had a vocal tract of another length: frequencies scaled by one factor.

    After Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", 2013.
    """
    factors = np.exp(np.clip(random.normal(0.0, WARP, (len(bands), 1)), -2.5 * WARP, 2.5 * WARP))
    places = np.stack([np.interp(row, _CENTRES, np.arange(MELS)) for row in _CENTRES * factors])
    # Each new band lies between two old ones: a matrix a speaker, as a product is much faster than picking them out.
    weights = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(MELS)[:, None])).astype(np.float32)
    return torch.bmm(bands, torch.from_numpy(weights))


def dev_loss(net: AmdNet, data: Shard, device: torch.device, spelling: Spelling | None = None) -> dict[str, float]:
    """Mean losses and the share of ticks at which a verdict may be due whose likeliest class is right."""
    net.eval()
    sums: dict[str, float] = {}
    right = total = 0.0
    batches = 0
    with torch.inference_mode():
        for start in range(0, len(data), 250):
            batch = batch_of(data, np.arange(start, min(len(data), start + 250)), device, None)
            _, parts = loss_of(net, batch, 0.0, spelling)
            classes, *_ = net.logits(batch["features"], net.initial_state(len(batch["label"])).to(device))
            weight = (_weights(batch) > 0.3).float()
            right += float(((classes.argmax(-1) == batch["label"][:, None]) * weight).sum())
            total += float(weight.sum())
            batches += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
    net.train()
    return {**{name: value / batches for name, value in sums.items()}, "ticks_right": right / total}


def fit_temperature(net: AmdNet, data: Shard, device: torch.device) -> float:
    """The one number by which logits are divided so that dev's likelihood is best (calibration)."""
    logits, targets, weights = [], [], []
    net.eval()
    with torch.inference_mode():
        for start in range(0, len(data), 250):
            batch = batch_of(data, np.arange(start, min(len(data), start + 250)), device, None)
            classes, *_ = net.logits(batch["features"], net.initial_state(len(batch["label"])).to(device))
            logits.append(classes.flatten(0, 1))
            targets.append(batch["label"][:, None].expand(-1, classes.shape[1]).flatten())
            weights.append(_weights(batch).flatten())
    every, target, weight = torch.cat(logits), torch.cat(targets), torch.cat(weights)
    grid = [0.6 + 0.05 * step for step in range(60)]
    losses = [
        float((nn.functional.cross_entropy(every / value, target, reduction="none") * weight).sum()) for value in grid
    ]
    return grid[int(np.argmin(losses))]


def train(config: Config, out: Path, cache: Path, resume: bool = False, quiet: bool = False) -> dict[str, float]:
    """Run it; returns the best epoch's dev figures. Raises ManifestError for bad data."""
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    folders = [Path(folder) for folder in config.data]
    data = train_data(folders, cache, config.cases, config.call_share, config.processes)
    dev = dev_data(folders, cache, config.dev_cases, config.processes)
    policy, temperature = Policy(), 1.0
    if config.start:
        known = checkpoint.load(weights_of(config.start))
        config, policy, temperature = config.shaped_as(known.spec), known.policy, float(known.net.temperature)
    net = AmdNet(config.spec).to(device)
    if config.start:
        net.load_state_dict({**known.net.state_dict(), "temperature": torch.ones(())})
    spells = config.spelling > 0.0 and bool(data.phones.any())
    spelling = Spelling(net.judging.input_size).to(device) if spells else None
    learning = nn.ModuleList([net] if spelling is None else [net, spelling])
    averages = copy.deepcopy(learning)
    average = averages[0]
    assert isinstance(average, AmdNet)
    speller = averages[1] if spells else None
    assert speller is None or isinstance(speller, Spelling)
    optimiser = torch.optim.AdamW(learning.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(len(data) / config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=steps + 1, pct_start=0.1)
    first, best = 0, {"classes": math.inf}
    if resume and (out / "last.pt").is_file():
        saved = torch.load(out / "last.pt", map_location=device, weights_only=True)
        learning.load_state_dict(saved["learning"])
        averages.load_state_dict(saved["averages"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        first, best = int(saved["epoch"]) + 1, dict(saved["best"])
        for _ in range(first):
            random.permutation(len(data))
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
    if config.start and not first:
        # What is gone on from is the first to beat: a run on few recordings may well make it worse.
        best = dev_loss(average, dev, device)
        _keep(average, out, config, best, policy, temperature)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    step = first * math.ceil(len(data) / config.batch)
    with Progress(*columns, disable=quiet) as progress:
        for epoch in range(first, config.epochs):
            started = time.perf_counter()
            order = random.permutation(len(data))
            vary = np.random.default_rng((config.seed, epoch))
            seen: dict[str, float] = {}
            task = progress.add_task(f"epoch {epoch + 1}/{config.epochs}", total=math.ceil(len(order) / config.batch))
            for start in range(0, len(order), config.batch):
                batch = batch_of(data, np.sort(order[start : start + config.batch]), device, vary)
                with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                    loss, parts = loss_of(net, batch, config.dropout, spelling, config.spelling)
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                step += 1
                _average(averages, learning, min(config.ema, 1.0 - 1.0 / (1 + step / 4)))
                for name, value in parts.items():
                    seen[name] = seen.get(name, 0.0) + value
                progress.advance(task)
            batches = math.ceil(len(order) / config.batch)
            figures = dev_loss(average, dev, device, speller)
            line = {
                "epoch": epoch + 1,
                "seconds": round(time.perf_counter() - started, 1),
                **{f"train_{name}": round(value / batches, 4) for name, value in seen.items()},
                **{f"dev_{name}": round(value, 4) for name, value in figures.items()},
            }
            with (out / "curves.jsonl").open("a" if epoch else "w", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            progress.console.print(json.dumps(line))
            if figures["classes"] < best["classes"]:
                best = figures
                if len(dev) >= ENOUGH_DEV:
                    temperature = fit_temperature(average, dev, device)
                _keep(average, out, config, figures, policy, temperature)
            torch.save(
                {
                    "learning": learning.state_dict(), "averages": averages.state_dict(),
                    "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                    "epoch": epoch, "best": best,
                },
                out / "last.pt",
            )  # fmt: skip
    return best


def _average(average: nn.Module, learning: nn.Module, keep: float) -> None:
    """Weights averaged over steps generalise better than the last ones, at no cost in serving."""
    with torch.no_grad():
        for ours, theirs in zip(average.parameters(), learning.parameters(), strict=True):
            ours.lerp_(theirs, 1.0 - keep)


def keep_run(
    net: AmdNet, out: Path, config: Config, dev: Shard, device: torch.device, figures: dict[str, float], policy: Policy
) -> None:
    """A run's folder for a network that was made in another way: configuration, and weights calibrated on dev."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
    temperature = fit_temperature(net, dev, device) if len(dev) >= ENOUGH_DEV else 1.0
    _keep(net, out, config, figures, policy, temperature)


def _keep(
    net: AmdNet, out: Path, config: Config, figures: dict[str, float], policy: Policy, temperature: float
) -> None:
    net.eval()
    net.temperature.fill_(temperature)
    checkpoint.save(
        out / "best.safetensors",
        net,
        f"{out.name}-s{config.seed}",
        policy,
        {"dev": {name: round(value, 4) for name, value in figures.items()}, "config": asdict(config)},
    )
    net.temperature.fill_(1.0)


def main(argv: list[str] | None = None) -> int:
    """Command line; 0 when the run finished."""
    parser = argparse.ArgumentParser("python -m training.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="a folder with manifest.tsv; repeatable"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/model"), help="the run's folder (default %(default)s)")
    parser.add_argument("--cache", type=Path, help="where composed cases are kept (default: OUT/../cases)")
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    parser.add_argument("--threads", type=int, default=1)
    for name, value in asdict(Config(())).items():
        if name != "data":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    fields = {name: getattr(options, name) for name in asdict(Config(())) if name != "data"}
    config = Config(data=tuple(str(folder) for folder in options.data), **fields)
    try:
        best = train(config, options.out, options.cache or options.out.parent / "cases", options.resume)
    except (ManifestError, checkpoint.CheckpointError) as error:
        print(f"training not started: {error}", file=sys.stderr)
        return 1
    print(f"best on dev: {best}; next: python -m training.tune --run {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
