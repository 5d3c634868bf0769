"""The network as the worker runs it: one tick of many streams, in numpy.

The same sums as `amd_model.detector.network` in two thirds of the time: on a core without Intel's name torch's matrix
products and hyperbolic tangents run at half the speed of numpy's or less. `Ticker` takes a model's weights and proves
at its making that it says what the model says; a network of another shape than it knows is run by torch itself. It is
told a batch at a time and keeps nothing of the streams, so one serves many engines.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.features import features
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import (
    CLASSES,
    CONTEXT_SAMPLES,
    FEATURES,
    FRAMES_PER_TICK,
    MELS,
    NET_OUTPUTS,
    OUTPUTS,
    SPEECH,
    TICK_SAMPLES,
    TONE,
)

Floats = NDArray[np.float32]

TOLERANCE: Final = 2e-4
"""How far a probability may lie from torch's after a few ticks: rounding, and no more."""
_FRAMES: Final = 2
_CONTEXT: Final = _FRAMES * FEATURES
_PROOF_TICKS, _PROOF_STREAMS = 4, 8


class _Gru:
    """One step of torch's GRU (its gates in the order reset, update, new)."""

    def __init__(self, gru: torch.nn.GRU) -> None:
        weights = gru.state_dict()
        self._into, self._into_bias = _matrix(weights["weight_ih_l0"]), _array(weights["bias_ih_l0"])
        self._again, self._again_bias = _matrix(weights["weight_hh_l0"]), _array(weights["bias_hh_l0"])
        self.size = gru.hidden_size

    def step(self, given: Floats, before: Floats) -> Floats:
        """[B, in], [B, hidden] → [B, hidden]."""
        into, again = given @ self._into, before @ self._again
        into += self._into_bias
        again += self._again_bias
        size = self.size
        # Results in memory of their own: what is done to half of each row takes twice the time.
        gates = into[:, : 2 * size] + again[:, : 2 * size]
        _sigmoid(gates)
        new = again[:, 2 * size :] * gates[:, :size]
        new += into[:, 2 * size :]
        np.tanh(new, out=new)
        after: Floats = before - new
        after *= gates[:, size:]
        after += new
        return after


class _Net:
    """`AmdNet.step` in numpy. Raises AttributeError, KeyError or ValueError for a network made otherwise."""

    def __init__(self, net: AmdNet) -> None:
        channels = net.spec.conv_channels
        # [out, in, frame] → [frame · in, out]: a frame with its two before it is one stretch of memory.
        self._frames = np.ascontiguousarray(_array(net.frames.weight).transpose(2, 1, 0).reshape(-1, channels))
        self._frames_bias = _array(net.state_dict()["frames.bias"])
        self._tick, self._tick_bias = _matrix(net.tick.weight), _array(net.tick.bias)
        self._speech, self._speech_bias = _matrix(net.speech.weight), _array(net.speech.bias)
        self._tone, self._tone_bias = _matrix(net.tone.weight), _array(net.tone.bias)
        self._classes, self._classes_bias = _matrix(net.classes.weight), _array(net.classes.bias)
        self._temperature = float(net.temperature)
        self._listening, self._judging = _Gru(net.listening), _Gru(net.judging)

    def step(self, seen: Floats, state: Floats, outputs: Floats) -> Floats:
        """[B, 5, F], [B, S] → [B, S]; the probabilities go into `outputs` [B, NET_OUTPUTS]."""
        batch, listening = len(seen), self._listening.size
        frames = np.concatenate((state[:, :_CONTEXT].reshape(batch, _FRAMES, FEATURES), seen), axis=1)
        width = (_FRAMES + 1) * FEATURES
        step, one = FEATURES * frames.itemsize, frames.itemsize
        shape, strides = (batch, FRAMES_PER_TICK, width), (frames.strides[0], step, one)
        stretches = np.lib.stride_tricks.as_strided(frames, shape, strides, writeable=False)
        mapped = np.ascontiguousarray(stretches).reshape(-1, width) @ self._frames
        mapped += self._frames_bias
        joined = np.maximum(mapped, 0.0, out=mapped).reshape(batch, -1)
        embedded = joined @ self._tick
        embedded += self._tick_bias
        np.maximum(embedded, 0.0, out=embedded)
        heard = self._listening.step(embedded, state[:, _CONTEXT : _CONTEXT + listening])
        speech = np.concatenate((joined, heard), axis=1) @ self._speech
        speech += self._speech_bias
        _sigmoid(speech)
        evidence = np.concatenate((embedded, heard, speech), axis=1)
        judged = self._judging.step(evidence, state[:, _CONTEXT + listening :])
        classes = judged @ self._classes
        classes += self._classes_bias
        classes /= np.float32(self._temperature)
        classes -= classes.max(axis=1, keepdims=True)
        np.exp(classes, out=classes)
        np.divide(classes, classes.sum(axis=1, keepdims=True), out=outputs[:, : len(CLASSES)])
        outputs[:, SPEECH] = speech
        tone = embedded @ self._tone
        tone += self._tone_bias
        _sigmoid(tone)
        outputs[:, TONE : TONE + 1] = tone
        return np.concatenate((frames[:, -_FRAMES:].reshape(batch, -1), heard, judged), axis=1)


