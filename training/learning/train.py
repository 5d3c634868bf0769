"""Train the detector: composed cases → a run folder with weights, curves and a report on dev.

    python -m training train --data DIR [--data DIR …] --out RUN [--cases 20000] [--epochs 20] [--seed 1]
    [--resume]
        [--start RUN]

Each DIR holds a ``manifest.tsv`` (see ``training.corpus.manifest``). The same seed, data and options give the same
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

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from amd_model.detector import checkpoint
from amd_model.detector.network import AmdNet
from amd_model.detector.policy import Policy
from amd_model.detector.spec import ModelSpec
from training.composition.dataset import Shard, dev_data, train_data
from training.corpus.manifest import ManifestError
from training.learning.batches import batch_of
from training.learning.losses import dev_loss, fit_temperature, loss_of
from training.learning.spelling import Spelling

SHIPPED, NOTHING = "shipped", "nothing"
ENOUGH_DEV = 300
"""Cases of dev below which temperature and thresholds would fit its accidents: an error rate of 3 % is nine of them."""


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
    spelling: float = (
        0.3  # weight of the phones' loss (see ``training.learning.spelling``); nothing where no text is known
    )
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


def weights_of(start: str) -> Path:
    """The weights that a run goes on from: ``shipped``, a run's folder, or a weights file."""
    if start == SHIPPED:
        return checkpoint.SHIPPED
    return Path(start) / "best.safetensors" if Path(start).is_dir() else Path(start)


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
    if config.spelling > 0.0 and config.cases and not spells and not quiet:
        print("nothing is spelt: no clip has a text and a language, or espeak-ng is not installed")
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
        if "learning" not in saved:
            raise ManifestError(f"{out / 'last.pt'} is an older version's: begin anew, without --resume")
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


def kept(run: Path) -> str:
    """Which epoch the run's weights are of: the one whose dev loss the card tells, or what was started from."""
    loss = checkpoint.load(run / "best.safetensors").card["dev"]["classes"]
    lines = [json.loads(line) for line in (run / "curves.jsonl").read_text(encoding="utf-8").splitlines()]
    epoch = next((line["epoch"] for line in lines if line["dev_classes"] == loss), None)
    return "what was started from: no epoch was better on dev" if epoch is None else f"epoch {epoch}, the best on dev"


def main(argv: list[str] | None = None) -> int:
    """Command line; 0 when the run finished."""
    parser = argparse.ArgumentParser("python -m training train", description=(__doc__ or "").splitlines()[0])
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
    figures = ", ".join(f"{name} {value:.4f}" for name, value in best.items())
    print(f"kept: {kept(options.out)} ({figures}); next: python -m training tune --run {options.out}")
    return 0
