"""A model that does not fit its card is refused, and says why."""

import json

import pytest
import torch

from amd_model.detector import checkpoint
from amd_model.detector.checkpoint import SHIPPED, CheckpointError, card_path, load, save
from amd_model.detector.network import AmdNet
from amd_model.detector.policy import Policy
from amd_model.detector.spec import ModelSpec

pytestmark = pytest.mark.unit

SMALL = ModelSpec(conv_channels=4, embedding=4, listening=4, hidden=4)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, AmdNet(SMALL), "7", Policy(live=0.8), {"note": "x"})
    return path


def test_round_trip(saved):
    model = load(saved)
    assert (model.version, model.spec, model.policy.live, model.card["note"]) == ("7", SMALL, 0.8, "x")
    assert not model.net.training
    state = model.start()
    assert (state.version, state.policy) == ("7", model.policy)
    outputs, memory = model.tick(torch.zeros(3, 960), model.net.initial_state(3))
    assert outputs.shape == (3, 40)
    assert memory.shape == (3, SMALL.state_size)


def test_the_shipped_model_loads_and_is_small():
    model = load()
    assert SHIPPED.stat().st_size < 5 * 1024 * 1024
    assert model.version not in ("", "untrained")


def change(path, **values):
    body = json.loads(card_path(path).read_text())
    card_path(path).write_text(json.dumps({**body, **values}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": 99}, "format 99, this program reads"),
        ({"sha256": "0"}, "checksum differs"),
        ({"spec": {"hidden": 4}}, "not a model card: model spec"),
        ({"policy": {}}, "not a model card: policy"),
        ({"spec": {**SMALL.to_json(), "hidden": 8}}, "do not fit the card's shape"),
    ],
)
def test_a_card_that_does_not_fit(saved, values, words):
    change(saved, **values)
    with pytest.raises(CheckpointError, match=words):
        load(saved)


def test_damaged_or_missing_files(saved):
    saved.write_bytes(saved.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="checksum"):
        load(saved)
    card_path(saved).write_text("{")
    with pytest.raises(CheckpointError, match=r"m\.json: not a model card"):
        load(saved)
    saved.unlink()
    with pytest.raises(CheckpointError, match=r"m\.safetensors: cannot read"):
        load(saved)


def test_too_large(saved, monkeypatch):
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 100)
    with pytest.raises(CheckpointError, match="larger than 100 bytes"):
        load(saved)
    with pytest.raises(CheckpointError, match="train a smaller network"):
        save(saved, AmdNet(SMALL), "8")
    assert json.loads(card_path(saved).read_text())["version"] == "7"
