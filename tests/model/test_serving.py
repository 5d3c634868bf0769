"""The worker's own sums say what torch's network says, or torch is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from amd_model.detector import checkpoint
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import CONTEXT_SAMPLES, OUTPUTS, TICK_SAMPLES, ModelSpec
from amd_model.worker.serving import TOLERANCE, Ticker

pytestmark = pytest.mark.model

WINDOW = CONTEXT_SAMPLES + TICK_SAMPLES


def model(net: AmdNet) -> checkpoint.LoadedModel:
    return replace(checkpoint.load(), net=net.eval(), spec=net.spec)


def differences(ticker: Ticker, loaded: checkpoint.LoadedModel, ticks: int = 60, streams: int = 5) -> float:
    """The furthest that any output lies from torch's, over a few seconds of noises of many levels."""
    random = np.random.default_rng(3)
    theirs = loaded.net.initial_state(streams)
    ours = theirs.numpy().copy()
    worst = 0.0
    for _ in range(ticks):
        level = 10 ** random.uniform(-4, -0.5, (streams, 1))
        samples = torch.from_numpy((random.standard_normal((streams, WINDOW)) * level).astype(np.float32))
        wanted, theirs = loaded.tick(samples, theirs)
        rows, ours = ticker.tick(samples, ours)
        assert rows.shape == (streams, OUTPUTS)
        worst = max(worst, float(np.abs(rows - wanted.numpy()).max()))
    assert np.abs(ours - theirs.numpy()).max() <= TOLERANCE
    return worst


def test_the_shipped_network_is_run_by_us_and_says_the_same() -> None:
    loaded = checkpoint.load()
    ticker = Ticker(loaded)
    assert ticker.own
    assert differences(ticker, loaded) <= 1e-5


def test_any_size_and_temperature() -> None:
    torch.manual_seed(1)
    net = AmdNet(ModelSpec(conv_channels=24, embedding=20, listening=12, hidden=16))
    net.temperature.fill_(1.7)
    ticker = Ticker(model(net))
    assert ticker.own
    assert differences(ticker, model(net)) <= 1e-5


class Louder(AmdNet):
    """Another network under the same names."""

    def step(self, features: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs, after = super().step(features, state)
        return outputs**2, after


class Renamed(AmdNet):
    """A network without one of the layers that we know."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.embed = self.tick
        del self.tick

    def step(self, features: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.tick = self.embed
        try:
            return super().step(features, state)
        finally:
            del self.tick


@pytest.mark.parametrize("kind", [Louder, Renamed])
def test_a_network_that_we_do_not_know_is_run_by_torch(kind: type[AmdNet]) -> None:
    torch.manual_seed(1)
    loaded = model(kind(ModelSpec()))
    ticker = Ticker(loaded)
    assert not ticker.own
    assert differences(ticker, loaded, ticks=3) == 0.0
