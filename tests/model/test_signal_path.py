"""Features and network: the same numbers in one go, tick by tick, alone and in a batch."""

import numpy as np
import pytest
import torch

from amd_model.detector.checkpoint import load
from amd_model.detector.features import context_samples, features
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import (
    CONTEXT_SAMPLES,
    FEATURES,
    FRAMES_PER_TICK,
    MELS,
    NET_OUTPUTS,
    OUTPUTS,
    TICK_SAMPLES,
    ModelSpec,
)
from amd_model.evaluation.evaluate import rows_of
from training.composition.dataset import features_of

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def audio():
    random = np.random.default_rng(1)
    time = np.arange(24_000) / 8_000
    wave = 0.2 * np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 1.5 * time) > 0)
    return (wave + 0.01 * random.standard_normal(24_000)).astype(np.float32)


def test_a_tone_stands_where_it_is(audio):
    hertz = 1_234.0
    wave = np.sin(2 * np.pi * hertz * np.arange(960) / 8_000).astype(np.float32)
    seen = features(torch.from_numpy(wave)[None])[0]
    assert seen.shape == (FRAMES_PER_TICK, FEATURES)
    assert seen[:, MELS].numpy() == pytest.approx(hertz / 1_000, abs=0.002)
    assert (seen[:, MELS + 1] > 0.99).all()
    level = (seen[:, MELS + 4] - 2.5) * 20
    assert level.numpy() == pytest.approx(1.8, abs=0.3), "a full-scale sine, its lobe 1.8 dB above its peak bin"


def test_silence_is_finite_and_at_the_floor():
    seen = features(torch.zeros(2, 960))
    assert torch.isfinite(seen).all()
    assert (seen[:, :, :MELS] == -2.0).all()
    assert (seen[:, :, MELS + 1] == 0.0).all()


def test_features_do_not_depend_on_where_the_signal_was_cut(audio):
    whole = features_of(audio)
    assert context_samples == CONTEXT_SAMPLES
    padded = np.concatenate((np.zeros(CONTEXT_SAMPLES, np.float32), audio))
    for tick in range(30):
        window = torch.from_numpy(padded[tick * TICK_SAMPLES : tick * TICK_SAMPLES + 960])[None]
        piece = features(window)[0].numpy()
        np.testing.assert_allclose(piece, whole[tick * 5 : tick * 5 + 5], atol=2e-4)


def test_steps_equal_the_whole_sequence(audio):
    torch.manual_seed(1)
    net = AmdNet(ModelSpec()).eval()
    seen = torch.from_numpy(features_of(audio))[None]
    with torch.inference_mode():
        whole, last = net(seen, net.initial_state(1))
        state = net.initial_state(1)
        for tick in range(30):
            outputs, state = net.step(seen[:, tick * 5 : tick * 5 + 5], state)
            assert outputs.shape == (1, NET_OUTPUTS)
            torch.testing.assert_close(outputs, whole[:, tick], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-4)


def test_a_batch_gives_each_stream_what_it_would_get_alone(audio):
    model = load()
    windows = torch.from_numpy(np.stack([audio[i * 960 : i * 960 + 960] for i in range(8)]))
    states = torch.randn(8, model.spec.state_size) * 0.1
    together, after = model.tick(windows, states)
    assert together.shape == (8, OUTPUTS)
    for row in range(8):
        alone, state = model.tick(windows[row : row + 1], states[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(state[0], after[row], atol=1e-4, rtol=1e-3)


def test_the_future_changes_nothing(audio):
    model = load()
    other = audio.copy()
    other[16_000:] = 0.5
    np.testing.assert_allclose(rows_of(model, audio)[:20], rows_of(model, other)[:20], atol=1e-5)


def test_probabilities_are_probabilities(audio):
    rows = rows_of(load(), audio)
    assert rows.shape == (30, OUTPUTS)
    np.testing.assert_allclose(rows[:, :4].sum(axis=1), 1.0, atol=1e-5)
    assert (rows[:, :10] >= 0).all()
    assert (rows[:, :10] <= 1).all()
    assert len(rows_of(load(), audio[:100])) == 0


def test_dropout_is_for_training_only():
    net = AmdNet(ModelSpec())
    seen = torch.randn(2, 10, FEATURES)
    net.train()
    first, *_ = net.logits(seen, net.initial_state(2), 0.5)
    second, *_ = net.logits(seen, net.initial_state(2), 0.5)
    assert not torch.equal(first, second)
    net.eval()
    first, *_ = net.logits(seen, net.initial_state(2), 0.5)
    second, *_ = net.logits(seen, net.initial_state(2))
    assert torch.equal(first, second)
