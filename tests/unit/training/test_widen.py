"""A wider network says what the smaller one said, until it learns more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from amd_model import checkpoint
from amd_model.network import AmdNet
from amd_model.spec import FEATURES, ModelSpec
from training import widen
from training.widen import widened

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("listening", "hidden"), [(7, 9), (12, 9), (7, 15), (20, 30)])
def test_the_same_function_and_all_new_units_alive(listening: int, hidden: int) -> None:
    torch.manual_seed(3)
    net = AmdNet(ModelSpec(conv_channels=6, embedding=8, listening=7, hidden=9)).eval()
    net.temperature.fill_(1.3)
    wide = widened(net, listening, hidden)
    heard = torch.randn(2, 40, FEATURES)
    with torch.inference_mode():
        before, _ = net(heard, net.initial_state(2))
        after, state = wide(heard, wide.initial_state(2))
    torch.testing.assert_close(after, before)
    assert state.shape[1] == net.spec.state_size + listening - 7 + hidden - 9
    new = state[:, 2 * FEATURES + 7 : 2 * FEATURES + listening]
    assert bool((new != 0).all())


def test_a_network_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="listening is 7"):
        widened(AmdNet(ModelSpec(4, 4, 7, 9)), 6, 9)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "wide.safetensors"
    assert widen.main(["--listening", "72", "--out", str(target)]) == 0
    shipped, wide = checkpoint.load(), checkpoint.load(target)
    assert wide.spec.listening == 72
    assert (wide.spec.hidden, wide.policy) == (shipped.spec.hidden, shipped.policy)
    assert widen.main(["--listening", "4", "--out", str(target)]) == 1
    assert "cannot shrink" in capsys.readouterr().err
    assert widen.main(["--start", str(tmp_path / "none"), "--out", str(target)]) == 1