class Ticker:
    """One model, ready for batches. `own` is False when torch has to run the network."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._net: _Net | None = None
        try:
            self._net = _Net(model.net)
            self.own = self._proven()
        except (AttributeError, KeyError, ValueError, RuntimeError):
            self.own = False

    def tick(self, samples: Tensor, states: Floats) -> tuple[Floats, Floats]:
        """[B, CONTEXT+TICK] audio, [B, S] → [B, OUTPUTS] as `spec` orders them, [B, S]: as `LoadedModel.tick`."""
        if not self.own or self._net is None:
            outputs, after = self._model.tick(samples, torch.from_numpy(states))
            return outputs.numpy(), after.numpy()
        with torch.inference_mode():
            seen = features(samples).numpy()
        rows = np.empty((len(seen), OUTPUTS), np.float32)
        state = self._net.step(seen, states, rows[:, :NET_OUTPUTS])
        rows[:, NET_OUTPUTS:] = seen[:, :, MELS:].reshape(len(seen), -1)
        return rows, state

    def _proven(self) -> bool:
        """Whether it says what torch says, of noise that comes and goes."""
        assert self._net is not None
        random = np.random.default_rng(0)
        theirs = self._model.net.initial_state(_PROOF_STREAMS)
        ours: Floats = theirs.numpy().copy()
        for tick in range(_PROOF_TICKS):
            noise = random.standard_normal((_PROOF_STREAMS, CONTEXT_SAMPLES + TICK_SAMPLES)) * (
                0.1 if tick % 2 else 0.001
            )
            with torch.inference_mode():
                seen = features(torch.from_numpy(noise.astype(np.float32)))
                wanted, theirs = self._model.net.step(seen, theirs)
            rows = np.empty((_PROOF_STREAMS, NET_OUTPUTS), np.float32)
            ours = self._net.step(seen.numpy(), ours, rows)
            if not np.allclose(rows, wanted.numpy(), atol=TOLERANCE) or ours.shape != tuple(theirs.shape):
                return False
        return True


def _array(tensor: Tensor) -> Floats:
    values: Floats = tensor.detach().numpy().astype(np.float32)
    return values


def _matrix(weight: Tensor) -> Floats:
    """[out, in] → [in, out], its rows together in memory."""
    return np.ascontiguousarray(_array(weight).T)


def _sigmoid(values: Floats) -> None:
    """In place; by the hyperbolic tangent, which never overflows."""
    values *= np.float32(0.5)
    np.tanh(values, out=values)
    values *= np.float32(0.5)
    values += np.float32(0.5)
